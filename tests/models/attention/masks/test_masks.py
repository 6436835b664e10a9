"""What each mask allows, against its sentence; as a matrix and pair by pair, as compiled kernels ask."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.attention.coordinates import Coordinates, coordinates
from saccade.models.attention.masks import AnyOf, Block, Causal, First, Mask, Padding, Window
from saccade.models.jagged import Layout
from saccade.models.registry import entries

# A mask, and whether query i may attend to key j by (position, block, valid) of each.
Token = tuple[int, int, bool]
SENTENCES: list[tuple[Mask, Callable[[Token, Token], bool]]] = [
    (Causal(), lambda i, j: j[0] <= i[0]),
    (Window(0), lambda i, j: i[0] == j[0]),
    (Window(2), lambda i, j: j[0] in range(i[0] - 2, i[0] + 1)),
    (Window(1, 3), lambda i, j: j[0] in range(i[0] - 1, i[0] + 4)),
    (Padding(), lambda i, j: j[2]),
    (Block(), lambda i, j: i[1] == j[1]),
    (First(), lambda i, j: j[0] == 0),
    (First(3), lambda i, j: j[0] in (0, 1, 2)),
    (Causal() & Block(), lambda i, j: j[0] <= i[0] and i[1] == j[1]),
    (Window(1) | First(2), lambda i, j: i[0] - j[0] in (0, 1) or j[0] < 2),
    (AnyOf([Block(), First(), "padding"]), lambda i, j: i[1] == j[1] or j[0] == 0 or j[2]),
    ((Causal() & Padding()) | (Block() & First()), lambda i, j: (j[0] <= i[0] and j[2]) or (i[1] == j[1] and not j[0])),
]

TOKENS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.booleans()), max_size=6)


def place(tokens: list[Token]) -> Coordinates:
    columns = list(zip(*tokens, strict=True)) or [()] * 3
    position, block = (torch.tensor(x, dtype=torch.int64) for x in columns[:2])
    return Coordinates(position, block=block, valid=torch.tensor(columns[2], dtype=torch.bool))


@pytest.mark.parametrize(("mask", "sentence"), SENTENCES, ids=lambda x: str(x) if isinstance(x, Mask) else "")
@given(queries=TOKENS, keys=TOKENS)
def test_allows_what_its_sentence_says(
    mask: Mask, sentence: Callable[[Token, Token], bool], queries: list[Token], keys: list[Token]
) -> None:
    query, key = place(queries), place(keys)
    matrix = mask.allows(query.as_queries(), key.as_keys())
    assert matrix.dtype == torch.bool
    matrix = matrix.expand(len(queries), len(keys))
    for row, i in enumerate(queries):
        for column, j in enumerate(keys):
            one = mask.allows(query.map(lambda x, at=row: x[at]), key.map(lambda x, at=column: x[at]))
            assert one.dim() == 0
            assert one.item() == matrix[row, column].item() == sentence(i, j)


@pytest.mark.parametrize("mask", [mask for mask, _ in SENTENCES], ids=str)
def test_works_on_batches_and_under_vmap(mask: Mask) -> None:
    torch.manual_seed(0)
    place = Coordinates(torch.randint(0, 9, (2, 7)), None, torch.randint(0, 3, (2, 7)), torch.rand(2, 7) > 0.4)
    matrices = mask.allows(place.as_queries(), place.as_keys()).expand(2, 7, 7)

    def pair(example: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        return mask.allows(place.map(lambda x: x[example, i]), place.map(lambda x: x[example, j]))

    over = torch.vmap(torch.vmap(torch.vmap(pair, (None, None, 0)), (None, 0, None)), (0, None, None))
    assert torch.equal(over(torch.arange(2), torch.arange(7), torch.arange(7)), matrices)


@pytest.mark.parametrize("mask", [mask for mask, _ in SENTENCES], ids=str)
def test_other_keys_change_nothing(mask: Mask) -> None:
    torch.manual_seed(1)
    place = Coordinates(torch.randint(0, 9, (7,)), None, torch.randint(0, 3, (7,)), torch.rand(7) > 0.4)
    fewer = mask.allows(place.as_queries(), place.map(lambda x: x[:4]).as_keys()).expand(7, 4)
    assert torch.equal(mask.allows(place.as_queries(), place.as_keys()).expand(7, 7)[:, :4], fewer)


@pytest.mark.parametrize(("mask", "missing"), [(Padding(), "valid"), (Block(), "block"), (First() | Block(), "block")])
def test_asks_the_layout_for_what_it_needs(mask: Mask, missing: str) -> None:
    place = coordinates(Layout(torch.tensor([3])))
    with pytest.raises(ValueError, match=f"mask .* needs every token's {missing}: make .* with {missing}="):
        mask.allows(place.as_queries(), place.as_keys())


@pytest.mark.parametrize("mask", [mask for mask, _ in SENTENCES], ids=str)
def test_equal_masks_are_one_key(mask: Mask) -> None:
    again = {Window(2): Window(before=2, after=0), First(): First(1)}.get(mask, mask)
    assert {mask: 1}[again] == 1


def test_a_continued_sequence_keeps_its_places() -> None:
    layout = Layout(torch.tensor([1, 2]), start=torch.tensor([4, 0]))
    key = Coordinates(torch.arange(6))
    seen = Window(2).allows(coordinates(layout).as_queries(), key.as_keys())
    assert [row.nonzero().flatten().tolist() for row in seen] == [[2, 3, 4], [0], [0, 1]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Window(-1), "mask window: before=-1 must be at least 0"),
        (lambda: Window(1, after=-2), "mask window: after=-2 must be at least 0"),
        (lambda: First(0), "mask first: tokens=0 must be at least 1"),
    ],
)
def test_refuses_bad_options(make: Callable[[], Mask], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_all_are_registered() -> None:
    assert {"any", "block", "causal", "first", "padding", "window"} <= {entry.name for entry in entries("mask")}
