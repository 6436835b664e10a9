"""Jobs that transform their data: the same model by every way from strings to ids, and nothing fitted twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cluster.training.program import assert_same_weights, mistake, read, saved

from saccade.cluster.cli.main import run
from saccade.cluster.training import transforms as module

ITEMS = 40
JOB = """\
task: next_item
data:
  path: {data}
  max_length: 12
  transforms: {transforms}
model: {{dim: 8, blocks: 1, heads: 1, hidden: 16, dropout: 0.1}}
loss: {{name: sampled_softmax, negatives: 16}}
train: {{epochs: 2, micro_batches: 2, tokens: 128}}
engine: {{name: reference, device: cpu}}
checkpoint: {{keep_last: 5}}
wandb: {{mode: disabled}}
run: {{name: {name}, storage: {storage}}}
"""
LOOKUP = "[{name: lookup, column: items, to: history}]"


def command(*arguments: object) -> None:
    assert run(list(map(str, arguments))) == 0


def write_job(folder: Path, name: str, data: Path, transforms: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(JOB.format(data=data, transforms=transforms, name=name, storage=folder / "runs"))
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Histories of strings, cut as `saccade data index` cuts its copy; and runs of them by name."""
    folder = tmp_path_factory.mktemp("transforms")
    generator = np.random.default_rng(0)
    lengths = generator.integers(3, 15, 120)
    items = [[f"item {int(v)}" for v in generator.zipf(1.5, length) % ITEMS] for length in lengths]
    times = [list(range(length)) for length in lengths]
    users = [f"user {row}" for row in range(120)]
    (folder / "shop" / "train").mkdir(parents=True)
    table = pa.table({"user_id": users, "items": items, "times": times, "country": ["DE", "FR"] * 60})
    pq.write_table(table, folder / "shop" / "train" / "part-00000.parquet")
    return folder


@pytest.fixture(scope="module")
def looked_up(place: Path) -> Path:
    """A run whose vocabulary is fitted."""
    command("train", write_job(place, "lookup", place / "shop", LOOKUP))
    return place / "runs" / "lookup"


@pytest.fixture(scope="module")
def numbered(place: Path) -> Path:
    """The data set that `saccade data index` makes of it."""
    command("data", "index", place / "shop", place / "numbered", "--column", "items")
    return place / "numbered"


@pytest.fixture
def no_fitting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: Any) -> None:
        raise AssertionError("fitted again")

    with monkeypatch.context() as patch:
        patch.setattr(module, "fit", refuse)
        yield


def predictions(model: Path, data: Path, output: Path) -> list[dict[str, Any]]:
    command("predict", model, "--data", data, "--output", output, "--top-k", 5)
    rows: list[dict[str, Any]] = pq.read_table(output).to_pylist()
    return rows


def test_index_fitted_lookup_and_lookup_in_a_file_are_one(
    place: Path, looked_up: Path, numbered: Path, tmp_path: Path
) -> None:
    rename = "[{name: take, column: items, to: history}]"
    command("train", write_job(place, "indexed", numbered, rename))
    file = f"[{{name: lookup, column: items, to: history, file: {numbered / 'vocabulary.parquet'}}}]"
    command("train", write_job(place, "file", place / "shop", file))
    assert_same_weights(looked_up, place / "runs" / "indexed")
    assert_same_weights(looked_up, place / "runs" / "file")
    assert read(looked_up / "run.json")["facts"] == {"items": len(pq.read_table(numbered / "vocabulary.parquet")) + 1}

    values = [None, *pq.read_table(numbered / "vocabulary.parquet")["value"].to_pylist()]
    expected = predictions(place / "runs" / "indexed", numbered, tmp_path / "indexed.parquet")
    for row in expected:
        row["items"] = [values[item] for item in row["items"]]
    assert expected[0]["user_id"] == "user 0"
    assert predictions(looked_up, place / "shop", tmp_path / "lookup.parquet") == expected
    (numbered / "vocabulary.parquet").rename(tmp_path / "vocabulary.parquet")  # it is kept with the run
    assert predictions(place / "runs" / "file", place / "shop", tmp_path / "file.parquet") == expected
    (tmp_path / "vocabulary.parquet").rename(numbered / "vocabulary.parquet")


def test_hashed_histories(place: Path, tmp_path: Path) -> None:
    hashed = "[{name: hash, column: items, to: history, buckets: 500}]"
    command("train", write_job(place, "hash", place / "shop", hashed))
    assert read(place / "runs" / "hash" / "run.json")["facts"] == {"items": 501}
    new = pa.table({"items": [["never seen", "item 1"], ["item 2"]]})
    pq.write_table(new, tmp_path / "new.parquet")
    rows = predictions(place / "runs" / "hash", tmp_path / "new.parquet", tmp_path / "out.parquet")
    assert [len(row["items"]) for row in rows] == [5, 5]


def test_a_resumed_run_is_the_undisturbed_one(place: Path, looked_up: Path, no_fitting: None, tmp_path: Path) -> None:
    shutil.copytree(place / "runs" / "lookup", tmp_path / "lookup")
    (tmp_path / "lookup" / "result.json").unlink()
    last = tmp_path / "lookup" / "checkpoints" / saved(looked_up)[-1]
    shutil.rmtree(last)
    shutil.rmtree(tmp_path / "lookup" / "artifacts")  # the checkpoints have copies
    command("train", place / "lookup.yaml", f"run.storage={tmp_path}")
    assert_same_weights(looked_up, tmp_path / "lookup")
    assert (last / "artifacts" / "transform-0-lookup.parquet").exists()
    assert "resumed from" in (tmp_path / "lookup" / "log.txt").read_text()


def test_a_resumed_run_keeps_its_transforms_and_filter(place: Path, looked_up: Path) -> None:
    job = place / "lookup.yaml"
    for key, value in {
        "data.transforms": "[{name: hash, column: items, to: history, buckets: 9}]",
        "data.filter": "[{column: country, operator: ==, value: DE}]",
    }.items():
        assert f"exists with another job ({key}: [" in mistake("train", job, f"{key}={value}", "train.epochs=3")


def test_a_checkpoint_is_all_of_a_model(place: Path, looked_up: Path, tmp_path: Path) -> None:
    best = looked_up / "checkpoints" / f"step-{read(looked_up / 'result.json')['best_step']:08d}"
    alone = shutil.copytree(best, tmp_path / "elsewhere" / "deep" / "model")
    here = predictions(looked_up, place / "shop", tmp_path / "here.parquet")
    assert predictions(alone, place / "shop", tmp_path / "there.parquet") == here
    command("checkpoint", "export", alone, tmp_path / "exported")
    model = json.loads((tmp_path / "exported" / "model.json").read_text())
    assert model["network"]["class"].endswith("SASRec")
    kept = ["transform-0-lookup.parquet", "transforms.json"]
    for name in kept:
        assert (tmp_path / "exported" / name).read_bytes() == (looked_up / "artifacts" / name).read_bytes()
    assert not (tmp_path / "exported" / "facts.json").exists()


def test_another_run_goes_on_with_what_was_fitted(
    place: Path, looked_up: Path, no_fitting: None, tmp_path: Path
) -> None:
    """On data that would give other ids; whatever the run's folder has become."""
    alone = shutil.copytree(looked_up / "checkpoints" / saved(looked_up)[-1], tmp_path / "model")
    (tmp_path / "new" / "train").mkdir(parents=True)
    pq.write_table(pa.table({"items": [["item 7", "new"] * 4] * 10}), tmp_path / "new" / "train" / "a.parquet")
    keys = [f"data.path={tmp_path / 'new'}", f"run.start_from={alone}", f"run.storage={tmp_path}", "train.epochs=1"]
    command("train", place / "lookup.yaml", *keys)
    kept = "artifacts/transform-0-lookup.parquet"
    assert (tmp_path / "lookup" / kept).read_bytes() == (looked_up / kept).read_bytes()
    other = "data.transforms=[{name: lookup, column: items, to: history, min_count: 2}]"
    message = mistake("train", place / "lookup.yaml", *keys, "run.name=other", other)
    assert message.startswith("data.transforms.0: the job says {'name': 'lookup'")
    assert "leave data.transforms as it was, or train a new run" in message


def test_what_was_fitted_is_not_changed_or_lost(looked_up: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(looked_up, tmp_path / "copy")
    message = mistake("evaluate", copy, "data.transforms=[]", "--split", "test")
    assert message.startswith("data.transforms.0: the job says nothing, but what ")
    state = copy / "artifacts" / "transform-0-lookup.parquet"
    content = state.read_bytes()
    state.write_bytes(content[: len(content) // 2])
    assert "transform-0-lookup.parquet can't be read" in mistake("evaluate", copy, "--split", "test")
    state.unlink()
    assert mistake("evaluate", copy, "--split", "test").endswith(
        "is missing, and data.transforms.0 (lookup) was fitted: restore the file"
    )


def test_rows_that_the_filter_leaves_out_are_not_fitted_on(place: Path, tmp_path: Path) -> None:
    """Nor read: those of other countries have a null in their history."""
    (tmp_path / "mixed" / "train").mkdir(parents=True)
    histories = [["a", "b", "c", "a"], ["z", None, "y", "x"]] * 8
    table = pa.table({"items": histories, "country": ["DE", "FR"] * 8})
    pq.write_table(table, tmp_path / "mixed" / "train" / "a.parquet", row_group_size=5)
    job = write_job(tmp_path, "filtered", tmp_path / "mixed", LOOKUP)
    assert "column 'history' has a null" in mistake("train", job)
    command("train", job, "data.filter=[{column: country, operator: in, value: [DE, AT]}]")
    assert read(tmp_path / "runs" / "filtered" / "run.json")["facts"] == {"items": 4}


def test_several_transforms_of_a_job(place: Path, tmp_path: Path) -> None:
    """Chained, with a side table and fitted ranges of what was joined."""
    side = {"item": [f"item {n}" for n in range(ITEMS)], "price": [float(n % 9) for n in range(ITEMS)]}
    pq.write_table(pa.table(side), tmp_path / "side.parquet")
    transforms = f"""[
        {{name: last, columns: [items, times], events: 10}},
        {{name: join, column: items, file: {tmp_path / "side.parquet"}, key: item, value: price, to: price}},
        {{name: fill, column: price, value: 0}},
        {{name: log, column: price}},
        {{name: bucketise, column: price, to: history, quantiles: 4}},
        {{name: time_deltas, column: times, buckets: 8}}]"""
    job = write_job(tmp_path, "many", place / "shop", " ".join(transforms.split()))
    command("train", job, "train.epochs=1")
    folder = tmp_path / "runs" / "many"
    assert read(folder / "run.json")["facts"]["items"] == 5
    assert sorted(path.name for path in (folder / "artifacts").iterdir()) == [
        "facts.json", "item_counts.safetensors",
        "transform-1-join.parquet", "transform-4-bucketise.parquet", "transforms.json",
    ]  # fmt: skip
    message = mistake("train", job, "run.name=x", "data.history=price_range")
    assert "no column 'price_range'" in message


def test_labels_of_text(tmp_path: Path) -> None:
    """Looked up from 0, their names are those of the vocabulary; prediction needs no label."""
    for split, rows in {"train": 40, "valid": 8}.items():
        (tmp_path / "texts" / split).mkdir(parents=True)
        texts, moods = ["what a good day", "a bad, bad day"] * rows, ["good", "bad"] * rows
        pq.write_table(pa.table({"text": texts, "mood": moods}), tmp_path / "texts" / split / "a.parquet")
    (tmp_path / "job.yaml").write_text(
        f"task: text_classification\ndata:\n  path: {tmp_path / 'texts'}\n  label: mood\n"
        "  transforms: [{name: lookup, column: mood, first: 0, unknown: error}]\n"
        "model: {dim: 8, blocks: 1, heads: 1, hidden: 16}\ntrain: {epochs: 1}\nwandb: {mode: disabled}\n"
        f"engine: {{name: reference, device: cpu}}\nrun: {{storage: {tmp_path}, name: run}}\n"
    )
    command("train", tmp_path / "job.yaml")
    assert read(tmp_path / "run" / "run.json")["facts"] == {"labels": ["bad", "good"]}
    pq.write_table(pa.table({"text": ["a good day"]}), tmp_path / "new.parquet")
    rows = predictions(tmp_path / "run", tmp_path / "new.parquet", tmp_path / "out.parquet")
    assert sorted(rows[0]["labels"]) == [0, 1]
    pq.write_table(pa.table({"text": ["x"], "mood": ["odd"]}), tmp_path / "texts" / "valid" / "b.parquet")
    message = mistake("evaluate", tmp_path / "run", "--split", "valid")
    assert "b.parquet: row group 0: data.transforms.0 (lookup): column 'mood': the value 'odd' isn't in" in message
