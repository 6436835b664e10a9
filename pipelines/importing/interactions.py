"""Who did what when: values of a file as users, items, times and ratings, and what is wrong with the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.chunk import Chunk, Faults
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.values import NUMBER, flags, numbers_of, quoted, text_of

TimeFormat = Literal["seconds", "milliseconds", "microseconds", "nanoseconds", "iso"]

_MICROSECONDS = {"seconds": 1e6, "milliseconds": 1e3, "microseconds": 1.0, "nanoseconds": 1e-3}
_LARGEST = 2.0**53  # microseconds, the year 2255: up to here float64 is exact
_ZONED = r":[0-9]{2}.*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_YEAR_1 = -62_135_596_800_000_000  # where Python's dates begin, but not Arrow's
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Fields:
    """Which columns of a chunk mean what.

    Attributes:
        user, item: ids, text or integers.
        time: when it happened; None where files say nothing of it.
        rating: a number; None without.
    """

    user: str
    item: str
    time: str | None = None
    rating: str | None = None

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [name for name in (self.user, self.item, self.time, self.rating) if name is not None]


def read_interactions(chunks: Iterator[Chunk], fields: Fields, time_format: str, intake: Intake) -> Iterator[pa.Table]:
    """Make interactions of rows.

    Args:
        chunks: rows as files have them; columns of bytes, text or integers (times and ratings also floats).
        fields: their columns.
        time_format: one of ``TimeFormat``, a pattern with % as strptime has it, or ``auto``: the first row decides.
        intake: takes the rejects.

    Yields:
        user and item (string), time (int64, microseconds since 1970) and rating (float32) where there are any.
    """
    unit = time_format
    for chunk in chunks:
        faults = Faults(chunk)
        columns = {
            "user": _ids(chunk.table[fields.user], "user", faults),
            "item": _ids(chunk.table[fields.item], "item", faults),
        }
        if fields.time is not None:
            text = text_of(chunk.table[fields.time], "time", faults)
            if unit == "auto" and (first := _first(text, faults.good)) is not None:
                unit = _guess(first)
                intake.facts["time_format"] = unit
            columns["time"] = _times(text, unit, faults)
        if fields.rating is not None:
            text = text_of(chunk.table[fields.rating], "rating", faults)
            ratings = numbers_of(text, "rating", faults)
            columns["rating"] = pa.array(ratings.astype(np.float32))
        faults.tell(intake)
        rows = pa.table(columns)
        yield rows if faults.good.all() else rows.filter(pa.array(faults.good))


def _ids(column: pa.ChunkedArray, name: str, faults: Faults) -> pa.Array:
    text = text_of(column, name, faults)
    faults.add(flags(pc.match_substring(text, "\n")), f"{name} has a line break in it")
    faults.add(flags(pc.match_substring(text, "\0")), f"{name} has a NUL byte in it")
    return text


def _first(text: pa.Array, good: npt.NDArray[np.bool_]) -> str | None:
    """The first good row's value that is a time at all."""
    for row in np.flatnonzero(good).tolist():
        value: str = text[row].as_py()
        if re.match(NUMBER, value) or _iso(value) is not None:
            return value
    return None


def _guess(value: str) -> TimeFormat:
    """The unit in which a number is a date between 1973 and 5138; small ones may count anything, in seconds."""
    if not re.match(NUMBER, value):
        return "iso"
    size = abs(float(value))
    if size < 1e11:
        return "seconds"
    return "milliseconds" if size < 1e14 else "microseconds" if size < 1e17 else "nanoseconds"


def _times(text: pa.Array, unit: str, faults: Faults) -> pa.Array:
    """Microseconds since 1970, UTC; what names no zone is taken for UTC."""
    if unit in _MICROSECONDS:
        numbers = np.rint(numbers_of(text, "time", faults) * _MICROSECONDS[unit])
        wide = np.abs(numbers) >= _LARGEST
        faults.add(wide, lambda row: f"time {quoted(text, row)} is beyond the year 2255 in {unit}")
        numbers[wide | ~np.isfinite(numbers)] = 0
        return pa.array(numbers.astype(np.int64))
    if "%" in unit:
        parsed = pc.strptime(text, unit, "us", error_is_null=True).cast(pa.int64())
        fits = flags(pc.greater_equal(parsed, _YEAR_1))
        faults.add(~fits, lambda row: f"time {quoted(text, row)} isn't like {unit}")
        return pc.fill_null(parsed, 0)
    return _iso_times(text, faults)


def _iso_times(text: pa.Array, faults: Faults) -> pa.Array:
    zoned = pc.match_substring_regex(text, _ZONED)
    try:
        # Each cast refuses the other sort, so it gets null in its place.
        with_zone = pc.if_else(zoned, text, None).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        without = pc.if_else(zoned, None, text).cast(pa.timestamp("us")).cast(pa.int64())
        times = pc.coalesce(with_zone, without)
    except pa.ArrowInvalid:
        times = None
    if times is None or (len(times) and (pc.min(times).as_py() or 0) < _YEAR_1):
        times = pa.array([None if value is None else _iso(value) for value in text.to_pylist()], pa.int64())
        faults.add(flags(times.is_null()), lambda row: f"time {quoted(text, row)} isn't an ISO 8601 date")
    return pc.fill_null(times, 0)


def _iso(value: str) -> int | None:
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def check_time_format(value: str) -> None:
    """Refuse what no time can be read by.

    Raises:
        UserError: it is neither a unit nor a pattern.
    """
    if value not in ("auto", "iso", *_MICROSECONDS) and "%" not in value:
        known = ", ".join(("auto", *_MICROSECONDS, "iso"))
        raise UserError(f"--time-format is {value!r}: choose one of {known}, or a pattern such as '%d/%m/%Y %H:%M'")
