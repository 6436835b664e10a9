"""``saccade predict``."""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.model_path import trained_model
from saccade.cluster.cli.output import json_option, print_json, print_table, quiet_stdout


@click.command(
    epilog=examples(
        "saccade predict runs/demo --data data/demo --output next.parquet",
        "saccade predict runs/demo --data 'new/*.parquet' --output next.parquet --top-k 20",
        "saccade predict models/step-00000100 --data data/demo --output next.parquet",
    )
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", required=True, metavar="PATH", help="Parquet file, folder, glob or address of the rows.")
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Parquet file to write.")
@click.option("--top-k", type=click.IntRange(min=1), default=10, show_default=True, help="Answers a row.")
@json_option
def predict(run: Path, data: str, output: Path, top_k: int, as_json: bool) -> None:
    """Apply a trained run to new rows.

    RUN is the run's folder, of which the best checkpoint is used, or the folder of a checkpoint or of an export.
    Writes one row for each row of the data, with the best answers and their scores. A row without any history to go by
    is left out. `saccade recommend` has more to choose from for models that recommend items.
    """
    with quiet_stdout(as_json):
        folder = trained_model(run)
        from saccade.cluster.using.apply import answer
        from saccade.cluster.using.request import Request

        result = answer(Request(str(folder), data, top_k), output) | {"run": str(run)}
    if as_json:
        print_json(result)
    else:
        print_table(result)
