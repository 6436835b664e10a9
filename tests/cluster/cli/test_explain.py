"""``saccade explain`` from end to end, over runs of every task."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from saccade.cluster.cli.main import run
from saccade.cluster.explaining import leave
from saccade.cluster.explaining.layers import choose_layers
from saccade.cluster.job import load_job
from saccade.cluster.training.best import best_checkpoint
from saccade.cluster.training.tasks import make_task
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.engines.frozen import FrozenModel
from saccade.pipelines.errors import UserError

ENDS = """
train: {epochs: 1, micro_batches: 2, tokens: 512}
engine: {name: reference, device: cpu}
wandb: {mode: disabled}
run: {name: small}
"""
HISTORIES = """
task: next_item
data: {path: DATA, max_length: 40}
model: {dim: 8, blocks: 2, heads: 2, hidden: 16}
"""
TEXTS = """
task: text_classification
data: {path: DATA, max_length: 12, vocabulary: 300}
model: {dim: 8, blocks: 1, heads: 4, hidden: 16}
"""
RECORDINGS = """
task: speech_classification
data: {path: DATA, sampling_rate: 2000, mels: 8}
model: {dim: 8, blocks: 1, heads: 2, hidden: 16, stacked: 2}
"""
WORDS = ["red", "green", "blue", "what", "where", "who"]


def histories(folder: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    lengths = [2, 30, 5, 3, *torch.randint(4, 35, (36,), generator=rng).tolist()]
    rows = [torch.randint(1, 50, (n,), generator=rng).tolist() for n in lengths]
    pq.write_table(pa.table({"user_id": list(range(40)), "history": rows}), folder / "part-0.parquet")


def texts(folder: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    for split in ("train", "valid"):
        rows = [" ".join(WORDS[i] for i in torch.randint(0, 6, (7,), generator=rng)) for _ in range(20)]
        schema = pa.schema([("text", pa.string()), ("label", pa.int64())], {"label_names": json.dumps(["no", "yes"])})
        table = pa.table({"text": ["", *rows], "label": [0, *(int("red" in row) for row in rows)]}, schema)
        (folder / split).mkdir()
        pq.write_table(table, folder / split / "part-0.parquet")


def recordings(folder: Path) -> None:
    for split in ("train", "valid"):
        rows = [[math.sin(i * (0.1 + label)) for i in range(600 + 40 * n)] for n in range(4) for label in (0, 1)]
        (folder / split).mkdir()
        pq.write_table(pa.table({"audio": rows, "label": [0, 1] * 4}), folder / split / "part-0.parquet")


def train(folder: Path, job: str, write: Any, *overrides: str) -> Path:
    data = folder / "data"
    data.mkdir()
    write(data)
    (folder / "job.yaml").write_text(job.replace("DATA", str(data)) + ENDS)
    assert run(["train", str(folder / "job.yaml"), f"run.storage={folder / 'runs'}", *overrides]) == 0
    return folder / "runs" / "small"


@pytest.fixture(scope="module")
def recommender(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("recommender"), HISTORIES, histories)


@pytest.fixture(scope="module")
def reader_of_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("texts"), TEXTS, texts)


def explained(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["explain", *map(str, arguments), "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def maps(folder: Path) -> list[dict[str, Any]]:
    values = json.loads((folder / "heat_maps.json").read_text())
    found: list[dict[str, Any]] = values["maps"]
    return found


def mistake(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert run(["explain", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_a_run_leaves_heat_maps_and_its_report_shows_them(recommender: Path, tmp_path: Path) -> None:
    left = maps(recommender / "attention")
    assert [(one["row"], one["layer"]) for one in left] == [(r, f"layer {n}") for r in (1, 2, 4) for n in (0, 1)]
    assert {path.name for path in (recommender / "attention").iterdir()} == {
        "heat_maps.json"
    }  # none asked for pictures
    assert run(["report", str(recommender), "--output", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "<h2>Attention</h2>" in page
    assert "valid row 4, layer 1" in page
    assert "WARNING" not in (recommender / "log.txt").read_text()


def test_the_first_rows_are_shown_with_their_items(
    recommender: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = explained(capsys, recommender, "--output", tmp_path / "out")
    assert result["split"] == "valid"
    assert result["rows"] == [1, 2, 4]  # row 0 is too short for the split, row 3 has one item left
    assert result["layers"] == {
        "0": "encoder.blocks.0.attention.attention",
        "1": "encoder.blocks.1.attention.attention",
    }
    assert set(result["files"]) == {path.name for path in (tmp_path / "out").iterdir()}
    history = pq.read_table(recommender.parent.parent / "data")["history"].to_pylist()
    first = maps(tmp_path / "out")[0]
    assert first["keys"] == first["queries"] == [str(item) for item in history[1][:28][-24:]]
    assert first["title"] == f"valid row 1, layer 0: the last 24 of 28; next {history[1][-2]}"
    assert (tmp_path / "out" / "valid-row-1-layer-0.png").read_bytes().startswith(b"\x89PNG")

    numbers = np.load(tmp_path / "out" / "weights.npz")
    assert list(numbers["row-2/tokens"]) == [str(item) for item in history[2][:3]]
    whole = numbers["row-1/layer-0"]
    assert whole.shape == (2, 28, 28)
    np.testing.assert_allclose(whole.sum(-1), 1, atol=1e-5)
    assert not np.triu(whole, 1).any()
    np.testing.assert_allclose(np.array(first["weights"]), whole[:, -24:, -24:], rtol=1e-3, atol=1e-7)


def test_the_weights_are_those_of_the_best_checkpoint(
    recommender: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    explained(capsys, recommender, "--row", 1, "--output", tmp_path)
    job = load_job(recommender / "job.yaml")
    facts = json.loads((recommender / "run.json").read_text())["facts"]
    task: Any = make_task(job, facts, recommender / "artifacts")
    checkpoint = CheckpointReader(best_checkpoint(recommender))
    model = FrozenModel(task, checkpoint, job.run.seed)
    items = torch.tensor([int(item) for item in np.load(tmp_path / "weights.npz")["row-1/tokens"]])
    from saccade.models.jagged import Jagged, Layout

    network: Any = model.network
    tokens = Jagged(checkpoint.table("items", "weight")[items], Layout(torch.tensor([len(items)])))
    block = network.encoder.blocks[0]
    with torch.no_grad():
        values = tokens.values * network.scale + network.positions[0](tokens.layout)
        (expected,) = block.attention.explain(tokens.with_values(block.attention_norm(values)), examples=[0])
    np.testing.assert_allclose(np.load(tmp_path / "weights.npz")["row-1/layer-0"], expected, atol=1e-6)


def test_chosen_rows_layers_heads_and_names(
    recommender: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = list(range(1, 40))
    pq.write_table(
        pa.table({"id": pa.array(ids, pa.int32()), "name": [f"$film$ {i}" for i in ids]}), tmp_path / "n.parquet"
    )
    arguments = ["--row", 6, "--row", 4, "--row", 6, "--layer", 1, "--head", 1, "--tokens", 2, "--split", "test"]
    result = explained(capsys, recommender, *arguments, "--names", tmp_path / "n.parquet", "--output", tmp_path / "out")
    assert result["rows"] == [6, 4]
    assert result["layers"] == {"1": "encoder.blocks.1.attention.attention"}
    assert result["files"][0] == "test-row-6-layer-1.png"
    history = pq.read_table(recommender.parent.parent / "data")["history"].to_pylist()
    (six, _) = maps(tmp_path / "out")
    assert six["heads"] == [1]
    assert six["keys"] == [f"$film$ {item}" if item < 40 else str(item) for item in history[6][-3:-1]]
    assert np.array(six["weights"]).shape == (1, 2, 2)
    assert np.load(tmp_path / "out" / "weights.npz")["row-6/layer-1"].shape[0] == 1
    by_name = explained(capsys, recommender, "--layer", "encoder.blocks.1.attention.attention", "--output", tmp_path)
    assert by_name["layers"] == result["layers"]


def test_training_rows_and_overrides(recommender: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    histories(tmp_path)
    result = explained(capsys, recommender, f"data.path={tmp_path}", "--split", "train", "--rows", 1, "--layer", 0)
    assert result["output"] == str(recommender / "attention")
    (one,) = maps(recommender / "attention")
    history = pq.read_table(tmp_path)["history"].to_pylist()[result["rows"][0]]
    assert one["keys"] == [str(item) for item in history[:-3]][-24:]


def test_what_is_not_there_is_said_in_a_line(
    recommender: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--row 40: the valid split has rows 0 to 39" in mistake(capsys, recommender, "--row", 40)
    assert "--row -1: the valid split has" in mistake(capsys, recommender, "--row", -1)
    error = mistake(capsys, recommender, "--row", 0)
    assert "part-0.parquet row 0 is too short for the valid split" in error
    error = mistake(capsys, recommender, "--layer", 2)
    assert "--layer 2: the model's layers are 0 (encoder.blocks.0.attention.attention), 1 (" in error
    error = mistake(capsys, recommender, "--head", 2)
    assert "--head 2: layer 0 (encoder.blocks.0.attention.attention) has heads 0 to 1" in error
    assert "--row says which rows" in mistake(capsys, recommender, "--rows", 2, "--row", 1)
    assert "doesn't exist" in mistake(capsys, tmp_path / "none")
    (tmp_path / "file").write_text("")
    assert "can't be written" in mistake(capsys, recommender, "--output", tmp_path / "file" / "out")
    pq.write_table(pa.table({"item_id": [1], "name": ["a"]}), tmp_path / "n.parquet")
    error = mistake(capsys, recommender, "--names", tmp_path / "n.parquet")
    assert "no column 'id'; it has item_id, name: give a file with the columns id and name" in error
    pq.write_table(pa.table({"id": ["x"], "name": ["a"]}), tmp_path / "n.parquet")
    assert f"--names {tmp_path / 'n.parquet'}: " in mistake(capsys, recommender, "--names", tmp_path / "n.parquet")
    (tmp_path / "n.parquet").write_text("no parquet")
    assert f"--names {tmp_path / 'n.parquet'}: " in mistake(capsys, recommender, "--names", tmp_path / "n.parquet")


def test_a_model_without_attention_is_said() -> None:
    with pytest.raises(UserError, match=r"the run's model \(Linear\) has no attention layer to look into"):
        choose_layers(nn.Linear(1, 1), [])


def test_texts_show_words_pooling_and_labels(
    reader_of_texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [one["layer"] for one in maps(reader_of_texts / "attention")] == ["layer 0", "pooling"] * 3
    result = explained(capsys, reader_of_texts, "--rows", 1, "--output", tmp_path)
    assert result["rows"] == [1]  # row 0 is empty
    assert result["layers"] == {"0": "classifier.encoder.blocks.0.attention.attention", "pooling": "classifier.pooling"}
    layer, pooling = maps(tmp_path)
    assert np.array(layer["weights"]).shape == (4, 7, 7)
    assert np.array(pooling["weights"]).shape == (1, 1, 7)
    assert set(layer["keys"]) <= set(WORDS)
    assert pooling["keys"] == layer["keys"]
    numbers = np.load(tmp_path / "weights.npz")
    np.testing.assert_allclose(numbers["row-1/pooling"].sum(), 1, atol=1e-5)
    label = "yes" if "red" in layer["keys"] else "no"
    assert f"valid row 1, layer 0; label {label}, predicted " in layer["title"]
    assert (tmp_path / "valid-row-1-pooling.png").exists()
    explained(capsys, reader_of_texts, "--layer", "pooling", "--head", 3, "--output", tmp_path / "pooling")
    assert {one["layer"] for one in maps(tmp_path / "pooling")} == {"pooling"}
    assert "--row 0:" in mistake(capsys, reader_of_texts, "--row", 0)
    assert "has no test split" in mistake(capsys, reader_of_texts, "--split", "test")
    pq.write_table(pa.table({"id": [1], "name": ["a"]}), tmp_path / "n.parquet")
    assert "is a run of text_classification" in mistake(capsys, reader_of_texts, "--names", tmp_path / "n.parquet")


def test_recordings_show_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speech = train(tmp_path, RECORDINGS, recordings)
    explained(capsys, speech, "--row", 7, "--output", tmp_path / "out")
    layer, _ = maps(tmp_path / "out")
    # 720 samples at 2 kHz: frames of 50 samples every 20, two of them a token.
    assert layer["keys"] == [f"{0.02 * token:.2f}" for token in range(17)]
    assert np.array(layer["weights"]).shape == (2, 17, 17)
    assert layer["unit"] == "seconds"


def test_hstu_has_weights_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = train(tmp_path, HISTORIES, histories, "model.block=hstu")
    result = explained(capsys, made, "--row", 5)
    assert result["layers"] == {"0": "encoder.blocks.0.attention", "1": "encoder.blocks.1.attention"}
    weights = np.load(made / "attention" / "weights.npz")["row-5/layer-1"]
    assert not np.triu(weights, 1).any()
    assert abs(weights.sum(-1) - 1).min() > 0.1  # no softmax


@pytest.mark.parametrize("where", ["find_layers", "look", "open_subject"])
def test_what_goes_wrong_with_heat_maps_fails_no_run(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **named: object) -> Sequence[object]:
        raise RuntimeError("of two\nlines")

    monkeypatch.setattr(leave, where, broken)
    made = train(tmp_path, HISTORIES, histories)
    assert (made / "result.json").exists()
    assert not (made / "attention").exists()
    (warning,) = [line for line in (made / "log.txt").read_text().splitlines() if "WARNING" in line]
    assert "no heat maps of the attention (RuntimeError: of two lines): `saccade explain` makes them" in warning


def test_a_tracker_gets_the_pictures(tmp_path: Path) -> None:
    made = train(tmp_path, HISTORIES, histories, "wandb.mode=offline")
    pictures = {path.stem for path in (made / "attention").glob("*.png")}
    assert pictures == {f"valid-row-{row}-layer-{layer}" for row in (1, 2, 4) for layer in (0, 1)}
    kept = list(made.glob("wandb/offline-run-*/files/media/images/attention/*.png"))
    assert len(kept) == len(pictures)


def test_long_rows_and_many_layers_are_left_to_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leave, "LONGEST", 10)
    monkeypatch.setattr(leave, "LAYERS", 2)
    made = train(tmp_path, HISTORIES, histories, "model.blocks=5")
    left = maps(made / "attention")
    assert [one["layer"] for one in left] == ["layer 0", "layer 4"] * 3
    assert all(len(one["keys"]) <= 10 for one in left)
    monkeypatch.setattr(leave, "LONGEST", 1)
    assert run(["train", str(tmp_path / "job.yaml"), f"run.storage={tmp_path / 'other'}"]) == 0
    assert not (tmp_path / "other" / "small" / "attention").exists()
    assert "among the first 1024 has 2 to 1 tokens" in (tmp_path / "other" / "small" / "log.txt").read_text()
