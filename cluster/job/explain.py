"""Pydantic's findings in words for the author of a job file, in one line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from saccade.cluster.job.keys import nearest_keys, section_at
from saccade.cluster.job.model import OWN, PluginModel
from saccade.cluster.job.section import Section

SHOWN = 3
"""How many findings are spelled out; the rest is counted."""

EXPECTED: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text that isn't empty",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text of the form {pattern}",
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number >= {ge}",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number <= {le}",
    "finite_number": "a finite number",
    "tuple_type": "a list",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "literal_error": "{expected}",
    "model_type": "a section (keys indented below it)",
    "model_attributes_type": "a section (keys indented below it)",
    "dict_type": "a section (keys indented below it)",
    "list_type": "a list",
    "part": "a name, or a section with a name and options",
    "module_name": "a module's name as in `import folder.module`, without .py",
}


def explain(error: ValidationError, job: type[Section], values: Mapping[str, Any]) -> str:
    """One line for all findings, those of the same key together."""
    findings: dict[tuple[str, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        findings.setdefault(_path(detail, values), []).append(detail)
    # With a wrong name its section was checked against the wrong keys: say only that the name is wrong.
    misnamed = {path[:-1] for path in findings if path[-1:] == ("name",) and len(path) == 2 and path[0] != "run"}
    lines = [
        _line(path, details, job, values)
        for path, details in findings.items()
        if path[-1:] == ("name",) or path[:1] not in misnamed
    ]
    more = len(lines) - SHOWN
    return "; ".join(lines[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _path(detail: ErrorDetails, values: Any) -> tuple[str, ...]:
    """The key that a finding is about: its location without the tags of unions, which aren't in the file."""
    path = []
    for part in detail["loc"]:
        in_list = isinstance(values, list) and isinstance(part, int) and part < len(values)
        if in_list or (isinstance(values, dict) and part in values):
            values = values[part]
            path.append(str(part))
        elif detail["type"] == "missing" and part == detail["loc"][-1]:
            path.append(str(part))
    if detail["type"].startswith("union_tag") and isinstance(values, dict):
        path.append("name")
    return tuple(path)


def _line(path: Sequence[str], details: Sequence[ErrorDetails], job: type[Section], values: Mapping[str, Any]) -> str:
    detail = details[0]
    key = ".".join(path)
    if detail["type"] == "job":
        return detail["msg"]
    if detail["type"] == "missing":
        return f"{key} is missing"
    if detail["type"] == "extra_forbidden":
        return _unknown_key(path, job, values)
    given = detail["input"]
    if path[-1:] == ("name",) and isinstance(given, dict):
        given = given.get("name")
    fit = f" doesn't fit task={values['task']}" if key in ("model.name", "loss.name") else ""
    return _wrong_value(key, given, details, fit)


def _wrong_value(key: str, given: Any, details: Sequence[ErrorDetails], fit: str = "") -> str:
    expected = " or ".join(dict.fromkeys(_expected(d) for d in details))
    return f"{key}={_shown(given)}{fit}: expected {expected}{_nearest(given, details[0])}"


def explain_value(error: ValidationError, key: str, value: Any) -> str:
    """One line for a value that was checked by itself: its first finding."""
    findings: dict[tuple[str, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        findings.setdefault(_path(detail, value), []).append(detail)
    path, details = next(iter(findings.items()))
    return _wrong_value(".".join([key, *path]), details[0]["input"], details)


def _unknown_key(path: Sequence[str], job: type[Section], values: Mapping[str, Any]) -> str:
    key = ".".join(path)
    section = section_at(job, path[:-1], values)
    if section is PluginModel and (model := difflib.get_close_matches(values["model"]["name"], OWN, n=1, cutoff=0.7)):
        return f"unknown key {key} of a plug-in's model; did you mean model.name={model[0]}?"
    near = nearest_keys(job, path, values)
    if near:
        return f"unknown key {key}; did you mean {' or '.join(near)}?"
    keys = list(section.model_fields)
    where = ".".join(path[:-1]) or "a job"
    if section is PluginModel:
        where += f" with name={values['model']['name']}, a plug-in's,"
    elif "name" in keys and len(path) == 2 and path[0] != "run":
        where += f" with name={section.model_fields['name'].default}"
    return f"unknown key {key}; {where} takes " + (", ".join(keys) if keys else f"no keys for task={values['task']}")


def _expected(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "union_tag_invalid":
        return "one of " + str(context["expected_tags"]).replace("'", "")
    if detail["type"] == "union_tag_not_found":
        return "a section (keys indented below it)" if not isinstance(detail["input"], dict) else "a name"
    if detail["type"] == "literal_error":
        return str(context["expected"]).replace("'", "")
    if detail["type"] == "string_type" and isinstance(detail["input"], int | float):
        return f"text: put it in quotes, '\"{_shown(detail['input'])}\"'"
    template = EXPECTED.get(detail["type"])
    return template.format(**context) if template else detail["msg"][:1].lower() + detail["msg"][1:]


def _nearest(given: Any, detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    choices = str(context.get("expected_tags", context.get("expected", ""))).replace("'", "").replace(" or ", ", ")
    near = difflib.get_close_matches(str(given), choices.split(", "), n=1)
    return f"; did you mean {near[0]}?" if near and near[0] != choices else ""


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
