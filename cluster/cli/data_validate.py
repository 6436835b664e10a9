"""``saccade data validate``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, quiet_stdout

if TYPE_CHECKING:
    from saccade.cluster.training.validate import Validation
    from saccade.pipelines.parquet.validate.fault import Fault


@click.command(
    epilog=examples(
        "saccade data validate data/histories --job job.yaml",
        "saccade data validate --job job.yaml                 # the job's own data.path",
        "saccade data validate s3://bucket/histories --job job.yaml tables.items.rows=5000 --quick",
        "saccade data validate data/histories --job job.yaml --json | tail -n 1 | python -m json.tool",
    )
)
@click.argument("arguments", nargs=-1, metavar="[PATH] [OVERRIDES]...")
@click.option("--job", required=True, type=click.Path(path_type=Path), help="The job file that the data is for.")
@click.option(
    "--quick", is_flag=True, help="Read the files' footers only: schemas, counts and statistics, but no rows."
)
@json_option
def validate(arguments: tuple[str, ...], job: Path, quick: bool, as_json: bool) -> None:
    """Look for everything in data that a job can't use.

    PATH is a Parquet file, folder or glob, or the address of one; without it the job's data.path is looked at.
    OVERRIDES are key.path=value pairs that change the job.

    Every file of every split that the job reads is decoded, as the job filters and transforms it, and all faults are
    listed, a line for those of one kind in a file. Rows and row groups count from 0 in their file. The exit code is 1
    where there is a fault; warnings are of what may stay. Nothing is changed.
    """
    with quiet_stdout(as_json):
        from saccade.cluster.job import load_job
        from saccade.cluster.job.job import Job

        # What begins with one of a job's keys is an override: a path like that can be written as ./data=new.
        is_path = arguments and arguments[0].partition("=")[0].split(".")[0] not in Job.model_fields
        path = [f"data.path={arguments[0]}"] if is_path else []
        resolved = load_job(job, [*arguments[len(path) :], *path]).resolved(Path.cwd())
        from saccade.cluster.training.validate import validate as look
        from saccade.pipelines.parquet.files import public

        found = look(resolved, quick=quick)
    if as_json:
        print_json(_values(public(resolved.data.path), found, quick))
    else:
        for line in _lines(found, quick):
            click.echo(line)
    if not found.good:
        click.get_current_context().exit(1)


def _values(path: str, found: Validation, quick: bool) -> dict[str, Any]:
    def each(faults: Sequence[Fault]) -> list[dict[str, Any]]:
        return [
            {
                "split": fault.split,
                "file": fault.file,
                "kind": fault.kind,
                "found": fault.found,
                "mend": fault.mend,
                "unit": fault.unit,
                "places": fault.places,
                "count": fault.count,
                "more": fault.more,
            }
            for fault in faults
        ]

    return {
        "path": path,
        "quick": quick,
        "good": found.good,
        "splits": {
            name: {"files": report.files, "row_groups": report.row_groups, "rows": report.rows}
            for name, report in found.splits.items()
        },
        "faults": each([fault for fault in found.faults if not fault.warning]),
        "warnings": each([fault for fault in found.faults if fault.warning]),
    }


def _lines(found: Validation, quick: bool) -> Iterator[str]:
    """Faults first, then warnings, then what was looked at."""
    faults = [fault for fault in found.faults if not fault.warning]
    warnings = [fault for fault in found.faults if fault.warning]
    yield from (f"fault: {line}" for line in _together(faults))
    yield from (f"warning: {line}" for line in _together(warnings))
    for name, report in found.splits.items():
        rows = f"{report.rows:,} rows{' (not read)' if quick else ''}"
        yield f"{name}: {_count(report.files, 'file')}, {_count(report.row_groups, 'row group')}, {rows}"
    shown = f"{_count(len(faults), 'fault')}, {_count(len(warnings), 'warning')}"
    yield shown if faults or warnings else "no faults"


def _together(faults: Sequence[Fault]) -> Iterator[str]:
    """A line a fault, but one line for files that have the same as a whole."""

    def same(fault: Fault) -> tuple[str, str, str, str]:
        return (fault.split, fault.kind, fault.text, fault.file if fault.unit else "")

    place = {same(fault): at for at, fault in reversed(list(enumerate(faults)))}
    for _, group in groupby(sorted(faults, key=lambda fault: place[same(fault)]), same):
        first, *others = group
        yield f"{first} (and {len(others):,} more files)" if others else str(first)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
