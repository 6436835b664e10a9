"""Attention weights as a picture: heads side by side, queries downwards, keys to the right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from unicodedata import east_asian_width

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

POSITIVE, NEGATIVE = "#3b82f6", "#e07b1a"
"""Of a weight; the larger, the less transparent. Both stand out from a light page and from a dark one."""

LABELS = 40
"""Of more tokens than this only every second one (or third, …) is named."""

LONGEST_NAME = 22
CELL, SMALLEST, LARGEST, FURTHEST = 0.135, 1.3, 4.2, 10.8  # inches: a token, a panel's sides, all panels side by side
BETWEEN, ABOVE, GAP = 0.15, 0.3, 0.04  # inches between panels, and from a panel to its names
SMALL = 6.5  # points

_AXIS: Any = {"fontsize": SMALL + 1}


def heat_map(
    weights: Any,
    queries: Sequence[str] = (),
    keys: Sequence[str] = (),
    *,
    title: str = "",
    heads: Sequence[int] | None = None,
    labels: tuple[str, str] = ("query", "key"),
) -> Figure:
    """Draw weights, such as ``MultiHeadAttention.explain`` gives them.

    Each head has its own scale, from nothing to its largest weight, which stands above it. Colour goes with the square
    root, lest a causal layer's first query, which has but itself to look at, outshine all others. Weights below zero
    (of ``silu``, say) have another colour. Where there is one query, its weights are bars.

    Args:
        weights: [H, Lq, Lk] or [Lq, Lk], a tensor or whatever numpy takes.
        queries: the rows' names; none for their numbers.
        keys: the columns' names, likewise.
        title: above it all.
        heads: the heads' numbers; None for 0, 1, ….
        labels: what the rows and the columns are.

    Returns:
        A figure: ``figure.savefig("heads.png")``.

    Raises:
        ValueError: the shapes don't agree.
    """
    drawn = _as_array(weights)
    numbers = list(range(len(drawn))) if heads is None else list(heads)
    names = [_names(given, size) for given, size in zip((queries, keys), drawn.shape[1:], strict=True)]
    if len(numbers) != len(drawn):
        raise ValueError(f"heat_map: {len(numbers)} heads for weights of {len(drawn)}")
    with mpl.rc_context({"text.parse_math": False}):  # a name is no formula
        return _figure(drawn, names, title, numbers, labels)


def _as_array(weights: Any) -> np.ndarray[Any, Any]:
    if hasattr(weights, "detach"):
        weights = weights.detach().cpu().float().numpy()
    array = np.asarray(weights, dtype=np.float64)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"heat_map: weights of shape {array.shape}: give [heads, queries, keys], none of them 0")
    return array


def _names(given: Sequence[str], size: int) -> list[str]:
    if len(given) not in (0, size):
        raise ValueError(f"heat_map: {len(given)} names for {size} tokens")
    names = [str(name) for name in given] or [str(number) for number in range(size)]
    return [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for name in names]


def _figure(
    weights: np.ndarray[Any, Any],
    names: list[list[str]],
    title: str,
    numbers: Sequence[int],
    labels: tuple[str, str],
) -> Figure:
    heads, rows, columns = weights.shape
    wide, high = _side(columns), 1.1 if rows == 1 else _side(rows)
    down = math.ceil(heads / max(1, int(FURTHEST / (wide + BETWEEN))))
    across = math.ceil(heads / down)
    # Margins come from the number of letters: a layout engine would measure every label, for three times the time.
    left, bottom = (0.42 if rows == 1 else 0.28 + _width(names[0])), 0.28 + _width(names[1])
    top = 0.46 if title else 0.25
    width = max(left + across * (wide + BETWEEN), left + 2.6, 0.3 + 1.35 * _width([title]))
    height = top + down * (high + ABOVE) - ABOVE + bottom
    figure = Figure(figsize=(width, height))
    for place in range(heads):
        first, last = place % across == 0, place + across >= heads
        x = left + place % across * (wide + BETWEEN)
        y = height - top - place // across * (high + ABOVE) - high
        axes = figure.add_axes((x / width, y / height, wide / width, high / height))
        _panel(axes, weights[place], numbers[place])
        if rows == 1:
            least, most = _range(weights)
            axes.set_ylim(min(0.0, least * 1.05), max(0.0, most * 1.05) or 1.0)
        _label(axes, names, (wide, high), rows == 1, first, last)
        if first and rows > 1:
            figure.text(
                (x - left + 0.08) / width, (y + high / 2) / height, labels[0], **_AXIS, rotation=90, va="center"
            )
        if last:
            figure.text((x + wide / 2) / width, (y - bottom + 0.08) / height, labels[1], **_AXIS, ha="center")
    if title:
        figure.text(0.08 / width, 1 - 0.08 / height, title, fontsize=SMALL + 2.5, ha="left", va="top")
    return figure


def _width(names: Sequence[str]) -> float:
    """Inches that the longest of these names takes; a Chinese letter is as wide as two others."""
    return 0.058 * max(sum(1 + (east_asian_width(letter) in "FW") for letter in name) for name in names)


def _range(weights: np.ndarray[Any, Any]) -> tuple[float, float]:
    """The least and the largest of those that are numbers."""
    finite = weights[np.isfinite(weights)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _side(tokens: int) -> float:
    return min(max(tokens * CELL, SMALLEST), LARGEST)


def _panel(axes: Axes, weights: np.ndarray[Any, Any], head: int) -> None:
    low, high = _range(weights)
    most = max(abs(low), abs(high)) or 1.0
    if len(weights) == 1:
        colours = [POSITIVE if weight >= 0 else NEGATIVE for weight in weights[0]]
        axes.bar(range(weights.shape[1]), weights[0], color=colours, width=0.8)
    else:
        shades = np.sign(weights) * np.sqrt(np.abs(weights) / most)
        axes.imshow(shades, cmap=_colours(), vmin=-1, vmax=1, interpolation="none", aspect="auto", origin="upper")
    scale = f"up to {high:.2g}" if low >= 0 else f"{low:.2g} to {high:.2g}"
    axes.set_title(f"head {head}, {scale}", fontsize=SMALL + 1, loc="left", pad=3)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)


def _label(axes: Axes, names: list[list[str]], size: tuple[float, float], bars: bool, first: bool, last: bool) -> None:
    """Names as plain text along the axes: ticks would take twice the time and twice the bytes of an SVG."""
    axes.tick_params(length=0, pad=2, labelsize=SMALL, labelleft=first and bars)
    axes.set_xticks([])
    if bars:
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.set_xlim(-0.6, len(names[1]) - 0.4)
    else:
        axes.set_yticks([])
    down, right = axes.get_xaxis_transform(), axes.get_yaxis_transform()
    if last:
        for place, name in _some(names[1]):
            axes.text(place, -GAP / size[1], name, transform=down, rotation=90, ha="center", va="top", fontsize=SMALL)
    if first and not bars:
        for place, name in _some(names[0]):
            axes.text(-GAP / size[0], place, name, transform=right, ha="right", va="center", fontsize=SMALL)


def _some(names: list[str]) -> list[tuple[int, str]]:
    step = math.ceil(len(names) / LABELS)
    return [(place, names[place]) for place in range(0, len(names), step)]


def _colours() -> LinearSegmentedColormap:
    ends = [(*mpl.colors.to_rgb(colour), opaque) for colour, opaque in ((NEGATIVE, 1), (NEGATIVE, 0))]
    ends += [(*mpl.colors.to_rgb(colour), opaque) for colour, opaque in ((POSITIVE, 0), (POSITIVE, 1))]
    return LinearSegmentedColormap.from_list("weights", list(zip((0.0, 0.5, 0.5, 1.0), ends, strict=True)), N=513)
