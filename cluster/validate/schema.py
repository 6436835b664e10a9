"""A document against a JSON schema, with errors for people: the key's path, what was given, what would be right."""

import difflib
from pathlib import Path
from typing import Any

from saccade.pipelines.errors import UserError


def check_schema(document: Any, schema: dict[str, Any], path: Path) -> None:
    """Raise for the first thing in a document that its schema doesn't allow.

    Unknown keys come first: a misspelt key also makes the right one missing, and is the better explanation.

    Raises:
        UserError: The document doesn't hold.
    """
    from jsonschema.validators import validator_for

    errors = list(validator_for(schema)(schema).iter_errors(document))
    if errors:
        error = min(errors, key=lambda error: (error.validator != "additionalProperties", len(error.absolute_path)))
        raise UserError(f"{path}: {_explain(error)}")


def key_path(parts: Any) -> str:
    """``spec.workerGroupSpecs[0].template`` for the parts of a path in a document."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return words.removeprefix(".")


def _explain(error: Any) -> str:
    place = key_path(error.absolute_path)
    match error.validator:
        case "additionalProperties":
            return _explain_unknown_key(error)
        case "required":
            missing = next(key for key in error.validator_value if key not in error.instance)
            return f"{key_path([*error.absolute_path, missing])} is missing"
        case "type":
            kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
            return f"{place or 'the file'} is {_shorten(error.instance)}, expected {' or '.join(kinds)}"
        case "enum":
            near = _nearest(error.instance, error.validator_value)
            choices = ", ".join(map(str, error.validator_value))
            return f"{place} is {_shorten(error.instance)}, expected one of {choices}{near}"
        case _:
            return f"{place or 'the file'}: {error.message}"


def _explain_unknown_key(error: Any) -> str:
    known = sorted(error.schema.get("properties", {}))
    unknown = next(key for key in error.instance if key not in known)
    place = key_path([*error.absolute_path, unknown])
    near = _nearest(unknown, known) or f"; the keys here are {', '.join(known)}"
    return f"unknown key {place} (its value is {_shorten(error.instance[unknown])}){near}"


def _nearest(given: Any, known: list[Any]) -> str:
    near = difflib.get_close_matches(str(given), [str(choice) for choice in known], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
