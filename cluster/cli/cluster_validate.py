"""``saccade cluster validate``."""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cluster.cli.examples import examples
from saccade.pipelines.errors import UserError


@click.command(
    epilog=examples(
        "saccade cluster validate cluster/ray/aws.yaml",
        "saccade cluster validate cluster/ray/*.yaml cluster/kubernetes/*.yaml",
    )
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(files: tuple[Path, ...]) -> None:
    """Check the YAML for `ray up` and KubeRay.

    FILES are cluster files; unknown keys in them are errors. Every file is checked, also after one with an error.
    """
    from saccade.cluster.validate.files import validate_cluster_file

    wrong = 0
    for file in files:
        try:
            click.echo(validate_cluster_file(file))
        except UserError as error:
            click.echo(f"error: {error}", err=True)
            wrong += 1
    if wrong:
        click.get_current_context().exit(2)
