"""Line charts as inline SVG that takes its colours from the page, and so fits light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from saccade.cluster.report.text import compact

Points = Sequence[tuple[float, float]]

MOST_POINTS = 300
SERIES = 6

# Matplotlib knows no CSS. These stand-ins are replaced by the page's variables in the finished drawing.
INK, GRID = "#010101", "#020202"
COLOURS = tuple(f"#0301{index:02x}" for index in range(SERIES))
_VARIABLES = {INK: "var(--muted)", GRID: "var(--grid)"} | {
    colour: f"var(--series-{index})" for index, colour in enumerate(COLOURS)
}

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "svg.hashsalt": "saccade",  # the same numbers give the same file
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a metric's name is no formula
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Chart:
    """Lines over one axis.

    Attributes:
        title: what is drawn.
        x_label: what it is drawn over.
        lines: (x, y) points by label, in drawing order.
        from_zero: whether the y axis starts at 0.
        smooth: whether to draw a running mean over a faint line of the points themselves.
        restarts: positions on the x axis where the run was resumed.
        best: position on the x axis of the points to ring.
    """

    title: str
    x_label: str
    lines: dict[str, Points]
    from_zero: bool = False
    smooth: bool = False
    restarts: Sequence[float] = ()
    best: float | None = None


def draw(chart: Chart, name: str) -> str:
    """The chart as an ``<svg>`` element; ``name`` keeps its ids apart from those of others on the page."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.7, 2.7), layout="constrained")
        axes = figure.add_subplot()
        _frame(axes, chart)
        for index, (label, points) in enumerate(chart.lines.items()):
            _line(axes, label, points, COLOURS[index % SERIES], chart)
        if chart.from_zero:
            axes.set_ylim(bottom=0)
        if len(chart.lines) > 1:
            axes.legend(
                loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, frameon=False, borderpad=0, handlelength=1.2
            )
        return inline_svg(figure, chart.title, name)


def thin(points: Points, most: int = MOST_POINTS) -> Points:
    """At most ``most`` points: means of runs of neighbours, so that no outlier is lost without a trace."""
    if len(points) <= most:
        return points
    bounds = [index * len(points) // most for index in range(most + 1)]
    groups = [points[start:end] for start, end in pairwise(bounds)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def smooth(points: Points) -> Points:
    """Means over windows centred on each point, a tenth of the points wide, narrower at the steep start."""
    widest = max(1, len(points) // 20)
    smoothed = []
    for index, (x, _) in enumerate(points):
        reach = min(widest, index)
        window = points[index - reach : index + reach + 1]
        smoothed.append((x, sum(y for _, y in window) / len(window)))
    return smoothed


def _frame(axes: Axes, chart: Chart) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=5)
    axes.margins(x=0.02, y=0.08)
    axes.set_xlabel(chart.x_label, loc="right")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    for position in chart.restarts:
        axes.axvline(position, color=INK, linewidth=1, linestyle=(0, (1, 2)))


def _line(axes: Axes, label: str, points: Points, colour: str, chart: Chart) -> None:
    shown = thin(points)
    x, y = [x for x, _ in shown], [y for _, y in shown]
    if chart.smooth and len(shown) > 40:
        axes.plot(x, y, color=colour, linewidth=1, alpha=0.35)
        y = [value for _, value in smooth(shown)]
    axes.plot(x, y, color=colour, linewidth=1.8, marker="o" if len(x) <= 30 else "", markersize=3.2, label=label)
    ringed = [point for point in points if point[0] == chart.best]
    axes.plot([x for x, _ in ringed], [y for _, y in ringed], "o", color=colour, markerfacecolor="none", markersize=9)


def inline_svg(figure: Figure, title: str, name: str) -> str:
    """A figure drawn in ``STYLE`` as an ``<svg>`` element; see ``draw``."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    drawing = buffer.getvalue()
    svg = drawing[drawing.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"#0[123]01[0-9a-f]{2}|#020202", lambda match: _VARIABLES.get(match[0], match[0]), svg)
    opening = svg[: svg.index(">") + 1]
    view_box = re.search(r'viewBox="([^"]*)"', opening)
    assert view_box is not None
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    body = svg[len(opening) :].strip()
    return f'<svg viewBox="{view_box[1]}" role="img" aria-label="{label}">{body}'
