from pathlib import Path

import pytest
import torch

from saccade.models.table import Table
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.restore import check_tables, restore
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState
from saccade.pipelines.errors import UserError
from saccade.pipelines.shard import TableShard

Range = tuple[int, int]


def no_rows(first: int, last: int) -> torch.Tensor:
    raise AssertionError("no row is new")


WEIGHT = torch.arange(40, dtype=torch.float32).reshape(10, 4)
BY_ROW = torch.arange(10, dtype=torch.float32) * 100


def piece(rows: Range, columns: Range, fill: float | None = None) -> TableShard:
    """A shard with what was saved, or with ``fill`` everywhere."""
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    if fill is None:
        element = WEIGHT[slice(*rows), slice(*columns)]
        return TableShard("items", rows, columns, element, {"momentum": -element, "sum": BY_ROW[slice(*rows)]})
    state = {"momentum": torch.full((height, width), fill), "sum": torch.full((height,), fill)}
    return TableShard("items", rows, columns, torch.full((height, width), fill), state)


@pytest.fixture
def checkpoint(tmp_path: Path) -> CheckpointReader:
    """Saved in four pieces, with an element-wise and a row-wise state."""
    shards = [piece(rows, columns) for rows in [(0, 7), (7, 10)] for columns in [(0, 1), (1, 4)]]
    tables = [Table("items", 10, 4, ("item",))]
    state = EngineState(shards, {}, {})
    return CheckpointReader(save(tmp_path, state, step=3, training={}, job={}, tables=tables, collective=Collective()))


@pytest.mark.parametrize("rows", [(0, 10), (0, 4), (5, 9), (6, 6)])
@pytest.mark.parametrize("columns", [(0, 4), (0, 2), (3, 4)])
@pytest.mark.parametrize("block", [3, 1000])
def test_any_cut_takes_its_part(
    checkpoint: CheckpointReader, rows: Range, columns: Range, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saccade.pipelines.checkpoint.restore.BLOCK", block)
    shard = piece(rows, columns, fill=-7.0)
    restore(shard, checkpoint, no_rows)
    assert torch.equal(shard.weight, WEIGHT[slice(*rows), slice(*columns)])
    assert torch.equal(shard.optimizer["momentum"], -WEIGHT[slice(*rows), slice(*columns)])
    assert torch.equal(shard.optimizer["sum"], BY_ROW[slice(*rows)])


@pytest.mark.parametrize("rows", [(0, 14), (8, 12), (10, 14), (12, 14)])
@pytest.mark.parametrize("block", [3, 1000])
def test_a_grown_tables_new_rows_begin_anew(
    checkpoint: CheckpointReader, rows: Range, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saccade.pipelines.checkpoint.restore.BLOCK", block)
    shard = piece(rows, (1, 3), fill=-7.0)
    initial = torch.randn(14, 4)
    restore(shard, checkpoint, lambda first, last: initial[first:last])
    old = max(0, 10 - rows[0])
    assert torch.equal(shard.weight[:old], WEIGHT[rows[0] : 10, 1:3])
    assert torch.equal(shard.optimizer["sum"][:old], BY_ROW[rows[0] : 10])
    assert shard.weight[old:].numel() > 0
    assert torch.equal(shard.weight[old:], initial[rows[0] + old : rows[1], 1:3])
    for tensor in shard.optimizer.values():
        assert (tensor[old:] == 0).all()


def test_a_whole_model_is_checked_alike_on_all_ranks(checkpoint: CheckpointReader) -> None:
    def table(rows: int, dim: int = 4, name: str = "items") -> list[Table]:
        return [Table(name, rows, dim, ("item",))]

    check_tables(table(10), checkpoint)
    check_tables(table(12), checkpoint, grow={"items"})
    with pytest.raises(UserError, match=r"items has 12 rows in the job and 10 in .*tables.items.grow=true to add 2"):
        check_tables(table(12), checkpoint, grow={"users"})
    with pytest.raises(UserError, match=r"items has 9 rows in the job and 10 in .* tables.items.rows=10 or more"):
        check_tables(table(9), checkpoint, grow={"items"})
    with pytest.raises(UserError, match=r"items is 3 wide in the job and 4 in"):
        check_tables(table(10, dim=3), checkpoint)
    with pytest.raises(UserError, match=r"no table users \(it has: items\)"):
        check_tables(table(10, name="users"), checkpoint)


def test_a_state_of_another_kind_is_refused(checkpoint: CheckpointReader) -> None:
    weight = torch.zeros(10, 4)
    with pytest.raises(UserError, match="a value for each row in the optimizer state sum of table items"):
        restore(TableShard("items", (0, 10), (0, 4), weight, {"sum": torch.zeros(10, 4)}), checkpoint, no_rows)
    with pytest.raises(UserError, match="no optimizer state exp_avg for table items"):
        restore(TableShard("items", (0, 10), (0, 4), weight, {"exp_avg": torch.zeros(10, 4)}), checkpoint, no_rows)


def test_a_weight_that_collects_gradients(checkpoint: CheckpointReader) -> None:
    weight = torch.nn.Parameter(torch.zeros(10, 4))
    restore(TableShard("items", (0, 10), (0, 4), weight, {}), checkpoint, no_rows)
    assert torch.equal(weight, WEIGHT)
    assert weight.grad_fn is None
