"""``saccade plugins list``."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, quiet_stdout

if TYPE_CHECKING:
    from saccade.cluster.parts.listing import Listed
    from saccade.plugins.discovery import Installed


@click.command(
    "list",
    epilog=examples(
        "saccade plugins list",
        "saccade plugins list --job job.yaml        # with the modules that this job names",
        "saccade plugins list --json | python -m json.tool",
    ),
)
@click.option("--job", type=click.Path(path_type=Path), help="Import the modules under this job's `plugins` as well.")
@json_option
def show(job: Path | None, as_json: bool) -> None:
    """List the parts that a job can name, and who brings them.

    For each: its name, the package that it comes from, what it is, and the options that a job file can set, with their
    types and defaults. Installed plug-ins that can't be imported stand at the end, with the reason.
    """
    with quiet_stdout(as_json):
        from saccade.cluster.parts.listing import all_parts, broken_plugins

        if job is not None:
            _load_modules(job)
        parts, broken = all_parts(), broken_plugins()
    if as_json:
        print_json(
            {
                "plugins": [part.as_dict() for part in parts],
                "broken": [
                    {"name": b.name, "package": b.package, "version": b.version, "reason": b.broken} for b in broken
                ],
            }
        )
        return
    _print_parts(parts)
    _print_broken(broken)


def _load_modules(job: Path) -> None:
    from saccade.cluster.job import load_job
    from saccade.plugins.discovery import load_module

    for module in load_job(job).plugins:
        load_module(module, [Path.cwd()])


def _print_parts(parts: list[Listed]) -> None:
    name_width = max(len(part.entry.name) for part in parts)
    package_width = max(len(_package(part)) for part in parts)
    for kind, group in groupby(parts, key=lambda part: part.entry.kind):
        click.echo(f"{kind}s")
        for part in group:
            package = f"{_package(part):<{package_width}}"
            click.echo(f"  {part.entry.name:<{name_width}}  {package}  {part.description}".rstrip())
            if part.options:
                click.echo(f"  {'':<{name_width}}  options: {part.signature}")


def _package(part: Listed) -> str:
    return f"{part.package} {part.version}" if part.version else part.package


def _print_broken(broken: list[Installed]) -> None:
    if broken:
        click.echo("broken")
    for plugin in broken:
        click.echo(f"  {plugin.package} {plugin.version}: {plugin.broken}")
        click.echo(f"    nothing can be trained until it is mended, or removed: pip uninstall {plugin.package}")
