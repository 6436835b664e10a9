"""Learned positions, from either end."""

import pytest
import torch

from saccade.models.attention.positions import LearnedPositions, ReversedLearnedPositions, TokenPosition
from saccade.models.jagged import Layout
from saccade.models.registry import Choice

LAYOUT = Layout(torch.tensor([3, 0, 1, 2]))


@pytest.mark.parametrize(("reversed_", "expected"), [(False, [0, 1, 2, 0, 0, 1]), (True, [2, 1, 0, 0, 1, 0])])
def test_counts_from_either_end(reversed_: bool, expected: list[int]) -> None:
    positions = LearnedPositions(4, 3, reversed=reversed_)
    assert isinstance(positions, TokenPosition)
    assert torch.equal(positions(LAYOUT), positions.weight[expected])
    assert list(positions.state_dict()) == ["weight"]


def test_reversed_has_a_name_of_its_own() -> None:
    torch.manual_seed(0)
    named = Choice.of("reversed_learned").build("position", max_length=4, dim=3, heads=2)
    torch.manual_seed(0)
    optioned = Choice.of("learned", reversed=True).build("position", max_length=4, dim=3, heads=2)
    assert isinstance(named, ReversedLearnedPositions)
    assert torch.equal(named(LAYOUT), optioned(LAYOUT))


def test_refuses_a_longer_example() -> None:
    with pytest.raises(ValueError, match="an example has 5 tokens, but there are 4 positions"):
        LearnedPositions(4, 3)(Layout(torch.tensor([5, 1])))


def test_goes_on_where_a_sequence_left_off() -> None:
    positions = LearnedPositions(4, 3)
    step = Layout(torch.tensor([1, 0, 2]), start=torch.tensor([3, 9, 0]))
    assert torch.equal(positions(step), positions.weight[[3, 0, 1]])
    with pytest.raises(ValueError, match="an example has 5 tokens, but there are 4 positions"):
        positions(Layout(torch.tensor([1, 1]), start=torch.tensor([4, 0])))


def test_from_the_end_no_sequence_can_go_on() -> None:
    positions = ReversedLearnedPositions(4, 3)
    begun = Layout(torch.tensor([2, 1]), start=torch.tensor([0, 0]))
    assert torch.equal(positions(begun), positions.weight[[1, 0, 0]])
    with pytest.raises(ValueError, match="can't continue a sequence"):
        positions(Layout(torch.tensor([1, 1]), start=torch.tensor([2, 1])))


def test_no_tokens_keep_the_graph() -> None:
    for positions in (LearnedPositions(4, 3), ReversedLearnedPositions(4, 3)):
        for layout in (Layout(torch.zeros(2, dtype=torch.int64)), Layout(torch.zeros(0, dtype=torch.int64))):
            positions(layout).sum().backward()
            assert positions.weight.grad is not None


def test_refuses_a_table_without_positions() -> None:
    with pytest.raises(ValueError, match="learned positions: max_length=0 must be at least 1"):
        LearnedPositions(0, 3)
