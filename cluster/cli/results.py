"""How results of training and evaluation look to people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from saccade.cluster.cli.output import print_table

SHOWN = ("run", "metrics", "epochs", "steps", "best_step", "seconds", "events_per_second", "data_wait")


def print_result(result: Mapping[str, Any]) -> None:
    """Print a result's metrics and timings, the classification report where there is one, and where things are."""
    shown = {**result, "metrics": _with_intervals(result)} if "metrics" in result else result
    print_table({key.replace("_", " "): shown[key] for key in SHOWN if key in shown})
    for by, slices in (result.get("slices") or {}).items():
        click.echo()
        print_slices(by, slices)
    report = result.get("report")
    if isinstance(report, Mapping):
        click.echo()
        print_classes(report)
    if "run" in result:
        run = Path(result["run"])
        files = [name for name in ("result.json", "log.txt", "checkpoints") if (run / name).exists()]
        click.echo(f"\nin {run}: {', '.join(files) or 'nothing yet'}")
        click.echo(f"next: saccade report {run}")


def _with_intervals(result: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics; those of the split that has intervals with theirs."""
    metrics, intervals = result["metrics"], result.get("ci") or {}
    split = "test" if any(name.startswith("test/") for name in metrics) else "valid"
    shown = dict(metrics)
    for name, (low, high) in intervals.items():
        if (key := f"{split}/{name}") in metrics and None not in (metrics[key], low, high):
            shown[key] = f"{metrics[key]:.4f}  95 %: {low:.4f} to {high:.4f}"
    return shown


def print_slices(by: str, slices: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the metrics of each slice (``rows`` and metrics by name) as a table."""
    names = list(dict.fromkeys(name for values in slices.values() for name in values))
    first = by.replace("_", " ")
    width = max(len(first), *(len(name) for name in slices), 0)
    columns = [max(len(name), 9) for name in names]
    click.echo(f"{first:<{width}}  " + "  ".join(f"{name:>{w}}" for name, w in zip(names, columns, strict=True)))
    for slice_name, values in slices.items():
        found = [values.get(name) for name in names]
        cells = ["–" if each is None else f"{each:,}" if isinstance(each, int) else f"{each:.4f}" for each in found]
        line = "  ".join(f"{cell:>{w}}" for cell, w in zip(cells, columns, strict=True))
        click.echo(f"{slice_name:<{width}}  {line}")


def print_classes(report: Mapping[str, Any]) -> None:
    """Print a classification report (a mapping of class to precision, recall, f1-score and support) as a table."""
    rows = {name: scores for name, scores in report.items() if isinstance(scores, Mapping)}
    width = max((len(name) for name in rows), default=0)
    columns = ("precision", "recall", "f1-score", "support")
    click.echo(f"{'':<{width}}  " + "  ".join(f"{column:>9}" for column in columns))
    for name, scores in rows.items():
        cells = [scores.get(column, 0) for column in columns]
        numbers = [*(f"{cell:>9.3f}" for cell in cells[:3]), f"{cells[3]:>9,.0f}"]
        click.echo(f"{name:<{width}}  " + "  ".join(numbers))
