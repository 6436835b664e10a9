"""``saccade checkpoint verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from saccade.cluster.cli.checkpoint_path import all_checkpoints
from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, quiet_stdout


@click.command(
    epilog=examples(
        "saccade checkpoint verify runs/demo",
        "saccade checkpoint verify runs/demo/checkpoints/step-00000100 --json",
    )
)
@click.argument("path", type=click.Path(path_type=Path))
@json_option
def verify(path: Path, as_json: bool) -> None:
    """Compare every file of checkpoints with its hash.

    PATH is a run's folder, of which all checkpoints are read, or the folder of a checkpoint. The exit code is 1 where
    anything is damaged. Nothing is changed.
    """
    with quiet_stdout(as_json):
        results = examine(all_checkpoints(path))
    if as_json:
        print_json({"good": all(result["good"] for result in results), "checkpoints": results})
    else:
        show(results)
    if not all(result["good"] for result in results):
        click.get_current_context().exit(1)


def examine(paths: list[Path]) -> list[dict[str, Any]]:
    """Read the checkpoints, with a bar on a terminal, and say of each what is wrong with which file.

    Raises:
        UserError: another version of Saccade wrote one.
    """
    from tqdm import tqdm

    from saccade.pipelines.checkpoint.manifest import DamagedCheckpoint
    from saccade.pipelines.checkpoint.reader import CheckpointReader

    readers: dict[Path, CheckpointReader | DamagedCheckpoint] = {}
    for path in paths:
        try:
            readers[path] = CheckpointReader(path)
        except DamagedCheckpoint as damage:
            readers[path] = damage
    opened = [reader for reader in readers.values() if isinstance(reader, CheckpointReader)]
    total = sum(entry.bytes for reader in opened for entry in reader.manifest.files.values())
    results = []
    with tqdm(total=total, unit="B", unit_scale=True, delay=1, leave=False, disable=None) as bar:
        for path, reader in readers.items():
            if isinstance(reader, CheckpointReader):
                damaged = reader.damage(bar.update)
                files, size = len(reader.manifest.files), sum(entry.bytes for entry in reader.manifest.files.values())
            else:
                damaged, files, size = {reader.file: reader.reason}, 0, 0
            results.append(
                {"checkpoint": str(path), "good": not damaged, "damaged": damaged, "files": files, "bytes": size}
            )
    return results


def show(results: list[dict[str, Any]]) -> None:
    """Print a line for each checkpoint, and one for each damaged file."""
    from saccade.cluster.report.text import size

    for result in results:
        if result["good"]:
            click.echo(f"{result['checkpoint']}: good, {result['files'] + 1} files, {size(result['bytes'])}")
        for file, reason in result["damaged"].items():
            click.echo(f"{result['checkpoint']}: damaged, {file}: {reason}")
