"""``saccade checkpoint``, on a run's folder made by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from saccade.cluster.cli.main import app
from saccade.cluster.job import Job, load_job
from saccade.cluster.training.tasks import make_task
from saccade.models.jagged import Jagged
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState
from saccade.pipelines.errors import UserError
from saccade.pipelines.records.record import write_json
from saccade.pipelines.shard import TableShard

DOCS = Path(__file__).parents[3] / "docs" / "checkpoints.md"
JOB = """\
task: next_item
data: {path: nowhere, max_length: 20}
model: {dim: 16, blocks: 1, heads: 2, hidden: 32, dropout: 0.1}
loss: {name: sampled_softmax, negatives: 64}
run: {name: small}
"""
SPEECH = """\
task: speech_classification
data: {path: nowhere, audio: audio, label: label, sampling_rate: 8000}
model: {dim: 16, blocks: 1, heads: 2, hidden: 32, dropout: 0.1}
run: {name: spoken}
"""

PARTS = """\
task: next_item
plugins: [exported_score]
data: {path: nowhere, max_length: 20}
model:
  dim: 16
  blocks: 1
  heads: 2
  block: {name: transformer, norm: post, gated: true}
  attention:
    score: {name: exported, strength: 2}
    normalizer: {name: softmax, temperature: 0.5}
    masks: [{name: any, of: [first, {name: window, before: 1}]}]
    positions: [sinusoidal, {name: relative, buckets: 8}]
    key_heads: 1
"""
PLUGIN = """\
from saccade.models.attention.scores.score import Score
from saccade.models.registry import register

@register("score", "exported")
class Exported(Score):
    def __init__(self, strength: float = 1.0):
        super().__init__()
        self.strength = strength

    def scale(self, dim):
        return self.strength
"""


def make_run(folder: Path, text: str, facts: dict[str, Any]) -> tuple[Job, torch.nn.Module, dict[str, torch.Tensor]]:
    """A run with checkpoints at steps 1 and 2, of which 1 is the better; its network and tables are those of step 1."""
    folder.mkdir()
    (folder / "job.yaml").write_text(text)
    job = load_job(folder / "job.yaml", []).resolved(folder)
    write_json(folder / "run.json", {"name": folder.name, "facts": facts})
    task = make_task(job, facts, folder / "artifacts")
    network = task.network()
    tables = {table.name: torch.randn(table.rows, table.dim) for table in task.tables}
    for step in (1, 2):
        shards = [
            TableShard(name, rows, (0, weight.shape[1]), weight[slice(*rows)] + (step - 1), {"sum": torch.zeros(size)})
            for name, weight in tables.items()
            for rows, size in [((0, 20), 20), ((20, len(weight)), len(weight) - 20)]
        ]
        tensors = {f"weight/{name}": parameter.detach() + (step - 1) for name, parameter in network.named_parameters()}
        tensors |= {f"optimizer/exp_avg/{name}": torch.zeros_like(p) for name, p in network.named_parameters()}
        save(
            folder / "checkpoints",
            EngineState(shards, tensors, {"loss_scale": 8.0}),
            step=step,
            training={"epoch": step, "best": [[0.5, 1]], "metrics": {"valid/ndcg@10": 0.5}},
            job=job.model_dump(mode="json"),
            tables=task.tables,
            collective=Collective(),
        )
    return job, network.eval(), tables


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, torch.nn.Module, torch.Tensor]:
    """The run's folder, and its best checkpoint's network and item table."""
    folder = tmp_path / "small"
    _, network, tables = make_run(folder, JOB, {"items": 50})
    return folder, network, tables["items"]


Run = tuple[Path, torch.nn.Module, torch.Tensor]


def command(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["checkpoint", *map(str, arguments)], standalone_mode=False)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert (done.return_value or 0) == code, done.output
    return done.stdout


def test_inspect(run: Run) -> None:
    folder, network, _ = run
    found = json.loads(command("inspect", folder, "--json").splitlines()[-1])
    assert found["checkpoint"] == str(folder / "checkpoints" / "step-00000001")
    assert (found["run"], found["task"], found["step"], found["epoch"]) == ("small", "next_item", 1, 1)
    assert found["engine"] == {"loss_scale": 8.0}
    table = found["tables"]["items"]
    assert {key: table[key] for key in ("rows", "dim", "states", "pieces")} == {
        "rows": 50,
        "dim": 16,
        "states": {"sum": "row"},
        "pieces": 2,
    }
    for name, parameter in network.named_parameters():
        assert found["network"][f"weight/{name}"] == list(parameter.shape)
    step_2 = command("inspect", folder / "checkpoints" / "step-00000002")
    assert "sum (a value for each row)" in step_2
    assert "exp_avg" in step_2
    assert f"{sum(p.numel() for p in network.parameters()):,} parameters" in step_2


def test_verify(run: Run) -> None:
    folder, _, _ = run
    assert command("verify", folder).count(": good, ") == 2
    damaged = folder / "checkpoints" / "step-00000002"
    piece, network = "tables/items/rows-0-20_columns-0-16.safetensors", "network/part-0-of-1.safetensors"
    (damaged / piece).unlink()
    (damaged / network).write_bytes(b"")
    shown = command("verify", folder, code=1)
    assert "step-00000001: good, 4 files" in shown
    assert f"step-00000002: damaged, {piece}: missing" in shown
    assert f"step-00000002: damaged, {network}: 0 bytes instead of " in shown
    assert command("verify", folder / "checkpoints" / "step-00000001")
    (folder / "checkpoints" / "step-00000001" / "manifest.json").write_text("{")
    result = json.loads(command("verify", folder, "--json", code=1).splitlines()[-1])
    assert result["good"] is False
    assert [entry["damaged"].keys() for entry in result["checkpoints"]] == [{"manifest.json"}, {network, piece}]
    with pytest.raises(UserError, match=r"damaged \(tables/items/rows-0-20_columns-0-16.safetensors: missing"):
        command("export", damaged, folder / "out")
    assert not (folder / "out").exists()


def test_export_holds_the_best_weights(run: Run, tmp_path: Path) -> None:
    folder, network, items = run
    out = tmp_path / "out"
    result = json.loads(command("export", folder, out, "--json").splitlines()[-1])
    assert result["parameters"] == items.numel() + sum(p.numel() for p in network.parameters())
    assert sorted(file.name for file in out.iterdir()) == ["model.json", "model.safetensors"]
    assert len({file.stat().st_mode for file in out.iterdir()}) == 1  # who may read one may read the other
    tensors, model = load_file(out / "model.safetensors"), json.loads((out / "model.json").read_text())
    assert torch.equal(tensors.pop("tables/items"), items)
    assert {name.removeprefix("network/") for name in tensors} == dict(network.named_parameters()).keys()
    assert model["tables"] == {"items": {"rows": 50, "dim": 16, "features": ["history", "negatives"]}}
    assert model["tensors"]["tables/items"] == {"shape": [50, 16], "dtype": "float32"}
    assert (model["task"], model["step"], model["facts"]) == ("next_item", 1, {"items": 50})


def test_export_never_overwrites_unasked(run: Run, tmp_path: Path) -> None:
    folder, _, items = run
    out = tmp_path / "out"
    command("export", folder, out)
    before = (out / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match="has an export already: choose another folder, or replace it with --force"):
        command("export", folder / "checkpoints" / "step-00000002", out)
    assert (out / "model.safetensors").read_bytes() == before
    command("export", folder / "checkpoints" / "step-00000002", out, "--force")
    assert torch.equal(load_file(out / "model.safetensors")["tables/items"], items + 1)
    assert sorted(file.name for file in out.iterdir()) == ["model.json", "model.safetensors"]
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match=r"can't write to .*taken/out \(Not a directory\)"):
        command("export", folder, tmp_path / "taken" / "out")


def test_the_script_of_the_docs_needs_torch_alone(run: Run, tmp_path: Path) -> None:
    folder, network, items = run
    assert_the_script_gives(network, items, folder, tmp_path)


def test_the_script_builds_other_parts_and_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exported_score.py").write_text(PLUGIN)
    _, network, tables = make_run(tmp_path / "parts", PARTS, {"items": 50})
    assert_the_script_gives(network, tables["items"], tmp_path / "parts", tmp_path)
    assert json.loads((tmp_path / "exported" / "model.json").read_text())["plugins"] == ["exported_score"]


def assert_the_script_gives(network: torch.nn.Module, items: torch.Tensor, folder: Path, tmp_path: Path) -> None:
    """Export the run and compare what the script of the docs computes with what its own network does."""
    command("export", folder, tmp_path / "exported")
    script = DOCS.read_text().split("<!-- A test runs this script. -->\n```python\n")[1].split("```")[0]
    blocked = ["saccade.pipelines", "saccade.plugins", "saccade.cluster", "pydantic", "pyarrow", "ray", "deepspeed"]
    blocked += ["torchrec", "fbgemm_gpu", "sklearn", "tokenizers", "wandb"]
    lines = ["import sys", f"sys.modules.update(dict.fromkeys({blocked}))", script, "torch.save(scores, 'scores.pt')"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    histories = Jagged.pack([items[torch.tensor([3, 17, 42])], items[torch.tensor([5])]])
    with torch.no_grad():
        expected = network(histories)[histories.layout.last] @ items.T
    assert torch.equal(torch.load(tmp_path / "scores.pt", weights_only=True), expected)


def test_a_speech_classifier_is_built_with_its_features(tmp_path: Path) -> None:
    _, network, _ = make_run(tmp_path / "spoken", SPEECH, {"labels": ["no", "yes"]})
    command("export", tmp_path / "spoken", tmp_path / "out")
    call = json.loads((tmp_path / "out" / "model.json").read_text())["network"]
    script = DOCS.read_text().split("<!-- A test runs this script. -->\n```python\n")[1].split("tensors = load_file")[0]
    names: dict[str, Any] = {}
    exec(script, names)
    again = names["build"](call).eval()
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    again.load_state_dict({name.removeprefix("network/"): tensor for name, tensor in tensors.items()})
    audio = Jagged.pack([torch.rand(4000) - 0.5, torch.rand(3000) - 0.5])
    with torch.no_grad():
        assert torch.equal(again(audio), network(audio))


def test_a_checkpoint_outside_its_run_is_exported_without_the_call(run: Run, tmp_path: Path) -> None:
    folder, _, items = run
    moved = tmp_path / "elsewhere" / "mine"
    moved.parent.mkdir()
    (folder / "checkpoints" / "step-00000001").rename(moved)
    command("export", moved, tmp_path / "out")
    assert "network" not in json.loads((tmp_path / "out" / "model.json").read_text())
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")["tables/items"], items)


def test_paths_that_hold_no_checkpoint(run: Run, tmp_path: Path) -> None:
    folder, _, _ = run
    (tmp_path / "empty").mkdir()
    for path, what in [
        (tmp_path / "empty", "has no checkpoint"),
        (tmp_path / "nowhere", "doesn't exist"),
        (folder / "job.yaml", "is a file"),
    ]:
        for name in ("inspect", "verify"):
            with pytest.raises(UserError, match=f"{path.name} {what}: give a run's folder"):
                command(name, path)
    for step in (1, 2):
        (folder / "checkpoints" / f"step-0000000{step}" / "manifest.json").unlink()
    with pytest.raises(UserError, match="no checkpoint of .* has a manifest that can be read"):
        command("inspect", folder)
