"""The classes of a label column."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.tasks.labels import check_labels, find_labels


def open_labels(folder: Path, labels: list[int], names: object = None, statistics: bool = True) -> Source:
    table = pa.table({"label": pa.array(labels, pa.int32())})
    if names is not None:
        text = names if isinstance(names, str) else json.dumps(names)
        table = table.replace_schema_metadata({"label_names": text})
    pq.write_table(table, folder / "x.parquet", row_group_size=3, write_statistics=statistics)
    return Source.open(str(folder / "x.parquet"), None, [Column("label", "integer")])


@pytest.mark.parametrize("statistics", [True, False])
def test_labels_are_counted_or_named_by_the_file(tmp_path: Path, statistics: bool) -> None:
    assert find_labels(open_labels(tmp_path, [0, 3, 1, 1], None, statistics), "label") == ("0", "1", "2", "3")
    named = open_labels(tmp_path, [0, 1, 1, 0], ["no", "yes", "maybe"], statistics)
    assert find_labels(named, "label") == ("no", "yes", "maybe")


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0, 1, 2, -1], None, "row 3: column 'label' has label -1: labels count from 0"),
        ([0, 1, 0, 1, 2], ["no", "yes"], "row 4: column 'label' has a label beyond the 2 of label_names"),
        ([1, 1], None, "every label in column 'label' is 1"),
        ([0, 1], {"no": 0}, "no JSON list of names"),
        ([0, 1], "no, yes", "no JSON list of names"),
    ],
)
def test_bad_labels_are_refused(tmp_path: Path, labels: list[int], names: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_labels(open_labels(tmp_path, labels, names), "label")


def test_a_class_that_training_does_not_know_is_refused(tmp_path: Path) -> None:
    source = open_labels(tmp_path, [0, 1, 0, 5, 1])
    check_labels(source, "label", tuple("abcdef"))
    with pytest.raises(UserError, match=r"x.parquet row 3: column 'label' has label 5, but training knows labels 0..1"):
        check_labels(source, "label", ("no", "yes"))
