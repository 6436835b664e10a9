"""``saccade data describe``."""

from __future__ import annotations

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, quiet_stdout


@click.command(
    epilog=examples(
        "saccade data describe data/demo",
        "saccade data describe 'data/demo/part-*.parquet' --json",
        "saccade data describe s3://bucket/histories",
    )
)
@click.argument("path")
@json_option
def describe(path: str, as_json: bool) -> None:
    """Describe Parquet data: rows, columns, lengths, sizes.

    PATH is a file, a folder, a glob, or the address of one.
    """
    with quiet_stdout(as_json):
        from saccade.pipelines.parquet.describe import describe as examine
        from saccade.pipelines.parquet.render import render

        description = examine(path)
    if as_json:
        print_json(description)
    else:
        click.echo(render(description))
