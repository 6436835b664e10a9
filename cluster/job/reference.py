"""The tables of keys in docs/jobs.md, made from the types: ``python -m saccade.cluster.job.reference docs/jobs.md``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from pydantic_core import to_jsonable_python

from saccade.cluster.job.ctr import CtrEvent, CtrFeature
from saccade.cluster.job.data import Data, ItemFeature
from saccade.cluster.job.job import TASKS, Job
from saccade.cluster.job.keys import sections_in
from saccade.cluster.job.model import PluginModel
from saccade.cluster.job.section import Section

HEAD = "| key | default | values | meaning |\n|---|---|---|---|"
PARTS = {
    "score": "a [score](#scores)",
    "normalizer": "a [normalizer](#normalizers)",
    "masks": "list of [masks](#masks)",
    "positions": "list of [positions](#positions)",
    "block": "a [block](#blocks)",
    "filter": "list of [conditions](#conditions)",
    "transforms": "list of [transforms](#transforms)",
    "features": "list of [features](#features)",
    "events": "list of [features of events](#features)",
}
BEGIN, END = "<!-- begin: made by saccade.cluster.job.reference -->", "<!-- end -->"


def reference() -> str:
    """Markdown: a heading and a table of keys for each section, and for each kind of a section where tasks differ."""
    parts = []
    for name in Job.model_fields:
        kinds: dict[type[Section], list[str]] = {}
        for task, job in TASKS.items():
            for kind in sections_in(job.model_fields[name].annotation):
                kinds.setdefault(kind, []).append(task)
        if not kinds and name != "task":
            parts.append(f"### `{name}`\n\n{HEAD}\n" + "\n".join(_rows(Job, "", only=name)))
        for kind, tasks in sorted(kinds.items(), key=lambda item: item[0] is PluginModel):  # other people's last
            if not kind.model_fields:
                continue
            title = f"`{name}`"
            if len(kinds) > 1:
                title += f", {', '.join(tasks)}" + (f": {label}" if (label := _label(kind)) else "")
            rows = "\n".join(_rows(kind, f"{name}."))
            parts.append(f"### {title}\n\n{_one_line(kind.__doc__)}\n\n{HEAD}\n{rows}")
    return "\n\n".join([*parts, *_elements(), *_own_parts()])


def write(path: Path) -> None:
    """Put the reference between its two marks in a file."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}")


def _label(kind: type[Section]) -> str:
    """What tells kinds of a section apart: the name that they go by."""
    if kind is PluginModel:
        return "a plug-in's"
    return str(get_args(kind.model_fields["name"].annotation)[0]) if "name" in kind.model_fields else ""


def _rows(section: type[Section], prefix: str, only: str | None = None, omit: str | None = None) -> list[str]:
    rows = []
    properties = section.model_json_schema()["properties"]
    for name, field in section.model_fields.items():
        if only not in (None, name) or name == omit:
            continue
        inner = sections_in(field.annotation)
        if inner:
            rows += _rows(inner[0], f"{prefix}{name}.")
            continue
        if field.is_required():
            default = "required"
        elif (prefix, name) == ("run.", "name"):
            default = "the file's name"
        else:
            value = to_jsonable_python(field.get_default(call_default_factory=True, validated_data={}))
            default = f"`{json.dumps(value)}`".replace('"', "")
        values = PARTS.get(name) or _values(properties[name])
        rows.append(f"| `{prefix}{name}` | {default} | {values} | {_one_line(field.description)} |")
    return rows


def _elements() -> list[str]:
    """The sections that lists hold: tables of the keys of a condition, of each transform, and of a feature."""
    (condition,) = sections_in(Data.model_fields["filter"].annotation, lists=True)
    keys = "\n".join(_rows(condition, ""))
    parts = [f"### Conditions\n\n{_one_line(condition.__doc__)}\n\n{HEAD}\n{keys}", "### Transforms"]
    for kind in sections_in(Data.model_fields["transforms"].annotation, lists=True):
        (name,) = get_args(kind.model_fields["name"].annotation)
        keys = "\n".join(_rows(kind, "", omit="name"))
        parts.append(f"#### `{name}`\n\n{_one_line(kind.__doc__)}\n\n{HEAD}\n{keys}")
    parts.append("### Features")
    features: dict[str, type[Section]] = {
        "an entry of data.features, next_item": ItemFeature,
        "an entry of data.features, ctr": CtrFeature,
        "an entry of data.history.events, ctr": CtrEvent,
    }
    for title, feature in features.items():
        keys = "\n".join(_rows(feature, ""))
        parts.append(f"#### {title}\n\n{_one_line(feature.__doc__)}\n\n{HEAD}\n{keys}")
    return parts


def _own_parts() -> list[str]:
    """A heading and a table for each kind of part that Saccade has itself."""
    from saccade.cluster.parts.choose import OWN_PACKAGE  # takes torch
    from saccade.cluster.parts.listing import all_parts

    own = [part for part in all_parts() if part.package == OWN_PACKAGE]
    parts = []
    for kind, group in groupby(own, key=lambda part: part.entry.kind):
        rows = ["| name | options | what it is |\n|---|---|---|"]
        for part in group:
            options = ", ".join(f"`{option}`" for option in part.options)
            what = part.description.replace("``", "`")
            rows.append(f"| `{part.entry.name}` | {_one_line(options)} | {_one_line(what)} |")
        parts.append(f"### {kind.capitalize()}s\n\n" + "\n".join(rows))
    return parts


def _values(schema: Mapping[str, Any]) -> str:
    if schema.get("type") == "object":
        return "section"
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
