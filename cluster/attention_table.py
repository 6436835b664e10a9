"""The tables of docs/attention.md, made from the code: ``python -m saccade.cluster.attention_table docs/attention.md``.

What a backend can't compute it says itself, asked with tensors of the device that it is for; they hold nothing, so a
machine without that device will do. Whether a layer can be computed step by step is tried.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from saccade.models.attention.backends.choose import BACKENDS
from saccade.models.attention.cache import DecodingCache
from saccade.models.attention.choice import AttentionChoice
from saccade.models.attention.masks.causal import Causal
from saccade.models.attention.multihead import MultiHeadAttention
from saccade.models.jagged import Jagged, Layout
from saccade.models.registry import Choice, Entry, Kind, entries
from saccade.plugins.discovery import load_installed

BEGIN, END = "<!-- begin: made by saccade.cluster.attention_table -->", "<!-- end -->"
YES = "✓"
HEADS, LONGEST, LENGTHS = 2, 8, (5, 3)
USUAL = AttentionChoice()


@dataclass(frozen=True)
class Part:
    """One row of the table: a layer that differs from the usual one in one part, or in how it is used.

    The usual one is what ``AttentionChoice`` makes, causal, over bfloat16 tokens.

    Attributes:
        kind: of the part.
        name: what it is called.
        choice: what makes the layer.
        causal: whether the layer is causal besides.
        dtype: of the tokens.
        crosses: whether the keys are another sequence's.
        dim: features of a head.
    """

    kind: str
    name: str
    choice: AttentionChoice = USUAL
    causal: bool = True
    dtype: torch.dtype = torch.bfloat16
    crosses: bool = False
    dim: int = 16


def parts() -> list[Part]:
    """All rows: what Saccade registers, options that matter to a backend, and uses."""
    load_installed()  # Saccade's own parts among them
    rows = [Part("score", one.name, AttentionChoice(score=Choice.of(one.name))) for one in _own("score")]
    for one in _own("normalizer"):
        rows.append(Part("normalizer", one.name, AttentionChoice(normalizer=Choice.of(one.name))))
        if one.name == "softmax":
            capped = AttentionChoice(normalizer=Choice.of("softmax", soft_cap=30.0))
            rows.append(Part("normalizer", "softmax with soft_cap", capped))
    masks: dict[str, Sequence[Choice]] = {"none": []}
    masks |= {
        one.name: [Choice(one.name, {"of": ["block", "first"]} if one.name == "any" else {})] for one in _own("mask")
    }
    masks["causal and window"] = [Choice.of("causal"), Choice.of("window", before=2)]
    rows += [Part("mask", name, AttentionChoice(masks=choices), causal=False) for name, choices in masks.items()]
    rows += [Part("position", one.name, AttentionChoice(positions=[Choice.of(one.name)])) for one in _own("position")]
    return [
        *rows,
        Part("use", "key_heads below heads", AttentionChoice(key_heads=1)),
        Part("use", "cross-attention", causal=False, crosses=True),
        Part("use", "cross-attention with a mask", crosses=True),
        Part("use", "float32 tokens", dtype=torch.float32),
        Part("use", "20 features a head", dim=20),
    ]


def refusals(part: Part) -> dict[str, str | None]:
    """Why each backend can't compute a layer on CUDA; None where it can."""
    layer = _layer(part)
    inputs: list[Jagged] = []
    layer.attention.register_forward_pre_hook(lambda _, given: inputs.extend(given[:2]))
    tokens = Jagged(torch.zeros(sum(LENGTHS), HEADS * part.dim), _layout())
    with torch.no_grad():
        layer(tokens, Jagged(tokens.values, _layout()) if part.crosses else None)
        query, key = layer.attention.prepare(*inputs)
    with FakeTensorMode():
        q, k = (x.with_values(torch.empty(x.values.shape, dtype=part.dtype, device="cuda")) for x in (query, key))
    return {name: backend.refuses(layer.attention.formula, q, k) for name, backend in BACKENDS.items()}


@torch.inference_mode()
def without_cache(part: Part) -> str | None:
    """Why a layer can't be computed step by step with a cache; None where that gives what the whole gives at once."""
    if part.crosses:
        return "keys of another sequence don't grow"
    if not part.causal and not part.choice.masks:
        return "looks ahead"
    layer = _layer(part, causal=True).double().eval()
    added = part.choice.token_positions(HEADS * part.dim, LONGEST).double()
    layout = _layout()
    generator = torch.Generator().manual_seed(0)
    tokens = Jagged(torch.randn(layout.total, HEADS * part.dim, generator=generator, dtype=torch.float64), layout)

    def attend(one: Jagged, cache: DecodingCache | None = None) -> Tensor:
        values = one.values
        for position in added:
            values = values + position(one.layout)
        attended: Tensor = layer(one.with_values(values), cache=None if cache is None else cache.layers[0])
        return attended

    expected, cache = Jagged(attend(tokens), layout), DecodingCache(1)
    same = True
    try:
        for step in range(max(LENGTHS)):
            lengths = (layout.lengths > step).long()
            starts = layout.host_offsets[:-1] + layout.lengths.clamp(max=step)
            piece = tokens.slice(starts, lengths)
            known = {name: getattr(piece.layout, name) for name in ("time", "block", "valid")}
            got = attend(Jagged(piece.values, cache.layout(lengths, **known)), cache)
            same &= torch.allclose(got, expected.slice(starts, lengths).values)
    except ValueError as error:
        return str(error)
    return None if same else "gives other numbers than the whole sequence does"


def table() -> str:
    """Markdown: what each backend computes, and notes that say why not."""
    notes: list[str] = []

    def cell(reason: str | None) -> str:
        if reason is None:
            return YES
        reason = reason.partition(", not ")[0]  # what was given instead differs from row to row
        if reason not in notes:
            notes.append(reason)
        return f"no ({notes.index(reason) + 1})"

    heads = [*BACKENDS, "cache"]
    lines = ["| | | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(heads)]
    kind = ""
    for part in parts():
        cells = [cell(reason) for reason in (*refusals(part).values(), without_cache(part))]
        lines.append(f"| {part.kind if part.kind != kind else ''} | {part.name} | {' | '.join(cells)} |")
        kind = part.kind
    return "\n".join([*lines, "", *(f"{number}. {note}" for number, note in enumerate(notes, start=1))])


def write(path: Path) -> None:
    """Put the table between its two marks in a file."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}", encoding="utf-8")


def _own(kind: Kind) -> list[Entry]:
    return [entry for entry in entries(kind) if entry.package == "saccade"]


def _layout() -> Layout:
    total = sum(LENGTHS)
    return Layout(
        torch.tensor(LENGTHS),
        time=torch.arange(total, dtype=torch.float64) ** 2,
        block=torch.arange(total) // 2,
        valid=torch.arange(total) % 3 != 1,
    )


def _layer(part: Part, causal: bool = False) -> MultiHeadAttention:
    dim = HEADS * part.dim
    torch.manual_seed(0)
    layer = part.choice.layer(dim, HEADS, LONGEST, Causal() if part.causal or causal else None)
    return MultiHeadAttention(dim, HEADS, layer.attention, memory_dim=dim) if part.crosses else layer


if __name__ == "__main__":
    write(Path(sys.argv[1]))
