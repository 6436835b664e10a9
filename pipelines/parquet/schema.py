"""What a task needs of a column, and whether a file has it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
from pyarrow import types

from saccade.pipelines.errors import UserError

Kind = Literal["integer", "float", "number", "string", "binary", "integers", "floats", "integer_lists"]
Null = int | float | str | bytes


@dataclass(frozen=True)
class Column:
    """A column that a task reads.

    Attributes:
        name: its name in the files.
        kind: what it must hold. ``integer`` takes signed and unsigned integers of any width, booleans, and dates, times
            and durations, which become microseconds (of days and moments: since 1970, what is finer is cut off);
            ``float`` any floating point; ``number`` integers, booleans and floating point; ``integers`` and ``floats``
            are lists of them, ``integer_lists`` lists of lists, of any sort (list, large_list, list_view or
            fixed-size). ``string`` and ``binary`` may be of the large, view or dictionary-encoded sort.
        null: what a null becomes, in a list as well; a list that is null itself becomes an empty one. None refuses
            nulls.
    """

    name: str
    kind: Kind
    null: Null | None = None


def _is_integer(found: pa.DataType) -> bool:
    return bool(types.is_integer(found) or types.is_boolean(found) or _is_moment(found))


def _is_moment(found: pa.DataType) -> bool:
    # Not is_temporal alone: an interval of months has no fixed length.
    return bool(types.is_temporal(found) and not types.is_interval(found))


def _is_string(found: pa.DataType) -> bool:
    return bool(types.is_string(found) or types.is_large_string(found) or types.is_string_view(found))


def _is_binary(found: pa.DataType) -> bool:
    return bool(
        types.is_binary(found)
        or types.is_large_binary(found)
        or types.is_fixed_size_binary(found)
        or types.is_binary_view(found)
    )


def is_list(found: pa.DataType) -> bool:
    """Whether it is a list of any sort."""
    views = types.is_list_view(found) or types.is_large_list_view(found)
    return bool(views or types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found))


def _is_list_of(element: Callable[[pa.DataType], bool]) -> Callable[[pa.DataType], bool]:
    def accepts(found: pa.DataType) -> bool:
        return is_list(found) and element(found.value_type)

    return accepts


_ACCEPTS: dict[Kind, Callable[[pa.DataType], bool]] = {
    "integer": _is_integer,
    "float": types.is_floating,
    "number": lambda found: bool(types.is_floating(found) or types.is_integer(found) or types.is_boolean(found)),
    "string": _is_string,
    "binary": _is_binary,
    "integers": _is_list_of(_is_integer),
    "floats": _is_list_of(types.is_floating),
    "integer_lists": _is_list_of(_is_list_of(_is_integer)),
}

_IN_WORDS: dict[Kind, str] = {
    "integer": "integer",
    "float": "floating point",
    "number": "integer or floating point",
    "string": "string",
    "binary": "binary",
    "integers": "list of integers",
    "floats": "list of floats",
    "integer_lists": "list of lists of integers",
}


def accepts(kind: Kind, found: pa.DataType) -> bool:
    """Whether a column of Arrow type ``found`` can be read as ``kind``."""
    if types.is_dictionary(found):
        found = found.value_type
    return _ACCEPTS[kind](found)


def _is_decimal(found: pa.DataType) -> bool:
    return _is_decimal(found.value_type) if is_list(found) else bool(types.is_decimal(found))


def find_field(name: str, found: pa.Schema, file: str) -> pa.Field:
    """The one field of that name in ``found``, the Arrow schema of ``file``.

    Raises:
        UserError: it is missing or there twice.
    """
    count = len(found.get_all_field_indices(name))
    if count == 0:
        nearest = difflib.get_close_matches(name, found.names, n=1, cutoff=0.5)
        hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        raise UserError(f"{file}: no column {name!r}{hint}; it has {', '.join(found.names) or 'no columns'}")
    if count > 1:
        raise UserError(f"{file}: {count} columns are named {name!r}; rename all but one")
    return found.field(name)


def check(columns: Sequence[Column], found: pa.Schema, file: str) -> None:
    """Check that ``found``, the Arrow schema of ``file``, has every column with a type that fits.

    Raises:
        UserError: for the first column that is missing, is there twice or has another type.
    """
    for column in columns:
        type_ = find_field(column.name, found, file).type
        if not accepts(column.kind, type_):
            hint = ": write it as int64 or double" if _is_decimal(type_) else ""
            raise UserError(
                f"{file}: column {column.name!r} has type {type_}, but {_IN_WORDS[column.kind]} is needed{hint}"
            )
