"""Synthetic behaviour histories as a Parquet data set, with the best reachable result beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.lengths import Lengths
from saccade.pipelines.synthesize.chunk import SHORTEST, Chunk, draw_chunk, users_in_chunk
from saccade.pipelines.synthesize.world import SKEW, TRANSITIONS, World

_ROW_GROUP = 4096
_TRUTH = "truth.json"


def write_histories(
    path: Path, *, users: int, items: int, clusters: int, mean_length: int, seed: int, files: int
) -> dict[str, Any]:
    """Write ``path/train/part-*.parquet`` (user_id, history) and ``path/truth.json``.

    A user's next item is drawn in two steps: its cluster by a Markov chain from the last item's cluster, then the item
    by popularity among those of the cluster that the user hasn't seen. The exact distribution of the next item
    therefore is known, and with it the best ranking that any model can give.

    The same arguments give the same files on any machine with the same NumPy; ``files`` only cuts the rows apart.

    Args:
        path: the folder; made if need be, replaced if it holds synthetic histories.
        users: number of rows; user ids are 1..users.
        items: item ids are 1..items.
        clusters: number of clusters that the items are dealt to.
        mean_length: of a history, before it is cut at ``items``; lengths are log-normal, at least 5.
        seed: of everything random.
        files: number of Parquet files.

    Returns:
        What truth.json holds: {"best": {"test/ndcg@10", "expected_test/ndcg@10", "test/hr@10", …, and "valid/…"},
        "parameters", "users", "items", "events", "lengths"}. ``best`` is leave-one-out (test: the last item, valid: the
        one before it) with full ranking and seen items removed: what the known distribution reaches on the very items
        written, and (expected) on average over all that might have come.

    Raises:
        UserError: an argument is out of range, or the folder holds other data.
    """
    _check(users=users, items=items, clusters=clusters, mean_length=mean_length, files=files, seed=seed)
    train = Path(path) / "train"
    _clear(Path(path), train)
    world = World.make(items, clusters, seed)
    lengths, scores, events = Lengths(), np.zeros((4, 2)), 0
    writer = _Writer(train, [users * (n + 1) // files for n in range(files)])
    with writer:
        for chunk in _draw(world, users, mean_length, seed):
            writer.write(chunk)
            lengths.add(chunk.lengths)
            events += len(chunk.values)
            both = (chunk.ndcg, chunk.hit, chunk.expected_ndcg, chunk.expected_hit)
            scores += np.stack([values.sum(axis=0) for values in both])
    scores /= users
    truth: dict[str, Any] = {
        "best": {
            f"{prefix}{split}/{metric}@10": float(scores[2 * (prefix != "") + (metric == "hr"), column])
            for split, column in (("valid", 0), ("test", 1))
            for prefix in ("", "expected_")
            for metric in ("ndcg", "hr")
        },
        "users": users,
        "items": items,
        "events": events,
        "parameters": {
            "users": users,
            "items": items,
            "clusters": clusters,
            "mean_length": mean_length,
            "seed": seed,
            "files": files,
            "popularity_skew": SKEW,
            "transitions": list(TRANSITIONS),
        },
        "lengths": lengths.summary(),
    }
    (Path(path) / _TRUTH).write_text(json.dumps(truth, indent=2) + "\n")
    return truth


def _check(**given: int) -> None:
    for name, least in (("users", 1), ("items", 2), ("clusters", 1), ("files", 1), ("seed", 0)):
        if given[name] < least:
            raise UserError(f"{name} is {given[name]}, but must be at least {least}")
    if given["clusters"] > given["items"]:
        raise UserError(f"clusters is {given['clusters']}, but there are only {given['items']} items")
    if not SHORTEST <= given["mean_length"] <= given["items"]:
        raise UserError(
            f"mean_length is {given['mean_length']}, but must be {SHORTEST}..{given['items']}: no item comes twice"
        )
    if given["files"] > given["users"]:
        raise UserError(f"files is {given['files']}, but there are only {given['users']} users")


def _clear(path: Path, train: Path) -> None:
    """Make the folder, and remove what an earlier call left: files of another number would mix with the new ones."""
    old = sorted(train.glob("*.parquet"))
    if old and not (path / _TRUTH).exists():
        raise UserError(f"{train}: holds other data ({old[0].name}, …); choose an empty folder")
    train.mkdir(parents=True, exist_ok=True)
    for file in old:
        file.unlink()
    (path / _TRUTH).write_text("{}\n")  # until all is written; what an interrupted call leaves may be replaced too


def _draw(world: World, users: int, mean_length: int, seed: int) -> Iterator[Chunk]:
    size = users_in_chunk(int(world.sizes.sum()))
    for number, first in enumerate(range(0, users, size)):
        yield draw_chunk(world, min(size, users - first), mean_length, seed, number)


class _Writer:
    """Cuts a stream of chunks into files that end at the given rows, and these into row groups."""

    def __init__(self, folder: Path, ends: list[int]) -> None:
        self._folder, self._ends = folder, ends
        self._schema = pa.schema(
            [
                pa.field("user_id", pa.int64(), nullable=False),
                pa.field("history", pa.list_(pa.field("element", pa.int64(), nullable=False)), nullable=False),
            ]
        )
        self._file = 0
        self._row = 0  # the next one to write
        self._waiting: list[pa.Table] = []
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, chunk: Chunk) -> None:
        """Write what fills row groups and files; the rest waits for the next chunk."""
        offsets = np.concatenate([[0], chunk.lengths.cumsum()]).astype(np.int32)
        history = pa.ListArray.from_arrays(pa.array(offsets), pa.array(chunk.values), type=self._schema.field(1).type)
        first = self._row + sum(map(len, self._waiting)) + 1
        ids = pa.array(np.arange(first, first + len(chunk.lengths)))
        self._waiting.append(pa.table([ids, history], schema=self._schema))
        rows = pa.concat_tables(self._waiting)
        begin = 0
        while self._file < len(self._ends):
            count = min(_ROW_GROUP, self._ends[self._file] - self._row)
            if begin + count > len(rows):
                break
            if self._writer is None:
                file = self._folder / f"part-{self._file:05}.parquet"
                self._writer = pq.ParquetWriter(file, self._schema, compression="zstd", write_page_checksum=True)
            self._writer.write_table(rows.slice(begin, count), row_group_size=_ROW_GROUP)
            begin += count
            self._row += count
            if self._row == self._ends[self._file]:
                self._writer.close()
                self._writer = None
                self._file += 1
        self._waiting = [rows.slice(begin)]
