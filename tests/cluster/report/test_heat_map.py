"""Weights as pictures."""

from __future__ import annotations

import io
import warnings

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from saccade.cluster.report.heat_map import LABELS, LONGEST_NAME, heat_map


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def saved(figure: Figure, format: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format)
    return buffer.getvalue()


def test_a_panel_a_head_with_names_at_the_edges() -> None:
    weights = torch.rand(5, 3, 4)
    figure = heat_map(weights, ["a", "b", "c"], ["d", "e", "f", "g"], title="row 7", heads=[0, 2, 4, 6, 8])
    assert len(figure.axes) == 5
    seen = texts(figure)
    assert "row 7" in seen
    for head in (0, 2, 4, 6, 8):
        assert any(text.startswith(f"head {head}, up to ") for text in seen)
    assert seen.count("query") == seen.count("b") == 1  # all heads side by side
    assert seen.count("key") == seen.count("g") == 5
    for axes, drawn in zip(figure.axes, weights, strict=True):
        (image,) = axes.get_images()
        np.testing.assert_allclose(image.get_array(), (drawn / drawn.max()).sqrt(), rtol=1e-6)


def test_numbers_where_there_are_no_names() -> None:
    figure = heat_map(np.eye(3))
    assert texts(figure).count("2") == 2
    assert len(figure.axes) == 1


def test_one_query_is_bars() -> None:
    figure = heat_map([[[0.5, 0.25, -0.25]], [[1.0, 0.0, 0.0]]], keys=["a", "b", "c"])
    first, second = figure.axes
    bars = [patch for patch in first.findobj(Rectangle) if patch.get_height() in (0.5, 0.25, -0.25)]
    assert [bar.get_height() for bar in bars] == [0.5, 0.25, -0.25]
    assert bars[0].get_facecolor() == bars[1].get_facecolor() != bars[2].get_facecolor()
    assert first.get_ylim() == second.get_ylim()
    assert "head 0, -0.25 to 0.5" in texts(figure)


def test_many_tokens_are_named_here_and_there() -> None:
    figure = heat_map(torch.rand(1, 100, 100), [f"q{i}" for i in range(100)], [f"k{i}" for i in range(100)])
    seen = texts(figure)
    names = [text for text in seen if text[0] == "k" and text[1:].isdigit()]
    assert names == [f"k{i}" for i in range(0, 100, 3)]
    assert len(names) <= LABELS


def test_names_are_no_formulas_and_long_ones_are_cut() -> None:
    names = ["$x^2$", "$unbalanced", "x" * 100]
    figure = heat_map(torch.rand(1, 3, 3), names, names, title="$a_b$ costs $5")
    assert {"$x^2$", "$unbalanced", "$a_b$ costs $5", "x" * (LONGEST_NAME - 1) + "…"} < set(texts(figure))
    assert b"x^2" in saved(figure, "svg") or b"<path" in saved(figure, "svg")
    assert saved(figure, "png").startswith(b"\x89PNG")


@settings(max_examples=15)
@given(st.integers(1, 9), st.integers(1, 30), st.integers(1, 30), st.booleans())
def test_whatever_the_shape_it_can_be_drawn(heads: int, rows: int, columns: int, titled: bool) -> None:
    figure = heat_map(torch.randn(heads, rows, columns), title="title" * titled)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(saved(figure, "svg")) > 1000
    for axes in figure.axes:
        box = axes.get_position()
        assert 0 < box.x0 < box.x1 < 1
        assert 0 < box.y0 < box.y1 < 1


def test_weights_of_zero_and_weights_that_are_no_numbers() -> None:
    assert "head 0, up to 0" in texts(heat_map(torch.zeros(1, 2, 2)))
    assert "head 0, up to 1" in texts(heat_map([[[None, 1.0], [0.5, 0.5]]]))
    for nothing in ([[[None, None]]], [[[None, 1.0]]], [[[None, 1.0], [0.5, 0.5]]], torch.full((2, 3, 3), torch.nan)):
        assert saved(heat_map(nothing), "png")


@pytest.mark.parametrize(
    ("weights", "queries", "heads", "message"),
    [
        (torch.rand(3), (), None, r"weights of shape \(3,\)"),
        (torch.rand(2, 0, 3), (), None, r"weights of shape \(2, 0, 3\)"),
        (torch.rand(2, 3, 3), ["a"], None, "1 names for 3 tokens"),
        (torch.rand(2, 3, 3), (), [1], "1 heads for weights of 2"),
    ],
)
def test_what_does_not_fit_is_refused(
    weights: torch.Tensor, queries: list[str], heads: list[int] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        heat_map(weights, queries, heads=heads)
