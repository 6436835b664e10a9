"""``saccade evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, quiet_stdout
from saccade.cluster.cli.results import print_result
from saccade.cluster.cli.run_folder import existing_run


@click.command(
    epilog=examples(
        "saccade evaluate runs/demo",
        "saccade evaluate runs/demo --split valid evaluate.ks='[1, 5, 10]' evaluate.select=valid/mrr",
        "saccade evaluate runs/demo data.path=data/newer --json",
    )
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--split", type=click.Choice(["valid", "test"]), default="test", show_default=True, help="Rows to use.")
@json_option
def evaluate(run: Path, overrides: tuple[str, ...], split: Literal["valid", "test"], as_json: bool) -> None:
    """Measure a trained run on a split of its data.

    RUN is the run's folder; its best checkpoint is used. OVERRIDES change its job for this evaluation only.
    """
    with quiet_stdout(as_json):
        folder = existing_run(run)
        from saccade.cluster.training.evaluate import evaluate as measure

        result = measure(folder, overrides, split)
    if as_json:
        print_json(result)
    else:
        print_result(result)
