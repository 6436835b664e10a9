import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.jagged import Jagged, Layout

Lists = list[list[int]]
lists = st.lists(st.lists(st.integers(0, 99), max_size=6), max_size=6)


def jagged(examples: Lists) -> Jagged:
    lengths = torch.tensor([len(e) for e in examples], dtype=torch.int64)
    return Jagged(torch.tensor([i for e in examples for i in e], dtype=torch.int64), Layout(lengths))


def plain(batch: Jagged) -> Lists:
    return [example.tolist() for example in batch.unpack()]


@given(lists)
def test_unpack_gives_the_examples_back(examples: Lists) -> None:
    batch = jagged(examples)
    assert plain(batch) == examples
    assert len(batch) == len(examples)
    assert batch.layout.total == sum(map(len, examples))
    assert batch.layout.max_length == max(map(len, examples), default=0)


@given(lists.filter(len), st.integers(1, 3))
def test_pack_joins_tensors_of_any_width(examples: Lists, dim: int) -> None:
    tensors = [torch.tensor(e, dtype=torch.float64)[:, None].expand(-1, dim) for e in examples]
    packed = Jagged.pack(tensors)
    assert packed.values.shape == (sum(map(len, examples)), dim)
    assert all(torch.equal(a, b) for a, b in zip(packed.unpack(), tensors, strict=True))


@given(lists)
def test_derived_indices(examples: Lists) -> None:
    layout = jagged(examples).layout
    assert layout.example.tolist() == [b for b, e in enumerate(examples) for _ in e]
    assert layout.position.tolist() == [i for e in examples for i in range(len(e))]
    offsets = layout.offsets.tolist()
    assert [offsets[b + 1] - offsets[b] for b in range(len(examples))] == [len(e) for e in examples]
    assert [layout.last[b].item() for b, e in enumerate(examples) if e] == [
        offsets[b + 1] - 1 for b, e in enumerate(examples) if e
    ]


@given(st.data(), lists.filter(len), st.one_of(st.none(), st.integers(0, 8)))
def test_take(data: st.DataObject, examples: Lists, last: int | None) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(examples) - 1), max_size=8))
    expected = [examples[b] if last is None else examples[b][max(len(examples[b]) - last, 0) :] for b in chosen]
    assert plain(jagged(examples).take(torch.tensor(chosen, dtype=torch.int64), last)) == expected


@given(st.data(), st.lists(st.integers(0, 99), max_size=20))
def test_slice(data: st.DataObject, values: list[int]) -> None:
    bounds = st.integers(0, len(values))
    runs = data.draw(st.lists(st.tuples(bounds, bounds).map(sorted), max_size=6))
    sliced = jagged([values]).slice(
        torch.tensor([a for a, _ in runs], dtype=torch.int64), torch.tensor([b - a for a, b in runs], dtype=torch.int64)
    )
    assert plain(sliced) == [values[a:b] for a, b in runs]


def test_values_must_fit_the_layout() -> None:
    with pytest.raises(ValueError, match=r"3 tokens \(shape \(3, 2\)\).*sum to 4"):
        Jagged(torch.zeros(3, 2), Layout(torch.tensor([1, 3])))


def test_derive_computes_once_a_layout() -> None:
    calls = []

    def count(layout: Layout) -> int:
        calls.append(layout)
        return len(layout)

    layout, other = Layout(torch.tensor([1, 2])), Layout(torch.tensor([5]))
    assert [layout.derive(count), layout.derive(count), other.derive(count)] == [2, 2, 1]
    assert calls == [layout, other]


def test_to_the_same_device_is_itself() -> None:
    layout = Layout(torch.tensor([1, 2]))
    assert layout.to("cpu") is layout
    assert layout.to("meta").device.type == "meta"


@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.booleans())
def test_padded_and_back(sizes: list[int], left: bool) -> None:
    tokens = Jagged.pack([torch.randn(size, 3) for size in sizes])
    padded = tokens.to_padded(fill=7.0)
    assert padded.shape == (len(sizes), max(sizes), 3)
    for row, size, example in zip(padded, sizes, tokens.unpack(), strict=True):
        assert torch.equal(row[:size], example)
        assert (row[size:] == 7.0).all()
    lengths = torch.tensor(sizes)
    assert torch.equal(Jagged.from_padded(padded, lengths).values, tokens.values)
    real = torch.arange(max(sizes)) < lengths[:, None]
    if left:  # padding in front, as many a batch of histories has it
        padded, real = padded.flip(1), real.flip(1)
    again = Jagged.from_padded(padded, real)
    assert torch.equal(again.layout.lengths, lengths)
    examples = [example.flip(0) if left else example for example in again.unpack()]
    assert torch.equal(torch.cat(examples), tokens.values)


@pytest.mark.parametrize(
    ("real", "message"),
    [
        (
            torch.ones(3, 2, dtype=torch.bool),
            r"padded of shape \(2, 3, 4\) needs .* not \(3, 2\)",
        ),
        (torch.ones(2, 3), "a mask must be bool, not float32"),
        (torch.tensor([1, 4]), r"lengths must be 0 to 3, found \[1, 4\]"),
    ],
)
def test_padding_that_does_not_fit_is_refused(real: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Jagged.from_padded(torch.zeros(2, 3, 4), real)
