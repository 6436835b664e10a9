import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from saccade.models.table import Table
from saccade.pipelines.checkpoint.manifest import DamagedCheckpoint, FileEntry, Manifest
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState
from saccade.pipelines.errors import UserError
from saccade.pipelines.shard import TableShard

Save = Callable[[Path, int], Path]


def save_shards(folder: Path, shards: list[TableShard], table: Table) -> Path:
    return save(
        folder, EngineState(shards, {}, {}), step=1, training={}, job={}, tables=[table], collective=Collective()
    )


def test_everything_comes_back_bitwise(tmp_path: Path, save_step: Save, small_state: EngineState) -> None:
    path = save_step(tmp_path / "deep" / "checkpoints", 100)
    assert path.name == "step-00000100"
    reader = CheckpointReader(path)
    reader.verify()
    assert reader.table_rows("items") == 10
    assert reader.states("items") == ("sum",)
    assert torch.equal(reader.table("items", "weight"), torch.cat([s.weight for s in small_state.shards]))
    assert torch.equal(reader.table("items", "sum"), torch.cat([s.optimizer["sum"] for s in small_state.shards]))
    assert set(reader.network) == set(small_state.network)
    for name, tensor in small_state.network.items():
        assert name in reader.network
        assert torch.equal(reader.network[name], tensor)
        assert reader.network[name].shape == tensor.shape
    assert "weight/other" not in reader.network


def test_the_manifest_says_what_is_there(tmp_path: Path, save_step: Save) -> None:
    path = save_step(tmp_path, 100)
    manifest = CheckpointReader(path).manifest
    assert manifest.step == 100
    assert manifest.training == {"epoch": 1, "lanes": [[0, 2], [1, 0]], "best": 0.125}
    assert manifest.job == {"run": {"name": "unit"}}
    assert manifest.engine == {"loss_scale": 1024.0}
    assert list(manifest.tables["items"].features) == ["item"]
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert files == {*manifest.files, "manifest.json"}
    assert len({(path / file).stat().st_mode for file in files}) == 1  # readable for the same people
    assert [child.name for child in tmp_path.iterdir()] == ["step-00000100"]


def test_files_open_with_safetensors_alone(tmp_path: Path, save_step: Save, small_state: EngineState) -> None:
    path = save_step(tmp_path, 1)
    piece = load_file(path / "tables/items/rows-6-10_columns-0-4.safetensors")
    assert torch.equal(piece["weight"], small_state.shards[1].weight)
    assert load_file(path / "network/part-0-of-1.safetensors").keys() == small_state.network.keys()
    assert json.loads((path / "manifest.json").read_text())["version"] == 1


def test_the_same_step_is_replaced(tmp_path: Path, save_step: Save, small_state: EngineState) -> None:
    save_step(tmp_path, 1)
    small_state.network["weight/linear.weight"].zero_()  # type: ignore[index]
    reader = CheckpointReader(save_step(tmp_path, 1))
    reader.verify()
    assert not reader.network["weight/linear.weight"].any()
    assert len(list(tmp_path.iterdir())) == 1


def test_tied_and_strided_tensors_are_saved(tmp_path: Path) -> None:
    weight = torch.randn(4, 3, requires_grad=True)
    network = {"weight/a": weight, "weight/b": weight, "weight/c": weight.detach().T}
    path = save(tmp_path, EngineState([], network, {}), step=1, training={}, job={}, tables=[], collective=Collective())
    reader = CheckpointReader(path)
    assert torch.equal(reader.network["weight/a"], weight)
    assert torch.equal(reader.network["weight/b"], weight)
    assert torch.equal(reader.network["weight/c"], weight.T)


def test_an_older_manifest_has_no_engine_and_no_features(tmp_path: Path, save_step: Save) -> None:
    path = save_step(tmp_path, 1)
    content = json.loads((path / "manifest.json").read_text())
    del content["engine"], content["tables"]["items"]["features"], content["sha256"]
    text = json.dumps(content, sort_keys=True)
    content["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(content))
    manifest = CheckpointReader(path).manifest
    assert manifest.engine == {}
    assert list(manifest.tables["items"].features) == []


def test_row_wise_state_is_of_the_whole_row(tmp_path: Path) -> None:
    table, total = Table("items", 4, 6, ("item",)), torch.rand(4)
    shards = [
        TableShard("items", (0, 4), columns, torch.randn(4, columns[1] - columns[0]), {"sum": total})
        for columns in [(0, 2), (2, 6)]
    ]
    reader = CheckpointReader(save_shards(tmp_path, shards, table))
    assert torch.equal(reader.table("items", "sum", (1, 3), (3, 4)), total[1:3])
    assert torch.equal(reader.table("items", "sum"), total)


def test_what_is_not_there_is_named(tmp_path: Path, save_step: Save) -> None:
    reader = CheckpointReader(save_step(tmp_path, 1))
    with pytest.raises(UserError, match=r"no table users \(it has: items\)"):
        reader.table("users", "weight")
    with pytest.raises(UserError, match=r"no optimizer state momentum for table items \(it has: sum\)"):
        reader.table("items", "momentum")
    with pytest.raises(ValueError, match="which has 10 x 4"):
        reader.table("items", "weight", (0, 11))
    with pytest.raises(UserError, match="there is no checkpoint"):
        CheckpointReader(tmp_path / "step-00000002")
    assert reader.table("items", "weight", (3, 3)).shape == (0, 4)


@pytest.mark.parametrize("rows", [[(0, 2)], [(0, 2), (1, 3)], [(0, 2), (0, 2), (2, 3)]])
def test_shards_that_are_not_the_table_are_refused(tmp_path: Path, rows: list[tuple[int, int]]) -> None:
    shards = [TableShard("items", r, (0, 2), torch.zeros(r[1] - r[0], 2), {}) for r in rows]
    with pytest.raises(ValueError, match="these aren't the 3 x 2 of items"):
        save_shards(tmp_path, shards, Table("items", 3, 2, ("item",)))
    assert not (tmp_path / "step-00000001").exists()


def test_a_shard_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    shard = TableShard("items", (0, 3), (0, 2), torch.zeros(3, 2), {"sum": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"items: sum is \(2,\)"):
        save_shards(tmp_path, [shard], Table("items", 3, 2, ("item",)))


def test_a_storage_path_that_cannot_be_written_is_named(tmp_path: Path, save_step: Save) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match=r"step-00000001 could not be written to .*taken/checkpoints: Not a directory"):
        save_step(tmp_path / "taken" / "checkpoints", 1)


def test_a_file_outside_the_checkpoint_is_never_opened(tmp_path: Path, save_step: Save) -> None:
    path = save_step(tmp_path, 1)
    manifest = Manifest.read(path)
    Manifest(**{**vars(manifest), "files": {**manifest.files, "../secret": FileEntry(1, "0")}}).write(path)
    with pytest.raises(DamagedCheckpoint, match="outside the checkpoint"):
        CheckpointReader(path)
