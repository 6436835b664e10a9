"""A model of two towers in use: by the command, from Python and by torch alone, with side features and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from tests.plugins.hybrid.models import ITEMS, histories

import saccade
from saccade.cluster.cli.main import run
from saccade.models.exported import load_exported
from saccade.models.jagged import Jagged
from saccade.models.recommendation.two_towers import TwoTowers

JOB = """\
task: next_item
data: {path: DATA, max_length: 12}
model: {name: two_towers, dim: 8, windows: [1, 4], layers: [12], output: 6}
loss: {name: sampled_softmax, sampling: mixed, negatives: 8, temperature: 0.1}
train: {epochs: 2, micro_batches: 2, tokens: 256}
engine: {name: reference, device: cpu}
run: {name: towers, storage: STORAGE}
"""
FEATURES = "data.features=[{column: genre}, {column: tags, kind: ids, rows: 7}, {column: year, kind: number}]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, exports of them, and the data."""
    folder = tmp_path_factory.mktemp("towers")
    pq.write_table(histories(80), folder / "data.parquet", row_group_size=50)
    job = folder / "job.yaml"
    job.write_text(JOB.replace("DATA", str(folder / "data.parquet")).replace("STORAGE", str(folder)))
    assert run(["train", str(job)]) == 0
    assert run(["train", str(job), "run.name=features", FEATURES]) == 0
    for name in ("towers", "features"):
        assert run(["checkpoint", "export", str(folder / name), str(folder / f"{name}-exported")]) == 0
    return folder


def asked() -> list[list[int]]:
    found: list[list[int]] = histories(80)["history"].to_pylist()
    return found


def test_recommendations_are_the_best_by_brute_force(folder: Path) -> None:
    model: Any = saccade.load(folder / "towers")
    network, table = model._weights.network, model._weights.tables["items"]
    assert isinstance(network, TwoTowers)
    found = model.recommend(asked(), 5)
    with torch.no_grad():
        items = torch.cat([network(Jagged.pack([table[:0]]), row[None]) for row in table])
        for history, best, scores in zip(asked(), found.items, found.scores, strict=True):
            expected = items @ network(Jagged.pack([table[history[-12:]]]))[-1]
            expected[[0, *history]] = -torch.inf
            torch.testing.assert_close(torch.tensor(scores), expected.topk(5).values, rtol=0, atol=1e-5)
            torch.testing.assert_close(torch.tensor(scores), expected[best], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["towers", "features"])
def test_the_command_and_python_answer_alike(folder: Path, name: str, tmp_path: Path) -> None:
    output = tmp_path / "next.parquet"
    arguments = ["--data", folder / "data.parquet", "--output", output, "--top-k", 5]
    assert run(["recommend", str(folder / name), *map(str, arguments)]) == 0
    model: Any = saccade.load(folder / name)
    rows = pq.read_table(folder / "data.parquet")
    answers, found = pq.read_table(output), model.recommend(rows, 5)
    assert answers["items"].to_pylist() == found.items
    exported: Any = saccade.load(folder / f"{name}-exported")
    assert exported.recommend(rows, 5).table.equals(found.table)
    assert model.embed(rows).norm(dim=1).tolist() == pytest.approx([1.0] * 80)
    scores = model.score(rows, list(range(1, ITEMS)))
    for row, (items, given) in enumerate(zip(found.items, found.scores, strict=True)):
        assert scores[row, torch.tensor(items) - 1].tolist() == pytest.approx(given, abs=1e-5)


def test_torch_alone_answers_as_the_run(folder: Path) -> None:
    description = json.loads((folder / "towers-exported" / "model.json").read_text())
    assert description["network"]["class"] == "saccade.models.recommendation.two_towers.TwoTowers"
    alone, model = load_exported(folder / "towers-exported"), saccade.load(folder / "towers")
    histories_and_none = [*asked(), []]
    items, scores = alone.recommend(histories_and_none, 5)
    found = model.recommend(histories_and_none, 5)
    assert items == found.items
    for mine, theirs in zip(scores, found.scores, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    embedded = alone.embed(histories_and_none)
    torch.testing.assert_close(embedded, model.embed(histories_and_none), rtol=0, atol=1e-5, equal_nan=True)
    assert alone.embed([]).shape[0] == 0


def test_torch_alone_says_that_it_reads_no_features(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"side features\): load it with saccade\.load"):
        load_exported(folder / "features-exported").recommend([[1, 2]])
