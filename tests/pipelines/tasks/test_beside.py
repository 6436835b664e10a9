"""Columns beside a history stay with their items, however histories are cut, whatever is asked of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.plugins.hybrid.models import DIM, FEATURES, ITEMS, SASREC, SOFTMAX, task

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.examples import Examples
from saccade.pipelines.seeds import generator
from saccade.pipelines.task import Split
from saccade.pipelines.tasks.next_item import NEXT_TOKEN, NextItem
from saccade.pipelines.tasks.objectives.masked import Masked
from saccade.pipelines.tasks.objectives.objective import Objective

OBJECTIVES = {"next token": NEXT_TOKEN, "masked": Masked(0.4, 0.3)}
lengths_of_rows = st.lists(st.integers(0, 30), max_size=6)


def tags(item: int) -> list[int]:
    return [item % 7, item % 3][: item % 3]


def rows(lengths: list[int], seed: int = 0) -> Examples:
    """Histories whose items say everything that stands beside them: moment 10 i, genre i mod 5, tags, year i / 8."""
    layout = Layout(torch.tensor(lengths, dtype=torch.int64))
    items = torch.randint(1, ITEMS, (layout.total,), generator=generator(seed))
    lists = [tags(item) for item in items.tolist()]
    each = torch.tensor([len(values) for values in lists], dtype=torch.int64)
    flat = torch.tensor([tag for values in lists for tag in values], dtype=torch.int64)
    of_rows = torch.tensor([int(part.sum()) for part in each.split(lengths)], dtype=torch.int64)
    columns = {
        "history": Jagged(items, layout),
        "times": Jagged(items * 10, layout),
        "genre": Jagged(items % 5, layout),
        "tags": Jagged(flat, Layout(of_rows)),
        "tags.lengths": Jagged(each, layout),
        "year": Jagged(items / 8, layout),
    }
    return Examples(torch.arange(len(lengths)), columns, torch.ones(len(lengths), dtype=torch.int64))


def make(objective: Objective) -> NextItem:
    return task(SASREC, SOFTMAX, objective=objective, times="times", features=FEATURES)


@pytest.mark.parametrize("name", OBJECTIVES)
@given(lengths_of_rows, st.sampled_from(["train", "valid", "test", "predict"]), st.integers(0, 99))
def test_everything_stays_with_its_item(name: str, lengths: list[int], split: Split, seed: int) -> None:
    made = make(OBJECTIVES[name])
    encoded = made.encode(rows(lengths, seed), split)
    chosen = torch.randperm(len(encoded), generator=generator(seed))
    batch = made.collate(encoded.take(chosen), split, generator(seed))
    layout, source = batch.inputs["layout"], batch.inputs.get("input_index")
    assert isinstance(layout, Layout)
    ids = batch.lookups["history"]
    items = ids[source] if isinstance(source, torch.Tensor) else ids
    assert len(items) == layout.total == batch.events
    assert torch.equal(layout.time, items * 10)  # type: ignore[arg-type]
    assert torch.equal(batch.lookups["feature_genre"], items % 5)
    assert torch.equal(batch.inputs["feature_year"], items / 8)  # type: ignore[arg-type]
    lists = batch.inputs["feature_tags"]
    assert isinstance(lists, Layout)
    found = batch.lookups["feature_tags"].split(lists.lengths.tolist())
    assert [part.tolist() for part in found] == [tags(item) for item in items.tolist()]


def test_a_list_counts_by_its_mean_and_an_empty_one_nothing() -> None:
    made = make(NEXT_TOKEN)
    batch = made.collate(made.encode(rows([5]), "predict"), "predict", generator(0))
    table = torch.randn(7, DIM)
    (feature,) = [one for one in FEATURES if one.kind == "ids"]
    values = feature.value({"feature_tags": table[batch.lookups["feature_tags"]]}, batch)
    for item, value in zip(batch.lookups["history"].tolist(), values, strict=True):
        expected = table[tags(item)].mean(0) if tags(item) else torch.zeros(DIM)
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("column", ["times", "genre", "year", "tags.lengths"])
def test_a_column_of_another_length_is_refused(column: str) -> None:
    whole, other = rows([5, 6]), rows([5, 7])
    columns = {**whole.columns, column: other.columns[column]}
    with pytest.raises(ValueError, match=rf"row 1: {column} has 7 values, but the history 6 items"):
        make(NEXT_TOKEN).encode(Examples(whole.rows, columns, whole.lengths), "train")
