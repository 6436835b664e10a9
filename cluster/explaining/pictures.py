"""Heat maps of rows, and files of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from saccade.cluster.explaining.layers import LayerWeights
from saccade.cluster.explaining.row import Row
from saccade.cluster.explaining.token_names import TokenNames
from saccade.cluster.report.attention import HeatMap


def show(row: Row, layer: LayerWeights, split: str, most: int | None = None) -> HeatMap:
    """A layer's weights as a picture shows them: the first or last tokens of a long row, with their names."""
    tokens = row.tokens
    most = most or tokens.most
    part = slice(-most, None) if tokens.newest else slice(most)
    queries, keys = (_names(tokens, size)[part] for size in layer.weights.shape[1:])
    shown = layer.weights[:, part if layer.weights.shape[1] > 1 else slice(None), part]
    what = f"{split} row {row.number}, {layer.layer}"
    if layer.weights.shape[2] > most:
        what += f": the {'last' if tokens.newest else 'first'} {most} of {layer.weights.shape[2]}"
    return HeatMap(
        row=row.number,
        layer=str(layer.layer),
        module=layer.layer.name,
        title="; ".join(part for part in (what, row.about) if part),
        unit=tokens.unit,
        heads=list(layer.heads),
        queries=queries,
        keys=keys,
        weights=[[[float(f"{w:.4g}") for w in query] for query in head] for head in shown.tolist()],
    )


def save_pictures(maps: Sequence[HeatMap], split: str, folder: Path) -> dict[str, Path]:
    """A PNG for each heat map; by its name without the ending."""
    paths = {}
    for one in maps:
        name = f"{split}-row-{one.row}-{as_file_name(one.layer)}"
        paths[name] = folder / f"{name}.png"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in letters that the font doesn't have
            one.draw(one.title).savefig(paths[name], dpi=120)
    return paths


def as_file_name(layer: str) -> str:
    """``layer 0`` -> ``layer-0``."""
    return layer.replace(" ", "-")


def _names(tokens: TokenNames, size: int) -> list[str]:
    """The tokens' names, or numbers for a layer over other tokens than the row's own."""
    if size == len(tokens.names):
        return list(tokens.names)
    return [str(number) for number in range(size)]
