"""``saccade train``."""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, quiet_stdout
from saccade.cluster.cli.results import print_result


@click.command(
    epilog=examples(
        "saccade train job.yaml",
        "saccade train job.yaml data.path=data/histories run.workers=2 train.epochs=5",
        "saccade train job.yaml engine.name=reference        # one process, without Ray and DeepSpeed",
        "saccade train job.yaml run.name=wide model.dim=128 --fresh",
        "saccade train job.yaml --json | tail -n 1 | python -m json.tool",
    )
)
@click.argument("job", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--fresh", is_flag=True, help="Delete the run if it exists and start over, instead of resuming it.")
@json_option
def train(job: Path, overrides: tuple[str, ...], fresh: bool, as_json: bool) -> None:
    """Train a job, or resume its run.

    JOB is a YAML file (`saccade job schema` says what goes in); OVERRIDES are key.path=value pairs that change it. The
    run lives in run.storage/run.name. The same command again goes on from its last checkpoint, on any number of
    workers.
    """
    with quiet_stdout(as_json):
        from saccade.cluster.job import load_job

        resolved = load_job(job, overrides).resolved(Path.cwd())  # before torch is imported: mistakes show at once
        from saccade.cluster.training.start import train as start

        try:
            result = start(resolved, fresh=fresh)
        except KeyboardInterrupt:
            raise click.Abort("interrupted; the same command again goes on from the last checkpoint") from None
    if as_json:
        print_json(result)
    else:
        print_result(result)
