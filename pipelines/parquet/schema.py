"""What a task needs of a column, and whether a file has it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
from pyarrow import types

from saccade.pipelines.errors import UserError

Kind = Literal["integer", "float", "string", "binary", "integers", "floats"]


@dataclass(frozen=True)
class Column:
    """A column that a task reads.

    Attributes:
        name: its name in the files.
        kind: what it must hold. ``integer`` takes signed and unsigned integers of any width and booleans, ``float`` any
            floating point; ``integers`` and ``floats`` are lists of them (list, large_list or fixed-size list).
            ``string`` and ``binary`` may be of the large, view or dictionary-encoded sort. Nulls are not taken.
    """

    name: str
    kind: Kind


def _is_integer(found: pa.DataType) -> bool:
    return bool(types.is_integer(found) or types.is_boolean(found))


def _is_string(found: pa.DataType) -> bool:
    return bool(types.is_string(found) or types.is_large_string(found) or types.is_string_view(found))


def _is_binary(found: pa.DataType) -> bool:
    return bool(
        types.is_binary(found)
        or types.is_large_binary(found)
        or types.is_fixed_size_binary(found)
        or types.is_binary_view(found)
    )


def _is_list_of(element: Callable[[pa.DataType], bool]) -> Callable[[pa.DataType], bool]:
    def accepts(found: pa.DataType) -> bool:
        is_list = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
        return bool(is_list) and element(found.value_type)

    return accepts


_ACCEPTS: dict[Kind, Callable[[pa.DataType], bool]] = {
    "integer": _is_integer,
    "float": types.is_floating,
    "string": _is_string,
    "binary": _is_binary,
    "integers": _is_list_of(_is_integer),
    "floats": _is_list_of(types.is_floating),
}

_IN_WORDS: dict[Kind, str] = {
    "integer": "integer",
    "float": "floating point",
    "string": "string",
    "binary": "binary",
    "integers": "list of integers",
    "floats": "list of floats",
}


def accepts(kind: Kind, found: pa.DataType) -> bool:
    """Whether a column of Arrow type ``found`` can be read as ``kind``."""
    if types.is_dictionary(found):
        found = found.value_type
    return _ACCEPTS[kind](found)


def check(columns: Sequence[Column], found: pa.Schema, file: str) -> None:
    """Check that ``found``, the Arrow schema of ``file``, has every column with a type that fits.

    Raises:
        UserError: for the first column that is missing, is there twice or has another type.
    """
    for column in columns:
        count = len(found.get_all_field_indices(column.name))
        if count == 0:
            nearest = difflib.get_close_matches(column.name, found.names, n=1, cutoff=0.5)
            hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
            raise UserError(f"{file}: no column {column.name!r}{hint}; it has {', '.join(found.names) or 'no columns'}")
        if count > 1:
            raise UserError(f"{file}: {count} columns are named {column.name!r}; rename all but one")
        type_ = found.field(column.name).type
        if not accepts(column.kind, type_):
            raise UserError(f"{file}: column {column.name!r} has type {type_}, but {_IN_WORDS[column.kind]} is needed")
