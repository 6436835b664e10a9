"""Histories cut by time."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.pipelines.metrics.ranks import jagged

from saccade.models.jagged import Jagged
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.pipelines.errors import UserError
from saccade.pipelines.examples import Examples
from saccade.pipelines.seeds import generator
from saccade.pipelines.tasks.holdout import ByTime
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem


def make() -> NextItem:
    return NextItem(
        history="events",
        max_length=5,
        items=400,
        build=partial(SASRec, dim=4, blocks=1, heads=1, hidden=8, dropout=0.0, max_length=5),
        dim=4,
        standard_deviation=0.1,
        loss=ScoredLoss(8, True, sampled_softmax),
        ks=[10],
        holdout=ByTime("when", valid_from=10, test_from=20),
    )


def rows(moments: list[list[int]]) -> Examples:
    """Histories whose items count up from 1 over all of them."""
    when = jagged(moments)
    events = Jagged(torch.arange(1, when.layout.total + 1), when.layout)
    return Examples(torch.arange(len(moments)), {"events": events, "when": when}, when.layout.lengths)


@given(st.lists(st.lists(st.integers(0, 30), max_size=9).map(sorted), max_size=6))
def test_items_fall_where_their_moment_does(moments: list[list[int]]) -> None:
    task, examples = make(), rows(moments)
    items = [part.tolist() for part in examples.columns["events"].unpack()]  # type: ignore[union-attr]
    dated = [list(zip(part, when, strict=True)) for part, when in zip(items, moments, strict=True)]
    for split, begin, end in (("valid", 10, 20), ("test", 20, 1 << 60)):
        batch = task.collate(task.encode(examples, split), split, generator(0))  # type: ignore[arg-type]
        expected = [
            ([item for item, when in row if when < begin], [item for item, when in row if begin <= when < end])
            for row in dated
        ]
        expected = [(before, after) for before, after in expected if before and after]
        seen, relevant = batch.inputs["seen"], batch.inputs["relevant"]
        assert isinstance(seen, Jagged)
        assert isinstance(relevant, Jagged)
        assert [part.tolist() for part in seen.unpack()] == [before for before, _ in expected]
        assert [part.tolist() for part in relevant.unpack()] == [after for _, after in expected]
    batch = task.collate(task.encode(examples, "train"), "train", generator(0))
    learned = [[item for item, when in row if when < 10] for row in dated]
    assert batch.lookups["history"].tolist() == [item for row in learned if len(row) > 1 for item in row[-6:]]


def test_moments_must_fit() -> None:
    history = jagged([[1, 2], [3, 4]])
    for moments, says in (
        ([[1, 2], [3]], "row 1: column 'when' has 1 moments for 2 items"),
        ([[1, 2], [4, 3]], "row 1: column 'when' is not in"),
    ):
        examples = Examples(torch.arange(2), {"events": history, "when": jagged(moments)}, torch.ones(2))
        with pytest.raises(UserError, match=says):
            make().encode(examples, "valid")
