"""Which options a part takes from a job file: its constructor's arguments, less those that it is supplied with."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from saccade.cluster.job.explain import explain_value
from saccade.models.attention.positions.position import TokenPosition
from saccade.models.registry import Choice, Entry, Kind
from saccade.pipelines.errors import UserError

LAYER = frozenset({"dim", "heads", "key_heads", "max_length"})
SUPPLIED: Mapping[Kind, frozenset[str]] = {
    "score": LAYER,
    "normalizer": LAYER,
    "mask": frozenset(),
    "position": LAYER,
    "block": frozenset({"dim", "heads", "hidden", "dropout", "max_length", "mask", "attention"}),
    "model": frozenset(
        {"dim", "blocks", "heads", "hidden", "dropout", "max_length", "attention", "block", "classes", "features"}
    ),
}
"""What a constructor of each kind gets where it names it; never options. ``AttentionChoice.layer``, ``Encoder`` and
``saccade.cluster.training.networks`` give them."""


@dataclass(frozen=True)
class Option:
    """An argument that a job file may set.

    Attributes:
        name: of the argument.
        type: its annotation, or Any.
        required: whether it has no default.
        default: None where it is required.
    """

    name: str
    type: Any
    required: bool
    default: Any

    def __str__(self) -> str:
        return f"{self.name}: {self.type_name}" + ("" if self.required else f" = {shown_value(self.default)}")

    @property
    def type_name(self) -> str:
        """Its type as people write it."""
        return "list of parts" if self.holds_parts else shown_type(self.type)

    @property
    def holds_parts(self) -> bool:
        """Whether its value is a list of parts, of the kind that it is an option of."""
        return _mentions(self.type, Choice)

    def checked(self, key: str, value: Any) -> Any:
        """The value as its annotation has it (a list as a tuple, say).

        Raises:
            UserError: it has another type; names ``key``.
        """
        try:
            return _adapter(self.type).validate_json(json.dumps(value))
        except ValidationError as error:
            raise UserError(explain_value(error, key, value)) from None


def supplied(entry: Entry) -> frozenset[str]:
    """The arguments that an entry's constructor gets from the layer or the task, if it names them."""
    if entry.kind == "position" and issubclass(entry.cls, TokenPosition):
        return frozenset({"dim", "max_length"})
    return SUPPLIED[entry.kind]


def options_of(entry: Entry) -> dict[str, Option]:
    """What a job file may set of it, by name."""
    try:
        hints = get_type_hints(entry.cls.__init__)  # type: ignore[misc]  # it's of this very class
    except Exception:  # annotations that exist for type checkers only
        hints = {}
    return {
        name: Option(
            name,
            hints.get(name, Any),
            parameter.default is inspect.Parameter.empty,
            None if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for name, parameter in entry.parameters.items()
        if name not in supplied(entry)
    }


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    """Checks values as exactly as the job file's own keys; what pydantic can't check, the constructor has to."""
    config = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
    try:
        return TypeAdapter(annotation, config=config)
    except PydanticUserError:
        return TypeAdapter(Any)


def _mentions(annotation: Any, cls: type) -> bool:
    return annotation is cls or any(_mentions(argument, cls) for argument in get_args(annotation))


def shown_type(annotation: Any) -> str:
    """An annotation as people write it: ``float | None``, ``Literal['pre', 'post']``."""
    if annotation is None or annotation is types.NoneType:
        return "None"
    if isinstance(annotation, types.UnionType):
        return " | ".join(map(shown_type, get_args(annotation)))
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None:
        return getattr(annotation, "__name__", str(annotation))
    inside = ", ".join(shown_type(a) if not isinstance(a, str) else repr(a) for a in arguments)
    return f"{getattr(origin, '__name__', str(origin).removeprefix('typing.'))}[{inside}]"


def shown_value(value: Any) -> str:
    """A default as a job file writes it."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return str(value)
