"""What BERT4Rec's objective hides and asks for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.jagged import Layout
from saccade.pipelines.seeds import generator
from saccade.pipelines.tasks.objectives.masked import Masked
from saccade.pipelines.tasks.objectives.next_token import NextToken

some_lengths = st.lists(st.integers(0, 9), max_size=8)


def layout(lengths: list[int]) -> Layout:
    return Layout(torch.tensor(lengths, dtype=torch.int64))


@given(some_lengths, st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 99))
def test_every_history_hides_something_and_is_asked_for_just_that(
    lengths: list[int], share: float, only_last: float, seed: int
) -> None:
    whole = layout(lengths)
    exercise = Masked(share, only_last).teach(whole, generator(seed))
    assert exercise.lengths.tolist() == lengths
    assert exercise.hidden is not None
    assert torch.equal(exercise.hidden.nonzero().squeeze(1), exercise.asked)  # type: ignore[arg-type]
    assert torch.equal(exercise.asked, exercise.wanted)  # type: ignore[arg-type]
    for hidden in exercise.hidden.split(lengths):
        assert len(hidden) == 0 or hidden.any()
        if only_last == 1.0:
            assert hidden[:-1].sum() == 0
        elif share == 1.0 and only_last == 0.0:
            assert hidden.all()


def test_shares_are_what_they_are_asked_to_be() -> None:
    lengths = [20] * 5000
    hidden = Masked(0.3, 0.25).teach(layout(lengths), generator(0)).hidden
    assert hidden is not None
    counts = hidden.view(5000, 20)
    last_alone = counts[:, -1] & (counts.sum(1) == 1)
    by_chance = 0.75 * 0.3 * 0.7**19
    assert last_alone.float().mean() == pytest.approx(0.25 + by_chance, abs=0.02)
    assert counts[~last_alone].float().mean() == pytest.approx(0.3, abs=0.01)
    per_place = counts[~last_alone].float().mean(0)
    assert per_place.min() > 0.27
    assert per_place.max() < 0.33


def test_where_chance_hides_nothing_any_place_is_chosen() -> None:
    hidden = Masked(1e-9, 0.0).teach(layout([5] * 2000), generator(1)).hidden
    assert hidden is not None
    counts = hidden.view(2000, 5)
    assert (counts.sum(1) == 1).all()
    assert counts.float().mean(0).tolist() == pytest.approx([0.2] * 5, abs=0.04)


def test_randomness_is_the_generators_alone() -> None:
    torch.manual_seed(1)
    first = Masked(0.3, 0.2).teach(layout([9] * 9), generator(7)).hidden
    torch.manual_seed(2)
    second = Masked(0.3, 0.2).teach(layout([9] * 9), generator(7)).hidden
    assert torch.equal(first, second)  # type: ignore[arg-type]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_a_question_appends_a_hidden_token_with_the_last_ones_moment(lengths: list[int]) -> None:
    question = Masked(0.2, 0.1).ask(layout(lengths))
    assert question.lengths.tolist() == [n + 1 for n in lengths]
    assert question.hidden is not None
    assert question.source is not None
    begin = 0
    parts = zip(lengths, question.hidden.split([n + 1 for n in lengths]), strict=True)
    for (n, hidden), source in zip(parts, question.source.split([n + 1 for n in lengths]), strict=True):
        assert hidden.tolist() == [False] * n + [True]
        assert source.tolist() == [*range(begin, begin + n), begin + n - 1]
        begin += n
    assert torch.equal(question.asked, question.hidden.nonzero().squeeze(1))  # type: ignore[arg-type]


@given(some_lengths)
def test_next_token_asks_each_item_for_the_one_behind_it(lengths: list[int]) -> None:
    exercise = NextToken().teach(layout(lengths), generator(0))
    assert exercise.source is not None
    places, begin = [], 0
    for n in lengths:
        places += list(range(begin, begin + n - 1))
        begin += n
    assert exercise.source.tolist() == places
    assert exercise.wanted.tolist() == [p + 1 for p in places]  # type: ignore[union-attr]
