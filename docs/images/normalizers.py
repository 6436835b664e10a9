"""Draws docs/images/normalizers.svg, the same scores by every normalizer: ``python docs/images/normalizers.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from saccade.models.attention import normalizers as normalizers  # registers them
from saccade.models.registry import Choice

ORDER = ("softmax", "entmax15", "sparsemax", "hard", "gumbel_softmax", "sigmoid", "silu")
SCORES = torch.tensor([1.4, 0.2, -0.6, 2.3, 1.9, -1.5, 0.6, 0.0, -2.2, 1.1, -0.3, 0.8])
KEYS = len(SCORES)
INK, POSITIVE, NEGATIVE = "#7a828e", "#3b82f6", "#e07b1a"  # on a light page as on a dark one


def draw(path: Path) -> None:
    """Write the picture: a panel for the scores of one query, and one for the weights by each normalizer."""
    weights = {"scores of a query with its 12 keys": SCORES}
    for name in ORDER:
        normalizer = Choice.of(name).build("normalizer", max_length=KEYS)
        torch.manual_seed(1)  # gumbel_softmax draws noise in training
        normalizer.train(name == "gumbel_softmax")
        weights[f"{name}, one draw" if normalizer.training else name] = normalizer(SCORES).detach()
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "saccade",
        "font.family": "sans-serif",
        "font.size": 8,
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "ytick.color": INK,
        "axes.facecolor": "none",
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        for axes, (name, values) in zip(figure.subplots(2, 4).flat, weights.items(), strict=True):
            heights = values.tolist()
            axes.bar(range(KEYS), heights, color=[POSITIVE if height >= 0 else NEGATIVE for height in heights])
            axes.axhline(0, color=INK, linewidth=0.6)
            total = f"{sum(heights):.2f}"
            sums = values is not SCORES and total != "1.00"
            axes.set_title(f"{name}, sum {total}" if sums else name, fontsize=8, loc="left")
            axes.set_xticks([])
            axes.spines[["top", "right", "bottom"]].set_visible(False)
            axes.locator_params(axis="y", nbins=4)
        figure.savefig(path, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg"))
