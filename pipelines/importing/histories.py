"""Interactions in any order become one history a user, with memory for a part of them at a time.

1. Rows are read once. Users and items get numbers in the order in which they come, and rows go to a temporary file as
   numbers. Only the distinct ids stay in memory, about 200 bytes each.
2. Users are put in order, cut into ranges of ``Intake.partition_rows`` interactions, and the rows dealt to one
   temporary file a range.
3. Each range is sorted by user and time, stably: ties keep the order of the files.
4. Rare users and items are dropped again and again until none is left (the k-core).
5. Items get their final ids, and each range is written.

The temporary files take 20 bytes an interaction, twice, on the disk that the data set goes to. The process peaks at
0.55 GiB for 5,000,000 interactions of 200,000 users, and at 0.63 GiB for 15,000,000 of 1,000,000 users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.format import Rows, option
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.parquet.lengths import Lengths
from saccade.pipelines.vocabulary import Vocabulary

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

COLUMNS = {
    "user_id": "The user: an id of users.parquet.",
    "history": "Items in the order of time: ids of items.parquet, from 1; 0 is left for padding.",
    "timestamps": "When each was: seconds since 1970, UTC.",
    "ratings": "The rating of each.",
}
JOB = """task: next_item
data:
  path: {path}"""

POSITIVE = option(None, "Keep only interactions that are rated at least this.")

_BATCH = 50_000  # histories given at once
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class HistoryOptions:
    """What every format of interactions has.

    Attributes:
        duplicates, min_user, min_item, item_order: see their help.
    """

    duplicates: Literal["keep", "first", "last"] = option(
        "keep",
        "What becomes of a user's further interactions with the same item: only the first or last in time stays.",
    )
    min_user: int = option(1, "Drop users with fewer interactions; repeated with --min-item until nothing changes.")
    min_item: int = option(1, "Drop items with fewer interactions; repeated with --min-user until nothing changes.")
    item_order: Literal["count", "value"] = option(
        "count", "Number items by how often they come, or by their own ids (1, 2, 3, … then stay what they are)."
    )

    def __post_init__(self) -> None:
        for name in ("min_user", "min_item"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} is {getattr(self, name)}: it must be at least 1")


def histories(
    interactions: Iterator[pa.Table],
    options: HistoryOptions,
    intake: Intake,
    *,
    positive: float | None = None,
    details: Callable[[pa.Array], pa.Table] | None = None,
) -> Rows:
    """Collect interactions into histories.

    Args:
        interactions: user and item (string); time (int64, microseconds) and rating (float32) where there are any.
        options: what is kept.
        intake: takes the vocabularies and statistics.
        positive: the least rating to keep.
        details: makes a table of further columns, in the order of the item ids that it is given.

    Yields:
        user_id, history, timestamps, ratings; all of it is the split ``train``.
    """
    users, items = _Numbers(), _Numbers()
    counts = {"read": 0, "below_positive": 0}
    spilled = intake.scratch / "read.arrow"
    _spill(spilled, _numbered(interactions, users, items, positive, counts))
    rejected = intake.rejected
    if not len(users):
        if positive is not None and counts["below_positive"]:
            raise UserError(f"no interaction is rated at least {positive:g}: lower --positive")
        return
    user_values, user_rank = users.ordered()
    item_values, item_rank = items.ordered()
    del users, items  # most of the memory that ids take
    parts = [
        _sorted(part, options, intake.scratch)
        for part in _partition(spilled, user_rank, item_rank, intake.partition_rows, intake.scratch)
    ]
    spilled.unlink()
    kept = _Core.find(parts, len(user_rank), len(item_rank), options.min_user, options.min_item)
    if not kept.interactions:
        raise UserError(
            f"no interaction is left with --min-user {options.min_user} and --min-item {options.min_item}: lower them"
        )
    user_ids = _ids(kept.users > 0)
    by_count = np.argsort(-kept.items, kind="stable") if options.item_order == "count" else None
    item_ids = _ids(kept.items > 0, by_count)
    _save(intake, "users", user_values, user_ids, kept.users)
    chosen_items = _save(intake, "items", item_values, item_ids, kept.items)
    if details is not None:
        path = intake.side_table("item_details", "What is known of the items, in the order of their ids.")
        pq.write_table(details(chosen_items), path, compression="zstd", write_page_checksum=True)
    lengths, span = Lengths(), _Span()
    for part in parts:
        for batch in _emit(pa.Table.from_batches(_batches(part)), user_ids, item_ids, span):
            lengths.add(pc.list_value_length(batch["history"]).to_numpy())
            yield "train", batch
    n_users, n_items = int(user_ids.max()), int(item_ids.max())
    summary = lengths.summary()
    intake.facts.update(
        {
            "rows_read": counts["read"] + rejected,
            "rejected": rejected,
            "below_positive": counts["below_positive"],
            "duplicates": counts["read"] - counts["below_positive"] - kept.of,
            "rare": kept.of - kept.interactions,
            "interactions": kept.interactions,
            "users": n_users,
            "items": n_items,
            "density": kept.interactions / n_users / n_items,
            "history_length": {name: summary[name] for name in ("min", "mean", "p50", "p90", "p99", "max")},
            **span.facts(),
        }
    )


class _Numbers:
    """Numbers for values, in the order in which they come."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def encode(self, column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """The number of each value; what is new gets the next one."""
        encoded = pa.concat_arrays(column.chunks).dictionary_encode()
        numbers = self._numbers
        found = [numbers.setdefault(value, len(numbers)) for value in encoded.dictionary.to_pylist()]
        numbered: npt.NDArray[np.int32] = np.array(found, np.int32)[encoded.indices.to_numpy()]
        return numbered

    def ordered(self) -> tuple[pa.Array, npt.NDArray[np.int32]]:
        """The values in their own order, and the place of each number in it.

        They are integers if all are written as integers are; else text.
        """
        values = pa.array(self._numbers, pa.large_string())
        try:
            integers = values.cast(pa.int64())
            if integers.cast(pa.large_string()).equals(values):  # not 007
                values = integers
        except pa.ArrowInvalid:
            pass
        order = pc.sort_indices(values)
        rank = np.empty(len(values), np.int32)
        rank[order.to_numpy()] = np.arange(len(values), dtype=np.int32)
        return values.take(order), rank


def _numbered(
    interactions: Iterator[pa.Table], users: _Numbers, items: _Numbers, positive: float | None, counts: dict[str, int]
) -> Iterator[pa.Table]:
    for rows in interactions:
        counts["read"] += len(rows)
        if positive is not None:
            before = len(rows)
            rows = rows.filter(pc.greater_equal(rows["rating"], pa.scalar(positive, pa.float32())))
            counts["below_positive"] += before - len(rows)
        if len(rows):
            for name, numbers in (("user", users), ("item", items)):
                place = rows.schema.get_field_index(name)
                rows = rows.set_column(place, name, pa.array(numbers.encode(rows[name])))
            yield rows


def _spill(path: Path, tables: Iterator[pa.Table]) -> None:
    """Write tables to a temporary file; none, if there is no row."""
    writer: pa.RecordBatchFileWriter | None = None
    for table in tables:
        if writer is None:
            writer = pa.ipc.new_file(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """A temporary file, as it was written."""
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def _partition(
    spilled: Path,
    user_rank: npt.NDArray[np.int32],
    item_rank: npt.NDArray[np.int32],
    rows: int,
    folder: Path,
) -> Iterator[Path]:
    """Deal rows to files of consecutive users, about ``rows`` in each; users and items become their ranks."""
    of_user = np.zeros(len(user_rank), np.int64)
    for batch in _batches(spilled):
        of_user += np.bincount(user_rank[batch["user"].to_numpy()], minlength=len(of_user))
    part_of_user = (of_user.cumsum() - of_user) // rows  # by where a user's first row would stand
    count = int(part_of_user[-1]) + 1
    paths = [folder / f"part-{number}.arrow" for number in range(count)]
    writers: dict[int, pa.RecordBatchFileWriter] = {}
    for batch in _batches(spilled):
        user, item = user_rank[batch["user"].to_numpy()], item_rank[batch["item"].to_numpy()]
        columns = {**{name: batch[name] for name in batch.schema.names}, "user": pa.array(user), "item": pa.array(item)}
        ranked = pa.record_batch(columns)
        parts = part_of_user[user]
        for number in np.unique(parts).tolist():
            if number not in writers:
                writers[number] = pa.ipc.new_file(paths[number], ranked.schema)
            writers[number].write_batch(ranked.filter(pa.array(parts == number)) if count > 1 else ranked)
    for writer in writers.values():
        writer.close()
    yield from (paths[number] for number in sorted(writers))  # none, where one user filled several ranges


def _sorted(path: Path, options: HistoryOptions, folder: Path) -> Path:
    """Sort a part by user and time, and drop duplicates."""
    rows = pa.Table.from_batches(_batches(path)).combine_chunks()
    user = rows["user"].to_numpy()
    if "time" in rows.column_names:
        order = np.lexsort((rows["time"].to_numpy(), user))
    else:
        order = np.argsort(user, kind="stable")
    if options.duplicates != "keep":
        order = order[_unique(user[order], rows["item"].to_numpy()[order], options.duplicates == "first")]
    done = folder / f"sorted-{path.name}"
    _spill(done, iter([rows.take(pa.array(order))]))
    path.unlink()
    return done


def _unique(user: npt.NDArray[np.int32], item: npt.NDArray[np.int32], first: bool) -> Integers:
    """Places of the first, or last, of the rows with the same user and item."""
    pair = (user.astype(np.int64) << 32) | item
    if first:
        return np.sort(np.unique(pair, return_index=True)[1])
    return np.sort(len(pair) - 1 - np.unique(pair[::-1], return_index=True)[1])


@dataclass(frozen=True, eq=False)
class _Core:
    """How many interactions each user and item keeps, 0 for those that are dropped, and of how many in all."""

    users: Integers
    items: Integers
    of: int

    @property
    def interactions(self) -> int:
        return int(self.users.sum())

    @staticmethod
    def find(parts: list[Path], users: int, items: int, min_user: int, min_item: int) -> _Core:
        """Drop rare users and items until none is left; one look at all rows each time."""
        user_stays, item_stays = np.ones(users, bool), np.ones(items, bool)
        of = 0
        while True:
            of_user, of_item = np.zeros(users, np.int64), np.zeros(items, np.int64)
            for part in parts:
                for batch in _batches(part):
                    user, item = batch["user"].to_numpy(), batch["item"].to_numpy()
                    both = user_stays[user] & item_stays[item]
                    of_user += np.bincount(user[both], minlength=users)
                    of_item += np.bincount(item[both], minlength=items)
            few_users, few_items = user_stays & (of_user < min_user), item_stays & (of_item < min_item)
            of = of or int(of_user.sum())
            if not few_users.any() and not few_items.any():
                return _Core(of_user, of_item, of)
            user_stays &= ~few_users
            item_stays &= ~few_items


def _ids(stays: Flags, order: Integers | None = None) -> Integers:
    """Ids 1, 2, 3, … for what stays, in the given order or their own; 0 for the rest."""
    chosen = np.flatnonzero(stays) if order is None else order[stays[order]]
    ids = np.zeros(len(stays), np.int64)
    ids[chosen] = np.arange(1, len(chosen) + 1)
    return ids


def _save(intake: Intake, name: str, values: pa.Array, ids: Integers, counts: Integers) -> pa.Array:
    """Write a vocabulary, and give its values in the order of the ids."""
    chosen = np.argsort(ids, kind="stable")[int((ids == 0).sum()) :]
    vocabulary = Vocabulary(values.take(pa.array(chosen)), pa.array(counts[chosen]))
    vocabulary.save(intake.side_table(name, f"The {name}: id, value in the source, number of interactions."))
    return vocabulary.values


class _Span:
    """The first and the last time."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._last: int | None = None

    def add(self, seconds: Integers) -> None:
        first, last = int(seconds.min()), int(seconds.max())
        self._first = first if self._first is None else min(self._first, first)
        self._last = last if self._last is None else max(self._last, last)

    def facts(self) -> dict[str, str]:
        return (
            {} if self._first is None or self._last is None else {"from": _date(self._first), "to": _date(self._last)}
        )


def _date(seconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def _emit(rows: pa.Table, user_ids: Integers, item_ids: Integers, span: _Span) -> Iterator[pa.RecordBatch]:
    """Histories of a sorted part."""
    user, item = user_ids[rows["user"].to_numpy()], item_ids[rows["item"].to_numpy()]
    stays = np.flatnonzero((user > 0) & (item > 0))
    if not len(stays):
        return
    user, item = user[stays], item[stays]
    starts = np.flatnonzero(np.diff(user, prepend=0))
    offsets = np.append(starts, len(user))
    lists = {"history": pa.array(item)}
    if "time" in rows.column_names:
        seconds = rows["time"].to_numpy()[stays] // _MICROSECONDS
        span.add(seconds)
        lists["timestamps"] = pa.array(seconds)
    if "rating" in rows.column_names:
        lists["ratings"] = pa.array(rows["rating"].to_numpy()[stays])
    for first in range(0, len(starts), _BATCH):
        last = min(first + _BATCH, len(starts))
        columns = {"user_id": pa.array(user[starts[first:last]])}
        begin, end = offsets[first], offsets[last]
        for name, values in lists.items():
            part = pa.array((offsets[first : last + 1] - begin).astype(np.int32))
            columns[name] = pa.ListArray.from_arrays(part, values.slice(begin, end - begin), type=_list_of(values.type))
        schema = pa.schema([pa.field(name, array.type, nullable=False) for name, array in columns.items()])
        yield pa.record_batch(list(columns.values()), schema=schema)


def _list_of(type_: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", type_, nullable=False))
