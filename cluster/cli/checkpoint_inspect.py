"""``saccade checkpoint inspect``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from saccade.cluster.cli.checkpoint_path import one_checkpoint
from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, print_table, quiet_stdout
from saccade.cluster.report.text import size


@click.command(
    epilog=examples(
        "saccade checkpoint inspect runs/demo",
        "saccade checkpoint inspect runs/demo/checkpoints/step-00000100 --json",
    )
)
@click.argument("path", type=click.Path(path_type=Path))
@json_option
def inspect(path: Path, as_json: bool) -> None:
    """Show what is in a checkpoint.

    PATH is a run's folder, of which the best checkpoint is shown, or the folder of a checkpoint.
    """
    with quiet_stdout(as_json):
        content = describe(one_checkpoint(path))
    if as_json:
        print_json(content)
    else:
        show(content)


def describe(path: Path) -> dict[str, Any]:
    """What is in the checkpoint at ``path``, as JSON values.

    Raises:
        UserError: it can't be opened.
    """
    from saccade.pipelines.checkpoint.reader import CheckpointReader

    reader = CheckpointReader(path)
    manifest = reader.manifest
    tables = {
        name: {
            "rows": table.rows,
            "dim": table.dim,
            "states": dict(table.states),
            "pieces": len(table.pieces),
            "bytes": sum(manifest.files[piece.file].bytes for piece in table.pieces),
        }
        for name, table in manifest.tables.items()
    }
    return {
        "checkpoint": str(path),
        "run": manifest.job.get("run", {}).get("name"),
        "task": manifest.job.get("task"),
        "step": manifest.step,
        "epoch": manifest.training.get("epoch"),
        "created": manifest.created,
        "metrics": manifest.training.get("metrics", {}),
        "engine": dict(manifest.engine),
        "tables": tables,
        "network": {name: list(reader.network_shape(name)) for name in sorted(manifest.network)},
        "files": len(manifest.files),
        "bytes": sum(entry.bytes for entry in manifest.files.values()),
    }


def show(content: dict[str, Any]) -> None:
    """Print it for people: the tables' rows, and a line for each of the network's weights with its states."""
    weights: dict[str, list[int]] = {}
    states: dict[str, list[str]] = {}
    for name, shape in content["network"].items():
        if name.startswith("weight/"):
            weights[name.removeprefix("weight/")] = shape
        else:
            _, state, parameter = name.split("/", 2)
            states.setdefault(parameter, []).append(state)
    parameters = sum(math.prod(shape) for shape in weights.values())
    shown = ("checkpoint", "run", "task", "created", "step", "epoch", "metrics", "engine")
    rows = {key: content[key] for key in shown if content[key] is not None}
    rows["size"] = f"{size(content['bytes'])} in {content['files']} files"
    print_table(rows | {"network": f"{parameters:,} parameters"})
    tables = []
    for name, table in content["tables"].items():
        counts = [f"{table['rows']:,}", f"{table['dim']}", _states(table["states"]), f"{table['pieces']}"]
        tables.append([name, *counts, size(table["bytes"])])
    if tables:
        click.echo()
        columns([["table", "rows", "dim", "optimizer states", "pieces", "size"], *tables])
    if weights:
        click.echo()
        shapes = {name: " x ".join(map(str, shape)) or "1" for name, shape in weights.items()}
        lines = [[name, shape, ", ".join(states.get(name, [])) or "none"] for name, shape in shapes.items()]
        columns([["network weight", "shape", "optimizer states"], *lines])


def columns(rows: list[list[str]]) -> None:
    """Print rows of cells, aligned."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _states(states: dict[str, str]) -> str:
    what = {"element": "a value for each weight", "row": "a value for each row"}
    return ", ".join(f"{name} ({what[kind]})" for name, kind in states.items()) or "none"
