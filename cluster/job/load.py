"""Reading a job file, with overrides from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from saccade.cluster.job.job import Job
from saccade.cluster.job.parse import parse_job
from saccade.cluster.job.yaml_text import parse_yaml
from saccade.pipelines.errors import UserError


def load_job(path: Path, overrides: Sequence[str] = ()) -> Job:
    """Read a job file, apply ``key.path=value`` overrides (values are YAML), check everything.

    Paths inside the job stay as given; see ``Job.resolved``. ``run.name`` is the file's stem where nothing sets it.

    Raises:
        UserError: one line that begins with the file's path and names the keys at fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"job file {path} doesn't exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"job file {path} can't be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}"
        ) from None
    try:
        values = parse_yaml(text)
        if not isinstance(values, dict):
            found = "empty" if values is None else f"a {type(values).__name__}"
            raise UserError(f"expected sections with keys (task: …, data: …), found {found}")
        for override in overrides:
            apply_override(values, override)
        refuse_interpolation(values)
        name_run(values, path)
        return parse_job(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set ``key.path=value`` in nested ``values``, making sections on the way.

    Raises:
        UserError: no ``=``, an empty key, a value that isn't YAML, or a path through something that isn't a section.
    """
    key, equals, text = override.partition("=")
    *parents, last = parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"override {override!r}: write key.path=value, as in train.epochs=5")
    try:
        value = parse_yaml(text)
    except UserError as error:
        raise UserError(f"override {override!r}: {error}; put quotes around text with special characters") from None
    section = values
    for depth, parent in enumerate(parents, start=1):
        if section.get(parent) is None:
            section[parent] = {}
        if not isinstance(section[parent], dict):
            where = ".".join(parents[:depth])
            raise UserError(f"override {override!r}: {where} is {section[parent]!r}, not a section")
        section = section[parent]
    section[last] = value


def refuse_interpolation(values: Any, key: str = "") -> None:
    """Job files take no environment variables: a run must not depend on what its file doesn't show.

    Raises:
        UserError: a text contains ``${``.
    """
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for name, value in items:
        path = f"{key}.{name}" if key else str(name)
        if isinstance(value, str) and "${" in value:
            raise UserError(
                f"{path}={value!r}: job files take no environment variables; write the value out, "
                f"or let the shell fill it in: {path}=… on the command line"
            )
        refuse_interpolation(value, path)


def name_run(values: dict[str, Any], path: Path) -> None:
    """Name the run after the job file where neither the file nor an override does."""
    run = values.setdefault("run", {})
    if run is None:
        run = values["run"] = {}
    if isinstance(run, dict) and run.get("name") is None:
        run["name"] = path.stem
