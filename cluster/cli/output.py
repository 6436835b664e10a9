"""What commands print: a JSON object for scripts, or a few aligned lines for people."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import click

Function = TypeVar("Function")


def json_option(function: Function) -> Function:
    """The option ``--json``, passed as ``as_json``."""
    text = "Print one JSON object as the last line of stdout; everything else goes to stderr."
    option = click.option("--json", "as_json", is_flag=True, help=text)
    return option(function)  # type: ignore[type-var]


@contextlib.contextmanager
def quiet_stdout(active: bool) -> Iterator[None]:
    """While a command works for a script, send what anything prints, libraries and child processes too, to stderr."""
    if not active:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def print_json(values: Mapping[str, Any]) -> None:
    """Print one line of JSON; numbers that JSON lacks (NaN, infinity) become null, paths become text."""
    click.echo(json.dumps(_plain(values), ensure_ascii=False))


def print_table(rows: Mapping[str, Any]) -> None:
    """Print names and values in two columns; a mapping among the values is one row an entry under its name."""
    lines: list[tuple[str, str, str]] = []
    for name, value in rows.items():
        if isinstance(value, Mapping):
            entries = [(key, _cell(entry)) for key, entry in value.items()]
            lines += [(name if not at else "", key, cell) for at, (key, cell) in enumerate(entries)]
        else:
            lines.append((name, _cell(value), ""))
    first = max((len(line[0]) for line in lines), default=0)
    second = max((len(line[1]) for line in lines if line[2]), default=0)
    for name, middle, right in lines:
        click.echo(f"{name:<{first}}  {middle:<{second if right else 0}}  {right}".rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
