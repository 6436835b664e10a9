"""How tables are placed and cut; that they learn as whole ones do is tested in ``tests/plugins/hybrid``."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.table import Table
from saccade.pipelines.collective import Collective
from saccade.pipelines.errors import UserError
from saccade.pipelines.optimizers import TableOptimizer
from saccade.plugins.torchrec.plan import Placement, nodes, place
from saccade.plugins.torchrec.row_blocks import RowBlocks

CPU = torch.device("cpu")


class Ranks(Collective):
    """So many ranks, as one of them sees them; each has told the others its LOCAL_WORLD_SIZE."""

    def __init__(self, *local_sizes: int) -> None:
        super().__init__()
        self.world_size, self.local_sizes = len(local_sizes), local_sizes

    def gather_objects(self, value: Any) -> list[Any]:
        return list(self.local_sizes)


def placed(ranks: Ranks, *tables: tuple[str, int, Any]) -> dict[str, Placement]:
    return place(
        [Table(name, 100, dim, (name,)) for name, dim, _ in tables],
        {name: TableOptimizer() for name, _, _ in tables},
        {name: sharding for name, _, sharding in tables},
        device=CPU,
        collective=ranks,
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((2, 2), [(0, 1)]),
        ((2, 2, 1), [(0, 1), (2,)]),
        ((1, 1, 1), [(0,), (1,), (2,)]),
        ((3, 3, 3, 1), [(0, 1, 2), (3,)]),
    ],
)
def test_nodes_may_differ_in_size(sizes: tuple[int, ...], expected: list[tuple[int, ...]]) -> None:
    assert [tuple(node) for node in nodes(Ranks(*sizes))] == expected


def test_whole_tables_are_dealt_in_turn() -> None:
    found = placed(
        Ranks(2, 2, 2, 2),
        ("a", 8, "table"),
        ("b", 8, "row"),
        ("c", 8, "table"),
        ("d", 8, "table_row"),
        ("e", 8, "table_row"),
        ("f", 16, "column"),
        ("g", 8, "replicated"),
    )
    assert found == {
        "a": Placement("table", (0,)),
        "b": Placement("row", (0, 1, 2, 3)),
        "c": Placement("table", (1,)),
        "d": Placement("table_row", (0, 1)),
        "e": Placement("table_row", (2, 3)),
        "f": Placement("column", (0, 1, 2, 3)),
        "g": Placement("replicated", (0, 1, 2, 3)),
    }


@pytest.mark.parametrize(("dim", "workers"), [(6, 1), (12, 2), (16, 3)])
def test_columns_that_cannot_be_cut_are_refused(dim: int, workers: int) -> None:
    message = f"can't cut table 'items' of dim {dim} into {workers} parts, one a worker: each part must"
    with pytest.raises(UserError, match=message):
        placed(Ranks(*[workers] * workers), ("items", dim, "column"))


@given(st.integers(1, 50), st.integers(1, 8), st.data())
def test_row_blocks_find_every_row_where_it_was_asked_for(rows: int, count: int, data: st.DataObject) -> None:
    table = Table("items", rows, 2, ("history",))
    blocks = RowBlocks(table, count)
    weight = torch.randn(rows, 2)
    ids = torch.tensor(data.draw(st.lists(st.integers(0, rows - 1), max_size=20)), dtype=torch.int64)
    parts, order = blocks.split("history", ids)
    assert sum(block.rows for block in blocks.blocks) == rows
    assert len(blocks.blocks) <= count
    found = {}
    for number, block in enumerate(blocks.blocks):
        (feature,) = block.features
        assert parts[feature].numel() == 0 or parts[feature].max() < block.rows
        found[feature] = weight[number * blocks.size :][: block.rows][parts[feature]]
    assert torch.equal(blocks.join("history", found, order), weight[ids])
