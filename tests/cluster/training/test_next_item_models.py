"""Jobs of every next-item model by the program: trained, resumed, evaluated, and asked for recommendations."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tests.cluster.training.exports import Export
from tests.cluster.training.program import REFERENCE, mistake, read, saccade, saved
from tests.plugins.hybrid.models import ITEMS, histories

from saccade import load
from saccade.cluster.cli.main import run
from saccade.models.exported import load_exported
from saccade.pipelines.errors import UserError
from saccade.pipelines.tasks.two_towers import NextItemByTowers

FEATURES = "[{column: genre}, {column: tags, kind: ids, rows: 7}, {column: year, kind: number}]"
SMALL = ("model.dim=8", "model.dropout=0.1")
ENCODER = (*SMALL, "model.heads=2", "model.blocks=1")
POPULARITY = ("loss.negatives=4", "loss.sampling=popularity")
MODELS: Mapping[str, tuple[str, ...]] = {
    "sasrec": (*ENCODER, "model.hidden=16", "loss={name: bpr, negatives: 2}"),
    "esasrec": ("model.block=ligr", *ENCODER, "model.hidden=16", *POPULARITY),
    "hstu": (
        "model.name=hstu",
        *ENCODER,
        "model.block={name: hstu, time_buckets: 16}",
        "data.times=times",
        "loss={name: sampled_softmax, sampling: mixed, negatives: 8, temperature: 0.5}",
    ),
    "gru4rec": ("model.name=gru4rec", *SMALL, "model.hidden=12", "loss={name: info_nce, label_smoothing: 0.1}"),
    "bert4rec": ("model.name=bert4rec", *ENCODER, "model.hidden=16", "model.masked=0.5"),
    "two_towers": (
        "model={name: two_towers, dim: 8, windows: [1, 4], layers: [12], output: 6}",
        "loss={name: sampled_softmax, sampling: in_batch, temperature: 0.1}",
        f"data.features={FEATURES}",
    ),
    "features": (*ENCODER, "model.hidden=16", f"data.features={FEATURES}", "data.combine=concat"),
    "popularity": ("model.name=popularity", "loss.sampling=popularity"),  # a loss has no effect
    "item_knn": ("model={name: item_knn, neighbours: 20, last: 3}",),
}
COUNTED = ("popularity", "item_knn")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    pq.write_table(histories(120), folder / "part-0.parquet", row_group_size=50)
    return folder


def job(folder: Path, data: Path, name: str) -> list[str]:
    (folder / "job.yaml").write_text("task: next_item\ndata: {path: nowhere}\n")
    common = [f"data.path={data}", f"run.storage={folder}", f"run.name={name}", "data.max_length=12", "train.epochs=2"]
    return [str(folder / "job.yaml"), *common, REFERENCE, "train.tokens=300", "wandb.mode=disabled", *MODELS[name]]


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    code = run(list(map(str, arguments)))
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out.splitlines()[-1])


@pytest.mark.parametrize("name", MODELS)
def test_a_job_trains_resumes_evaluates_and_predicts(
    name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = called(capsys, "train", *job(tmp_path, data, name), "--json")
    assert first["metrics"].keys() >= {"valid/ndcg@10", "test/ndcg@10", "test/hr@10"}
    more = called(capsys, "train", *job(tmp_path, data, name), "train.epochs=3", "--json")
    folder = tmp_path / name
    if name in COUNTED:
        assert more == first
        assert saved(folder) == []
    else:
        assert more["epochs"] == 3
        assert more["steps"] > first["steps"]
    again = called(capsys, "evaluate", folder, "--split", "test", "--json")
    assert again["metrics"]["test/ndcg@10"] == pytest.approx(more["metrics"]["test/ndcg@10"], abs=1e-6)
    output = tmp_path / "next.parquet"
    called(capsys, "predict", folder, "--data", data, "--output", output, "--top-k", 3, "--json")
    found = pq.read_table(output)
    assert found.num_rows == 120
    for items, history in zip(found["items"].to_pylist(), histories(120)["history"].to_pylist(), strict=True):
        assert len(items) == 3
        assert not set(items) & {0, *history}
        assert max(items) < ITEMS
    if name in COUNTED:
        with pytest.raises(UserError, match="makes no vectors of histories: ask `recommend` or `score`"):
            load(folder).embed([[3, 4]])
    else:
        called(capsys, "checkpoint", "export", folder, tmp_path / "exported", "--json")
        scores = exported_scores(folder, tmp_path / "exported", data)
        for row, (items, given) in enumerate(zip(found["items"].to_pylist(), found["scores"].to_pylist(), strict=True)):
            assert scores[row, items].tolist() == pytest.approx(given, rel=1e-5, abs=1e-5)


def exported_scores(folder: Path, exported: Path, data: Path) -> torch.Tensor:
    """[rows, items] by the network that the script of docs/checkpoints.md builds from an export."""
    export = Export(folder, exported)
    output, rows = export.output(export.batch(data, 120)), export.tensors["tables/items"]
    if isinstance(export.task, NextItemByTowers):
        rows = export.output(export.task.of_rows(torch.arange(len(rows))))
    return output @ rows.T


@pytest.mark.parametrize("name", COUNTED)
def test_what_was_counted_is_exported(
    name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called(capsys, "train", *job(tmp_path, data, name), "--json")
    found, asked = tmp_path / "exported", histories(120)["history"].to_pylist()
    wrote = called(capsys, "checkpoint", "export", tmp_path / name, found, "--json")
    assert wrote["parameters"] > 0
    expected = load(tmp_path / name).recommend(asked, 4)
    again = load(found).recommend(asked, 4)
    assert again.items == expected.items
    assert again.scores == expected.scores
    alone = load_exported(found)
    items, scores = alone.recommend(asked, 4)
    assert scores == expected.scores
    for mine, history in zip(items, asked, strict=True):  # ties may be in another order
        assert len(set(mine) - set(history)) == 4
    with pytest.raises(ValueError, match="makes no vectors"):
        alone.embed(asked)
    assert f"has no attention to look at: {name} counts items" in mistake("explain", tmp_path / name)
    assert "has no checkpoint: its model was counted" in mistake("checkpoint", "inspect", tmp_path / name)


def test_items_are_counted_without_those_that_are_held_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called(capsys, "train", *job(tmp_path, data, "esasrec"), "--json")
    counts = load_file(tmp_path / "esasrec" / "artifacts" / "item_counts.safetensors")["counts"]
    met = [item for history in histories(120)["history"].to_pylist() for item in history[:-2]]
    assert counts.tolist() == [met.count(item) for item in range(ITEMS)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["popularity", "hstu"])
def test_the_program_does_it_by_workers_too(name: str, data: Path, tmp_path: Path) -> None:
    arguments = [one for one in job(tmp_path, data, name) if one != REFERENCE]
    result = saccade("train", *arguments, "run.workers=2", "train.epochs=1", "--json").json
    assert read(tmp_path / name / "result.json")["metrics"] == result["metrics"]


def test_columns_beside_the_history_must_be_as_long(data: Path, tmp_path: Path) -> None:
    table = histories(20)
    short = [values if row != 7 else values[:-1] for row, values in enumerate(table["times"].to_pylist())]
    place = table.schema.get_field_index("times")
    bad = tmp_path / "bad"
    bad.mkdir()
    pq.write_table(table.set_column(place, "times", [short]), bad / "part-0.parquet")
    said = mistake("train", *job(tmp_path, bad, "hstu"))
    wanted = len(table["history"][7])
    assert f"part-0.parquet row 7: column 'times' has {wanted - 1} values" in said
    assert f"the history in 'history' has {wanted} items" in said


BAD = {
    "ids outside": ("features", "data.features=[{column: genre, rows: 3}]", "column 'genre' has an id outside 0..2"),
    "twice": ("features", "data.features=[{column: genre}, {column: genre}]", "data.features has genre twice"),
    "a width": (
        "sasrec",
        "data.features=[{column: genre, dim: 4}]",
        "genre can't have a dim of its own where data.combine is sum",
    ),
    "no times": ("hstu", "data.times=null", "data.times names the column that has them"),
    "a column": ("sasrec", "data.times=tims", "no column 'tims' (did you mean 'times'?)"),
    "a model": ("sasrec", "model={name: sasreck}", "choose one of sasrec, hstu, bert4rec, gru4rec"),
    "the table": ("two_towers", "loss={name: full_softmax}", "which two_towers turns into other vectors: choose"),
    "one item": ("bert4rec", "data.max_length=1", "data.max_length=1"),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes_are_named(name: str, data: Path, tmp_path: Path) -> None:
    model, override, said = BAD[name]
    assert said in mistake("train", *job(tmp_path, data, model), override)
