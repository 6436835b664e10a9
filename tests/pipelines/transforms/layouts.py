"""The same rows in every layout that Arrow has for them, and transforms held to what plain Python says of a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from saccade.pipelines.transforms.transform import Transform

ROWS = st.lists(st.none() | st.lists(st.none() | st.integers(-50, 50), max_size=5), max_size=8)
TEXT_ROWS = st.lists(st.none() | st.lists(st.none() | st.text(max_size=20), max_size=4), max_size=8)
FLOATS = st.none() | st.floats(-1e6, 1e6, allow_nan=False)


def layouts(rows: list[Any], element: pa.DataType) -> Iterator[pa.Array]:
    """Rows of lists, of one value (each row's first), and of lists of lists; whole, and as a slice of more."""
    encodings = [element]
    if pa.types.is_string(element):
        encodings += [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
    for encoded in encodings:
        types = [pa.list_(encoded), pa.large_list(encoded)]
        types += [] if pa.types.is_dictionary(encoded) else [pa.list_view(encoded)]
        for type_ in types:
            yield from _placed(rows, type_)
        yield from _placed([row[0] if row else None for row in rows], encoded)
        yield from _placed([None if row is None else [row, [], row] for row in rows], pa.list_(pa.list_(encoded)))
        square = [(row and (row * 2)[:2]) or None for row in rows]
        yield from _placed(square, pa.list_(encoded, 2))


def _placed(rows: list[Any], type_: pa.DataType) -> Iterator[pa.Array]:
    yield pa.array(rows, type_)
    if rows:
        yield pa.array([rows[-1], *rows, rows[0]], type_).slice(1, len(rows))


def deep(rows: Any, function: Callable[[Any], Any]) -> Any:
    """A function of values, applied inside lists of any depth; None stays None."""
    if isinstance(rows, list):
        return [deep(row, function) for row in rows]
    return None if rows is None else function(rows)


def check(transform: Transform, rows: list[Any], element: pa.DataType, function: Callable[[Any], Any]) -> None:
    """A transform of values does in every layout, and on any part of the rows, what ``function`` does to each value."""
    for array in layouts(rows, element):
        (made,) = transform(array)
        made.validate(full=True)
        assert made.to_pylist() == deep(array.to_pylist(), function), array.type
        check_slices(transform, array)


def check_slices(transform: Transform, *arrays: pa.Array) -> None:
    """A row's result depends on that row alone."""
    whole = transform(*arrays)
    rows = len(arrays[0])
    for first, last in {(0, 0), (0, 1), (rows // 2, rows), (1, rows - 1)}:
        if 0 <= first <= last <= rows:
            parts = transform(*(array.slice(first, last - first) for array in arrays))
            assert [part.to_pylist() for part in parts] == [made.to_pylist()[first:last] for made in whole]
            assert [part.type for part in parts] == [made.type for made in whole]
