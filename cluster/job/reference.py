"""The tables of keys in docs/jobs.md, made from the types: ``python -m saccade.cluster.job.reference docs/jobs.md``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saccade.cluster.job.job import TASKS, Job
from saccade.cluster.job.keys import sections_in
from saccade.cluster.job.section import Section

BEGIN, END = "<!-- begin: made by saccade.cluster.job.reference -->", "<!-- end -->"


def reference() -> str:
    """Markdown: a heading and a table of keys for each section, and for each kind of a section where tasks differ."""
    parts = []
    for name in Job.model_fields:
        kinds: dict[type[Section], list[str]] = {}
        for task, job in TASKS.items():
            for kind in sections_in(job.model_fields[name].annotation):
                kinds.setdefault(kind, []).append(task)
        for kind, tasks in kinds.items():
            if not kind.model_fields:
                continue
            title = f"`{name}`"
            if len(kinds) > 1:
                label = kind.model_fields["name"].default if "name" in kind.model_fields else ""
                title += f", {', '.join(tasks)}" + (f": {label}" if label else "")
            head = "| key | default | values | meaning |\n|---|---|---|---|"
            parts.append(f"### {title}\n\n{_one_line(kind.__doc__)}\n\n{head}\n" + "\n".join(_rows(kind, name)))
    return "\n\n".join(parts)


def write(path: Path) -> None:
    """Put the reference between its two marks in a file."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}")


def _rows(section: type[Section], prefix: str) -> list[str]:
    rows = []
    properties = section.model_json_schema()["properties"]
    for name, field in section.model_fields.items():
        inner = sections_in(field.annotation)
        if inner:
            rows += _rows(inner[0], f"{prefix}.{name}")
            continue
        default = "required" if field.is_required() else f"`{json.dumps(field.get_default())}`".replace('"', "")
        if (prefix, name) == ("run", "name"):
            default = "the file's name"
        rows.append(f"| `{prefix}.{name}` | {default} | {_values(properties[name])} | {_one_line(field.description)} |")
    return rows


def _values(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_values(option) for option in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        items = schema.get("prefixItems", [schema.get("items", {})])
        return ("list of " if "items" in schema else f"list of {len(items)}: ") + _values(items[0])
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true, false", "null": "null"}
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return " ".join([words[schema["type"]], ", ".join(bounds)]).strip()


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
