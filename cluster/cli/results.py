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
    print_table({key.replace("_", " "): result[key] for key in SHOWN if key in result})
    report = result.get("report")
    if isinstance(report, Mapping):
        click.echo()
        print_classes(report)
    if "run" in result:
        run = Path(result["run"])
        files = [name for name in ("result.json", "log.txt", "checkpoints") if (run / name).exists()]
        click.echo(f"\nin {run}: {', '.join(files) or 'nothing yet'}")
        click.echo(f"next: saccade report {run}")


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
