"""``saccade explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, print_table, quiet_stdout
from saccade.cluster.cli.run_folder import existing_run


@click.command(
    epilog=examples(
        "saccade explain runs/demo",
        "saccade explain runs/demo --split test --row 12 --row 40 --layer 0 --head 1",
        "saccade explain runs/demo --names items.parquet --output pictures",
        "saccade explain runs/demo --rows 1 data.path=data/newer --json",
    )
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option(
    "--split",
    type=click.Choice(["train", "valid", "test"]),
    default="valid",
    show_default=True,
    help="Whose rows to use.",
)
@click.option("--rows", type=click.IntRange(min=1), help="How many rows, the first ones that fit; default: 3.")
@click.option("--row", "numbers", type=int, multiple=True, help="A row by its number, from 0; may be given repeatedly.")
@click.option("--layer", "layers", multiple=True, help="A layer's number or name, repeatedly; default: all.")
@click.option("--head", "heads", type=int, multiple=True, help="A head's number, repeatedly; default: all.")
@click.option("--tokens", type=click.IntRange(min=1), help="Tokens to show at most; default: 24, of speech 200.")
@click.option(
    "--names",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Parquet file with the items' id and name.",
)
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder; default: attention in the run's."
)
@json_option
def explain(
    run: Path,
    overrides: tuple[str, ...],
    split: Literal["train", "valid", "test"],
    rows: int | None,
    numbers: tuple[int, ...],
    layers: tuple[str, ...],
    heads: tuple[int, ...],
    tokens: int | None,
    names: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Show where a trained run's attention looks.

    RUN is the run's folder; its best checkpoint is used. OVERRIDES change its job for this time only. Writes a heat map
    for each row and layer, and the weights as weights.npz; `saccade report` shows those of the run's own folder.
    """
    if rows is not None and numbers:
        raise click.UsageError("--row says which rows, --rows how many: give one of them")
    with quiet_stdout(as_json):
        folder = existing_run(run)
        from saccade.cluster.explaining.explain import explain as look_into
        from saccade.cluster.explaining.subject import ROWS

        result = look_into(
            folder,
            overrides,
            split=split,
            rows=numbers,
            count=rows or ROWS,
            layers=layers,
            heads=heads,
            tokens=tokens,
            names=names,
            output=output,
        )
    if as_json:
        print_json(result)
    else:
        print_table(result | {"rows": ", ".join(map(str, result["rows"])), "files": ", ".join(result["files"])})
