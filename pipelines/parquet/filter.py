"""Which rows are read: conditions on columns of the files, row groups left out by their statistics alone.

Statistics cost nothing, since footers are read anyway; a row group that they don't rule out is decoded, with the
conditions' columns besides the task's, and filtered before anything else is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.footer import leaf_columns, statistics
from saccade.pipelines.parquet.schema import find_field

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
Value = bool | int | float | str

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "in": lambda values, among: pc.is_in(values, value_set=among),
    "not in": lambda values, among: pc.invert(pc.is_in(values, value_set=among)),
}


@dataclass(frozen=True)
class Condition:
    """What a row must fulfil to be read. A null fulfils none.

    Attributes:
        column: of the files, holding single values: numbers, booleans, text, dates or timestamps.
        operator: how it is compared.
        value: with what; a list for ``in`` and ``not in``. Dates and timestamps are written as text ("2024-01-31",
            "2024-01-31 12:00:00").

    Raises:
        UserError: the operator is unknown, or the value isn't of its sort.
    """

    column: str
    operator: Operator
    value: Value | Sequence[Value]

    def __post_init__(self) -> None:
        if self.operator not in get_args(Operator):
            raise UserError(f"filter {self}: unknown operator: choose one of {', '.join(get_args(Operator))}")
        is_list = isinstance(self.value, Sequence) and not isinstance(self.value, str)
        if is_list != self.operator.endswith("in"):
            needed = "a list of values" if self.operator.endswith("in") else "one value"
            raise UserError(f"filter {self}: {self.operator!r} needs {needed}")
        if is_list:  # so that a condition may be compared and sent
            object.__setattr__(self, "value", tuple(self.values))

    def __str__(self) -> str:
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return f"{self.column} {self.operator} {value!r}"

    @property
    def values(self) -> Sequence[Value]:
        """The value, or all of the list."""
        value = self.value
        return value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)

    def check(self, schema: pa.Schema, file: str) -> None:
        """Check that a file has the column, and that its type can be compared with the value.

        Raises:
            UserError: it hasn't, or it can't.
        """
        found = find_field(self.column, schema, file).type
        try:
            self._operand(found)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"{file}: filter {self}: column {self.column!r} has type {found}, which can't be compared so "
                "(numbers and booleans with numbers, text with text, dates and timestamps with text like '2024-01-31')"
            ) from error

    def holds(self, array: pa.Array) -> pa.Array:
        """Which values fulfil it: booleans, none of them null."""
        if types.is_dictionary(array.type):
            array = array.dictionary_decode()
        compared = _compared_as(array.type, self.values)
        operand = self._operand(array.type)
        found = _COMPARE[self.operator](array.cast(compared, safe=False), operand)
        return pc.and_(pc.fill_null(found, False), array.is_valid())

    def may_hold(self, metadata: pq.FileMetaData, row_group: int) -> bool:
        """Whether a row of a row group may fulfil it, as far as statistics tell."""
        (leaf,) = leaf_columns(metadata, self.column)
        found = statistics(metadata, row_group, leaf)
        if found is None:
            return True
        if found.has_null_count and found.null_count == metadata.row_group(row_group).num_rows:
            return False
        type_ = metadata.schema.to_arrow_schema().field(self.column).type
        if not found.has_min_max or not _has_exact_statistics(type_):
            return True
        try:
            low, high = (pa.array([bound], type_) for bound in (found.min, found.max))
        except (pa.ArrowException, ValueError, OverflowError):  # a year that Python doesn't know
            return True
        match self.operator:
            case "<" | "<=":
                return self._is_true(low)
            case ">" | ">=":
                return self._is_true(high)
            case "==" | "in":
                return any(
                    Condition(self.column, "<=", value)._is_true(low)
                    and Condition(self.column, ">=", value)._is_true(high)
                    for value in self.values
                )
        return True  # a row group where all values are the same is too seldom to be looked for

    def _is_true(self, array: pa.Array) -> bool:
        return bool(self.holds(array)[0].as_py())

    def _operand(self, found: pa.DataType) -> pa.Scalar | pa.Array:
        """The value as Arrow compares it with a column of that type."""
        compared = _compared_as(found, self.values)
        values = pa.array(list(self.values))
        operand = values.cast(compared, safe=not types.is_floating(compared))
        return operand if self.operator.endswith("in") else operand[0]


def select(conditions: Sequence[Condition], batch: pa.RecordBatch) -> pa.Array:
    """Which rows fulfil all of the conditions (at least one): booleans."""
    return reduce(pc.and_, (condition.holds(batch.column(condition.column)) for condition in conditions))


def _compared_as(found: pa.DataType, values: Sequence[Value]) -> pa.DataType:
    """The type that both sides are brought to.

    Raises:
        TypeError: there is none.
    """
    if types.is_dictionary(found):
        found = found.value_type
    texts = [isinstance(value, str) for value in values]
    if types.is_string(found) or types.is_large_string(found) or types.is_string_view(found):
        if all(texts):
            return pa.large_string()
    elif types.is_date(found) or types.is_timestamp(found):
        if all(texts):
            return found
    elif any(texts):
        pass
    elif types.is_integer(found) or types.is_boolean(found):
        if any(isinstance(value, float) for value in values):
            return pa.float64()
        return pa.uint64() if found == pa.uint64() else pa.int64()
    elif types.is_floating(found):
        return pa.float32() if types.is_float16(found) else found
    raise TypeError(f"{found} can't be compared")


def _has_exact_statistics(type_: pa.DataType) -> bool:
    """Whether the smallest and largest value come out of a footer as they were stored."""
    number = types.is_integer(type_) or types.is_boolean(type_) or types.is_float32(type_) or types.is_float64(type_)
    text = types.is_string(type_) or types.is_large_string(type_)
    # Python's moments have no nanoseconds.
    moment = types.is_date32(type_) or (types.is_timestamp(type_) and type_.unit != "ns")
    return bool(number or text or moment)
