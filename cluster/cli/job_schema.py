"""``saccade job schema``."""

from __future__ import annotations

import json

import click

from saccade.cluster.cli.examples import examples


@click.command(
    epilog=examples(
        "saccade job schema > saccade.schema.json",
        "# then, as the first line of a job file, for editors with the YAML language server:",
        "# yaml-language-server: $schema=saccade.schema.json",
    )
)
def schema() -> None:
    """Print the JSON schema of job files.

    Editors check and complete job files with it.
    """
    from saccade.cluster.job import job_schema

    click.echo(json.dumps(job_schema(), indent=2, ensure_ascii=False))
