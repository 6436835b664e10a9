"""Runs an import: rows of a format into Parquet files, with everything that is said about them beside."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.folder import shown
from saccade.pipelines.importing.format import Format, Rows
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.shards import ROWS_PER_FILE, ShardWriter, staged
from saccade.pipelines.parquet.files import SPLITS


@dataclass(frozen=True)
class Settings:
    """What holds for every format.

    Attributes:
        strict: stop at the first row that is refused.
        overwrite: replace a data set that is there.
        rows_per_file: of every Parquet file but a split's last.
        row_group_size: rows of a row group; None takes the format's own.
        block_size: bytes of a text file that are taken at once; what comes out doesn't depend on it.
        partition_rows: interactions that are sorted at once, 100 bytes each; what comes out doesn't depend on it.
    """

    strict: bool = False
    overwrite: bool = False
    rows_per_file: int = ROWS_PER_FILE
    row_group_size: int | None = None
    block_size: int = 8 << 20
    partition_rows: int = 4_000_000


def run_import(
    name: str,
    form: Format,
    source: Path,
    destination: Path,
    options: Any,
    settings: Settings,
    *,
    show: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Import ``source`` into the folder ``destination``, which is there as a whole at the end or not at all.

    Args:
        name: the format's name.
        form: the format.
        source: what the format reads.
        destination: a folder that is empty or not there.
        options: of the format.
        settings: of every import.
        show: shows one line to the user, while the progress bar is up.

    Returns:
        What ``destination/schema.json`` holds: {"import", "splits", "columns", "side_tables", "rejected",
        "statistics"} and, where the rows have them, "label_names".

    Raises:
        UserError: the source can't be read or has no row that is valid, or the destination isn't free.
    """
    # Imported late: tqdm takes a moment.
    from tqdm import tqdm

    bar = tqdm(unit="B", unit_scale=True, unit_divisor=1024, desc="reading", delay=1.0, leave=False, disable=None)

    def advance(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    def show_above(line: str) -> None:
        bar.clear()
        show(line)

    try:
        with (
            bar,
            staged(destination, overwrite=settings.overwrite) as folder,
            Intake(
                folder,
                strict=settings.strict,
                block_size=settings.block_size,
                partition_rows=settings.partition_rows,
                show=show_above,
                advance=advance,
            ) as intake,
        ):
            writers = _write(form.read(source, options, intake), folder, form, settings)
            if not writers:
                raise UserError(_nothing(source, intake))
            shutil.rmtree(intake.scratch)
            about = _about(name, form, source, options, intake, writers)
            text = json.dumps(about, indent=2, ensure_ascii=False, default=str)
            (folder / "schema.json").write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:  # what is wrong with the source, formats have told themselves
        raise UserError(f"{destination}: can't be written ({str(error).splitlines()[0]})") from error
    return about


def _write(rows: Rows, folder: Path, form: Format, settings: Settings) -> dict[str, ShardWriter]:
    """Write rows to the folders of their splits; splits without rows are not among those given back."""
    with ExitStack() as stack:
        writers: dict[str, ShardWriter] = {}
        for split, batch in rows:
            if split not in SPLITS:
                raise ValueError(f"{split!r} is none of the splits {', '.join(SPLITS)}")
            if not len(batch):
                continue
            if split not in writers:
                writer = ShardWriter(
                    folder / split,
                    rows_per_file=settings.rows_per_file,
                    row_group_size=settings.row_group_size or form.row_group_size,
                )
                writers[split] = stack.enter_context(writer)
            writers[split].write(batch)
    return writers


def _nothing(source: Path, intake: Intake) -> str:
    if intake.first is None:
        return f"{source}: there is no row to import"
    rejected = f"all {intake.rejected:,} were" if intake.rejected > 1 else "the only one was"
    return f"{source}: no row is valid; {rejected} rejected, the first: {intake.first}"


def _about(
    name: str, form: Format, source: Path, options: Any, intake: Intake, writers: dict[str, ShardWriter]
) -> dict[str, Any]:
    (schema, *_) = [writer.schema for writer in writers.values() if writer.schema is not None]
    names = (schema.metadata or {}).get(b"label_names")
    return {
        "import": {
            "format": name,
            "source": shown(source.name),
            "options": dataclasses.asdict(options),
            "saccade": version("saccade"),
        },
        "splits": {split: {"rows": writer.rows, "files": writer.files} for split, writer in writers.items()},
        "columns": {field.name: _column(field, form.columns.get(field.name, "")) for field in schema},
        **({} if names is None else {"label_names": json.loads(names)}),
        "side_tables": intake.side_tables,
        "rejected": intake.rejected,
        "statistics": intake.facts,
    }


def _column(field: pa.Field, meaning: str) -> dict[str, Any]:
    return {"type": str(field.type), "nullable": field.nullable, "meaning": meaning}
