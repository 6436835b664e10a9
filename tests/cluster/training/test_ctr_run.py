"""A click-prediction job from its file to probabilities, and what is said of data that doesn't fit it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.cluster.training.ctr_steps import FEATURES, HISTORY, MODELS, describe_job, make_job, make_task, write_rows
from tests.cluster.training.exports import Export
from tests.cluster.training.program import saccade

from saccade.cluster.cli.main import run
from saccade.cluster.job import parse_job
from saccade.cluster.training.facts import gather_facts
from saccade.cluster.training.validate import validate
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.shard import TableShard


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_rows(tmp_path / "data")
    return tmp_path / "data"


def change(data: Path, column: str, values: Any, split: str = "valid") -> None:
    """Replace a column of a split."""
    path = data / split / "part-0.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    changed = table.set_column(place, column, values(table[column].to_pylist()))
    pq.write_table(changed, path, row_group_size=40)


@pytest.mark.slow
def test_train_evaluate_and_predict(data: Path, tmp_path: Path) -> None:
    job = {
        "task": "ctr",
        "run": {"storage": str(tmp_path)},
        "data": {"path": str(data), "labels": ["click", "like"], "user": "user"}
        | {"features": FEATURES, "history": HISTORY},
        "model": {"name": "dien", "dim": 8, "experts": 2},
        "train": {"epochs": 2, "tokens": 200},
        "engine": {"name": "reference"},
        "wandb": {"mode": "disabled"},
    }
    (tmp_path / "clicks.yaml").write_text(yaml.safe_dump(job))
    trained = saccade("train", tmp_path / "clicks.yaml", "--json").json
    names = {"auc", "gauc", "log_loss", "click_auc", "like_auc", "click_ne", "like_calibration"}
    assert {f"valid/{name}" for name in names} <= set(trained["metrics"])
    trained_run = tmp_path / "clicks"
    measured = saccade("evaluate", trained_run, "--split", "valid", "--json").json
    assert measured["metrics"]["valid/auc"] == trained["metrics"]["valid/auc"]
    assert set(measured["labels"]["like"]["slices"]["history_length"]) == {"0", "1-9", "10-49", "50+"}
    unlabelled = tmp_path / "new.parquet"
    pq.write_table(pq.read_table(data / "valid").drop_columns(["click", "like", "user"]), unlabelled)
    output = tmp_path / "probabilities.parquet"
    assert saccade("predict", trained_run, "--data", unlabelled, "--output", output, "--json").json["rows"] == 150
    found = pq.read_table(output)
    assert found.column_names == ["row", "probability_click", "probability_like"]
    assert found["row"].to_pylist() == list(range(150))
    assert all(0 < p < 1 for p in found["probability_like"].to_pylist())
    assert saccade("report", trained_run).code == 0
    assert saccade("checkpoint", "export", trained_run, tmp_path / "exported").code == 0
    weights = Export(trained_run, tmp_path / "exported").tensors
    assert {"tables/item", "tables/genres", "tables/tags", "tables/stars"} <= set(weights)


@pytest.mark.parametrize("name", MODELS)
def test_an_export_predicts_what_the_run_does(
    name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = describe_job(name, data)
    job["run"]["storage"], job["wandb"] = str(tmp_path), {"mode": "disabled"}
    (tmp_path / "clicks.yaml").write_text(yaml.safe_dump(job))
    assert run(["train", str(tmp_path / "clicks.yaml"), "train.epochs=1"]) == 0, capsys.readouterr().err
    trained, exported, output = tmp_path / name, tmp_path / "exported", tmp_path / "probabilities.parquet"
    assert run(["predict", str(trained), "--data", str(data / "valid"), "--output", str(output)]) == 0
    assert run(["checkpoint", "export", str(trained), str(exported)]) == 0
    export = Export(trained, exported)
    batch = export.batch(data / "valid", 150)
    mine = export.task.predict(export.output(batch), batch, no_shards, 0)
    theirs = pq.read_table(output)
    assert theirs.column_names == ["row", *mine]
    for column, values in mine.items():
        assert values.tolist() == pytest.approx(theirs[column].to_pylist(), abs=1e-5)


def no_shards(table: str) -> Sequence[TableShard]:
    """Click models compare their outputs with no table."""
    raise KeyError(table)


def test_an_id_beyond_its_table_is_named_with_file_and_row(data: Path, tmp_path: Path) -> None:
    change(data, "items", lambda rows: pa.array([[99] if at == 77 else row for at, row in enumerate(rows)]))
    with pytest.raises(
        UserError, match=r"part-0.parquet row 77: column 'items' has id 99, but table 'item' has 20 rows"
    ):
        gather_facts(make_job("din", data), tmp_path)
    faults = validate(make_job("din", data), quick=False).faults
    assert [fault.kind for fault in faults if not fault.warning] == ["training"]


def test_a_label_that_is_neither_0_nor_1(data: Path, tmp_path: Path) -> None:
    change(data, "click", lambda rows: pa.array([3 if at == 5 else row for at, row in enumerate(rows)]), "train")
    with pytest.raises(UserError, match=r"row 5: column 'click' has the label 3"):
        gather_facts(make_job("din", data), tmp_path)
    assert [fault.kind for fault in validate(make_job("din", data), quick=False).faults if not fault.warning] == [
        "unknown label"
    ]


def test_good_data_pass_validation(data: Path) -> None:
    assert validate(make_job("mmoe", data), quick=False).good


def test_columns_of_a_history_need_equal_lengths(data: Path, tmp_path: Path) -> None:
    task = make_task(make_job("din", data), tmp_path)
    change(
        data, "stars", lambda rows: pa.array([[*row, 1] if at == 9 else row for at, row in enumerate(rows)]), "train"
    )
    rows = Source.open(str(data), "train", task.columns).read(5, 20)
    with pytest.raises(UserError, match=r"row 9: 'items' has \d events and 'stars' \d"):
        task.encode(rows, "train")


def test_columns_that_share_a_table_need_one_vocabulary(data: Path, tmp_path: Path) -> None:
    job = make_job("din", data).model_dump(mode="json")
    job["data"]["transforms"] = [{"name": "lookup", "column": "item"}, {"name": "lookup", "column": "items"}]
    with pytest.raises(UserError, match="'item' and 'items' share a table"):
        gather_facts(parse_job(job), tmp_path)


def test_a_search_keeps_the_events_of_the_targets_kind(data: Path, tmp_path: Path) -> None:
    task = make_task(make_job("search", data), tmp_path)
    rows = Source.open(str(data), "train", task.columns).read(0, 150)
    encoded = task.encode(rows, "train")
    raw = pq.read_table(data / "train").to_pylist()
    items = encoded.columns["items"].pack().unpack()  # type: ignore[union-attr]
    for row, found in zip(raw, items, strict=True):
        kept = [item for item, kind in zip(row["items"], row["kinds"], strict=True) if kind == row["kind"]]
        assert found.tolist() == kept[-6:]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"features": [{"column": "a"}], "labels": ["a"]}}, "column a is a label"),
        ({"data": {"features": [{"column": "a"}, {"column": "a"}]}}, "column a is there twice"),
        ({"data": {"features": [{"column": "a", "type": "number"}]}}, "at least one feature must be an id or ids"),
        ({"data": {"features": [{"column": "a", "pooling": "sum"}]}}, "pooling of a has no effect"),
        ({"data": {"features": [{"column": "a"}]}}, "model.name=din needs data.history"),
        (
            {"data": {"features": [{"column": "a"}], "history": {"events": [{"column": "b", "target": "c"}]}}},
            "target=c is no feature",
        ),
        ({"data": {"features": [{"column": "a"}], "history": {"events": [{"column": "b"}]}}}, "no event has a target"),
        ({"data": {"features": [{"column": "a b"}]}}, "data.features.0.column='a b': expected text of the form"),
        ({"tables": {"features": {"rows": 5}}, "data": {"features": [{"column": "a"}]}}, "set table.rows of a feature"),
        ({"data": {"features": [{"column": "a", "tabel": {}}]}}, "did you mean data.features.0.table"),
    ],
)
def test_mistakes_in_jobs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_job({"task": "ctr", **changes, "data": {"path": "x", **changes["data"]}})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
