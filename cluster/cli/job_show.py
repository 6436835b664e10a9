"""``saccade job show``."""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cluster.cli.examples import examples


@click.command(
    epilog=examples("saccade job show job.yaml", "saccade job show job.yaml model.dim=128 loss.name=gbce > wide.yaml")
)
@click.argument("job", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
def show(job: Path, overrides: tuple[str, ...]) -> None:
    """Print a job with every default written out.

    What is printed is a job file itself. JOB is a YAML file, OVERRIDES are key.path=value pairs that change it.
    """
    from saccade.cluster.job import job_to_yaml, load_job

    loaded = load_job(job, overrides)
    from saccade.cluster.parts.check import check_parts

    check_parts(loaded, job.parent)
    click.echo(job_to_yaml(loaded), nl=False)
