import tempfile
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.models.table import Table
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState
from saccade.pipelines.shard import TableShard

Range = tuple[int, int]


def cuts(size: int) -> st.SearchStrategy[list[Range]]:
    """Ways to cut 0 .. size into consecutive ranges, some of them empty, as ranks without rows have."""
    inner = st.lists(st.integers(0, size), max_size=4).map(sorted)
    return inner.map(lambda at: list(zip([0, *at], [*at, size], strict=True)))


def ranges(size: int) -> st.SearchStrategy[Range]:
    return st.tuples(st.integers(0, size), st.integers(0, size)).map(lambda pair: (min(pair), max(pair)))


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, list[tuple[Range, Range]], Range, Range]:
    height, width = draw(st.integers(1, 30)), draw(st.integers(1, 12))
    columns = draw(cuts(width))
    # Each column piece is cut by rows in its own way, as a mixed sharding plan does.
    pieces = [(rows, c) for c in columns for rows in draw(cuts(height))]
    return height, width, pieces, draw(ranges(height)), draw(ranges(width))


@settings(max_examples=60, deadline=None)
@given(cases())
def test_any_rectangle_from_any_cut(case: tuple[int, int, list[tuple[Range, Range]], Range, Range]) -> None:
    height, width, pieces, rows, columns = case
    weight = torch.arange(height * width, dtype=torch.float32).reshape(height, width)
    by_row = torch.arange(height, dtype=torch.float32)
    shards = [
        TableShard(
            "t", r, c, weight[slice(*r), slice(*c)], {"sum": -weight[slice(*r), slice(*c)], "row": by_row[slice(*r)]}
        )
        for r, c in pieces
    ]
    with tempfile.TemporaryDirectory() as folder:
        state = EngineState(shards, {}, {})
        table = Table("t", height, width, ("f",))
        path = save(Path(folder), state, step=1, training={}, job={}, tables=[table], collective=Collective())
        reader = CheckpointReader(path)
        reader.verify()
        expected = weight[slice(*rows), slice(*columns)]
        assert torch.equal(reader.table("t", "weight", rows, columns), expected)
        assert torch.equal(reader.table("t", "sum", rows, columns), -expected)
        assert torch.equal(reader.table("t", "weight"), weight)
        assert torch.equal(reader.table("t", "row", rows, columns), by_row[slice(*rows)])
        assert torch.equal(reader.table("t", "row"), by_row)
