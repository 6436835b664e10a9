"""Heat maps as inline SVG in the page's colours."""

from __future__ import annotations

import matplotlib as mpl

from saccade.cluster.report.attention import HeatMap
from saccade.cluster.report.charts import STYLE, inline_svg
from saccade.cluster.report.curves import Drawing

PIXELS = 100
"""An inch of a picture on the page."""


def draw_heat_map(one: HeatMap, name: str) -> Drawing:
    """A heat map for the page; ``name`` keeps its ids apart from those of others."""
    with mpl.rc_context(STYLE):
        figure = one.draw("")
        return Drawing(one.title, inline_svg(figure, one.title, name), round(figure.get_figwidth() * PIXELS))
