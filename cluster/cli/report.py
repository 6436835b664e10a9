"""``saccade report``."""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, quiet_stdout
from saccade.cluster.cli.run_folder import existing_run


@click.command(
    epilog=examples(
        "saccade report runs/demo",
        "saccade report runs/demo --output demo.html",
        "saccade report runs/demo --wandb",
    )
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="HTML file; default: in the run's folder."
)
@click.option("--wandb", is_flag=True, help="Make a W&B report instead: sent when online, else its JSON is written.")
@json_option
def report(run: Path, output: Path | None, wandb: bool, as_json: bool) -> None:
    """Write a run's report: one HTML page, or a W&B report.

    RUN is the run's folder, finished or still training. The page needs no network: everything is in that one file.
    """
    if wandb and output:
        raise click.UsageError("--output is for the HTML page: leave it out with --wandb")
    with quiet_stdout(as_json):
        folder = existing_run(run)
        if wandb:
            from saccade.cluster.report.wandb_report import publish_report

            where = publish_report(folder)
        else:
            from saccade.cluster.report.page import write_report

            where = str(write_report(folder, output))
    if as_json:
        print_json({"run": str(folder), "report": where})
    else:
        click.echo(where)
