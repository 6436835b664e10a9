from pathlib import Path

import pytest
import torch

from saccade.models.table import Table
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import checkpoints, newest_good
from saccade.pipelines.checkpoint.saver import Saver
from saccade.pipelines.checkpoint.snapshot import HostMemory
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState
from saccade.pipelines.errors import UserError
from saccade.pipelines.shard import TableShard

TABLE = Table("items", 60_000, 64, ("item",))


def make_saver(folder: Path) -> Saver:
    return Saver(folder, job={"run": {"name": "unit"}}, tables=[TABLE], collective=Collective())


def make_state(value: float) -> EngineState:
    """45 MB, all of it ``value``: long enough on its way to the disk to be changed meanwhile."""
    size = (TABLE.rows, TABLE.dim)
    shard = TableShard("items", (0, size[0]), (0, size[1]), torch.full(size, value), {"sum": torch.full(size, value)})
    return EngineState([shard], {"weight/a": torch.full((1000, 3000), value)}, {"loss_scale": value})


def live(state: EngineState) -> list[torch.Tensor]:
    (shard,) = state.shards
    return [shard.weight, shard.optimizer["sum"], state.network["weight/a"]]


def test_what_is_written_is_from_the_moment_of_begin(tmp_path: Path) -> None:
    saver, state = make_saver(tmp_path), make_state(1.0)
    training = {"rows": 1}
    saver.begin(state, step=1, training=training)
    changes = 0
    training["rows"] = 2
    while not saver.written():
        for tensor in live(state):
            tensor.add_(1)
        changes += 1
    assert changes > 0
    reader = CheckpointReader(saver.seal())
    reader.verify()
    for tensor in (reader.table("items", "weight"), reader.table("items", "sum"), reader.network["weight/a"]):
        assert tensor.unique().tolist() == [1.0]
    assert reader.manifest.engine == {"loss_scale": 1.0}
    assert reader.manifest.training == {"rows": 1}


def test_in_flight_until_sealed(tmp_path: Path) -> None:
    saver, state = make_saver(tmp_path), make_state(1.0)
    assert saver.written()
    assert not saver.in_flight
    with pytest.raises(RuntimeError, match="no save is in flight"):
        saver.seal()
    saver.begin(state, step=1, training={})
    assert saver.in_flight
    while not saver.written():
        pass
    assert saver.in_flight
    assert checkpoints(tmp_path) == []
    assert saver.seal() == tmp_path / "step-00000001"
    assert not saver.in_flight
    assert saver.written()


def test_beginning_finishes_the_save_in_flight(tmp_path: Path) -> None:
    saver, state = make_saver(tmp_path), make_state(1.0)
    saver.begin(state, step=1, training={})
    for tensor in live(state):
        tensor.fill_(2)
    saver.begin(state, step=2, training={})
    assert checkpoints(tmp_path) == [tmp_path / "step-00000001"]
    saver.seal()
    for step in (1, 2):  # the memory of the first copy took the second one
        reader = CheckpointReader(tmp_path / f"step-0000000{step}")
        reader.verify()
        assert reader.table("items", "sum").unique().tolist() == [step]
        assert reader.network["weight/a"].unique().tolist() == [step]


def test_a_save_that_is_given_up_counts_for_nothing(tmp_path: Path) -> None:
    saver, state = make_saver(tmp_path), make_state(1.0)
    saver.begin(state, step=1, training={})
    saver.close()
    assert not saver.in_flight
    assert newest_good(tmp_path, pytest.fail) is None
    again = make_saver(tmp_path)
    again.begin(state, step=1, training={})
    CheckpointReader(again.seal()).verify()


def test_what_prevents_writing_is_told_at_the_end(tmp_path: Path) -> None:
    saver, state = make_saver(tmp_path / "taken" / "checkpoints"), make_state(1.0)
    (tmp_path / "taken").write_text("a file")
    saver.begin(state, step=1, training={})
    assert saver.in_flight
    assert saver.written()
    with pytest.raises(UserError, match="step-00000001 could not be written .*Not a directory"):
        saver.seal()
    assert not saver.in_flight
    (tmp_path / "taken").unlink()
    saver.begin(state, step=1, training={})
    CheckpointReader(saver.seal()).verify()


def test_begin_tells_of_the_save_before_it(tmp_path: Path) -> None:
    saver, state = make_saver(tmp_path / "taken" / "checkpoints"), make_state(1.0)
    (tmp_path / "taken").write_text("a file")
    saver.begin(state, step=1, training={})
    with pytest.raises(UserError, match="step-00000001 could not be written"):
        saver.begin(state, step=2, training={})
    assert not saver.in_flight


def test_the_copy_uses_the_same_memory_again() -> None:
    memory, state = HostMemory(), make_state(1.0)
    first = [tensor.data_ptr() for tensor in live(memory.copy(state))]
    second = [tensor.data_ptr() for tensor in live(memory.copy(state))]
    assert first == second
    assert not set(first) & {tensor.data_ptr() for tensor in live(state)}


def test_the_copy_of_a_tensor_that_changed_its_shape() -> None:
    memory = HostMemory()
    for size in (3, 4):
        copied = memory.copy(EngineState([], {"weight/a": torch.arange(size)}, {}))
        assert torch.equal(copied.network["weight/a"], torch.arange(size))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_copy_from_a_gpu_is_page_locked_and_complete() -> None:
    tensor = torch.arange(10_000_000, dtype=torch.float32, device="cuda")
    copied = HostMemory().copy(EngineState([], {"weight/a": tensor}, {})).network["weight/a"]
    tensor.zero_()
    assert copied.is_pinned()
    assert torch.equal(copied, torch.arange(10_000_000, dtype=torch.float32))
