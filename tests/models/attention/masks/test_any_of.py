"""Unions as a job file writes them."""

from typing import Any

import pytest

from saccade.models.attention.masks import AnyOf, Causal, First, Mask, Padding, Window
from saccade.models.registry import Choice, RegistryError


def test_takes_names_mappings_choices_and_masks() -> None:
    union = AnyOf(["causal", {"name": "window", "before": 3}, Choice.of("first", tokens=2), Padding()])
    assert union.of == (Causal(), Window(3), First(2), Padding())
    assert union == AnyOf(union.of)
    assert hash(union) == hash(AnyOf(union.of))


def test_is_chosen_by_name_and_nests() -> None:
    inner = {"name": "any", "of": ["first", "padding"]}
    built: Mask = Choice.of("any", of=["causal", inner]).build("mask", dim=8)
    assert built == AnyOf([Causal(), AnyOf([First(), Padding()])])


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ([], r"mask any: of=\[\] must be a list of at least one mask"),
        ("first", "mask any: of='first' must be a list"),
        ({"name": "first"}, "mask any: of={'name': 'first'} must be a list"),
        ([{"before": 3}], r"mask any: {'before': 3} in `of` has no name: write {name: window, before: 3}"),
        ([3], "mask any: 3 in `of` is no mask"),
    ],
)
def test_refuses_what_is_no_list_of_masks(of: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnyOf(of)


def test_names_what_is_unknown() -> None:
    with pytest.raises(RegistryError, match="no mask 'windows': choose one of any, block, causal"):
        AnyOf(["windows"])
    with pytest.raises(RegistryError, match="mask window: no option 'behind'; it takes before, after"):
        AnyOf([{"name": "window", "behind": 3}])
