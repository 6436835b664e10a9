"""Every formula that can be put together, and batches to try it on."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from saccade.models.attention.attention import Attention
from saccade.models.attention.masks import Block, Causal, First, Padding, Window
from saccade.models.attention.masks.mask import Mask
from saccade.models.attention.positions.position import TokenPosition
from saccade.models.jagged import Jagged, Layout
from saccade.models.registry import Choice, Entry, Kind, entries

DIM, LONGEST = 4, 160


def own(kind: Kind) -> list[Entry]:
    """Saccade's entries of a kind; other tests of the same process register parts as well."""
    return [entry for entry in entries(kind) if entry.package == "saccade"]


SCORES = [entry.name for entry in own("score")]
NORMALIZERS = [entry.name for entry in own("normalizer")]
INSIDE = [entry.name for entry in own("position") if not issubclass(entry.cls, TokenPosition)]
MASKS: list[Mask | None] = [
    None,
    Causal(),
    Window(2, 1),
    Padding(),
    Block(),
    Causal() & Window(3),
    Causal() & Padding(),
    Window(1, 1) | First(2),
    (Window(4) & Causal()) | Block(),
]

short_lengths = st.lists(st.integers(0, 9), min_size=1, max_size=8)
many_lengths = st.lists(st.integers(0, 40), min_size=8, max_size=16)
lengths = st.one_of(short_lengths, many_lengths)


def layout_of(lengths: list[int], seed: int) -> Layout:
    """A layout whose tokens have times, blocks and, some of them, no validity; example 0 has no valid token at all."""
    rng = torch.Generator().manual_seed(seed)
    total = sum(lengths)
    valid = torch.rand(total, generator=rng) < 0.7
    valid[: lengths[0]] = False
    time = torch.rand(total, generator=rng, dtype=torch.float64).cumsum(0) * 50
    block = torch.randint(0, 3, (total,), generator=rng)
    return Layout(torch.tensor(lengths, dtype=torch.int64), time=time, block=block, valid=valid)


def heads(layout: Layout, count: int, seed: int, dim: int = DIM) -> Tensor:
    """[T, count, dim] float64 that wants gradients."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(layout.total, count, dim, generator=rng, dtype=torch.float64).requires_grad_()


def attention(
    score: str, normalizer: str, mask: Mask | None, positions: list[str], backend: str, count: int, key_count: int
) -> Attention:
    """An attention layer in evaluation (no noise), float64, with the same weights whenever it's made."""
    known = {"dim": DIM, "heads": count, "key_heads": key_count, "max_length": LONGEST}
    torch.manual_seed(0)
    made = Attention(
        Choice.of(score).build("score", **known),
        Choice.of(normalizer).build("normalizer", **known),
        mask,
        [Choice.of(name).build("position", **known) for name in positions],
        backend,
    )
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made.double().eval()


def output_and_gradients(layer: Attention, query: Jagged, key: Jagged, value: Tensor) -> list[Tensor]:
    """The output, and the gradient of a sum over it by queries, keys, values and every parameter (zeros for none)."""
    output = layer(query, key, value)
    weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    wanted = [query.values, key.values, value, *layer.parameters()]
    found = torch.autograd.grad((output * weight).sum(), wanted, allow_unused=True)
    gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(wanted, found, strict=True)]
    return [output, *gradients]
