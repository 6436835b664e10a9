"""Classification metrics over predictions that were dealt to ranks."""

import json
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.classification import ClassificationMetrics

LABELS = ["cat", "dog", "eel"]


def predictions(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(count, 3, generator=generator), torch.randint(0, 3, (count,), generator=generator)


def measured(parts: list[torch.Tensor]) -> dict[str, Any]:
    """The metrics and the report of the rows in ``parts``, an update each."""
    logits, targets = predictions(40)
    metrics = ClassificationMetrics(LABELS, Collective())
    for rows in parts:
        metrics.update(logits[rows], targets[rows], rows)
    return {**metrics.result(), "report": metrics.report()}


@given(order=st.permutations(range(40)), cuts=st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=25, deadline=None)
def test_the_order_of_rows_and_batches_leaves_no_trace(order: list[int], cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), 40]
    parts = [torch.tensor(order[a:b], dtype=torch.int64) for a, b in pairwise(edges)]
    assert measured(parts) == measured([torch.arange(40)])


def test_equal_a_count_by_hand() -> None:
    logits = torch.tensor([[2.0, 0, 0], [0, 2.0, 0], [2.0, 0, 0], [0, 2.0, 0]])
    metrics = ClassificationMetrics(LABELS, Collective())
    metrics.update(logits, torch.tensor([0, 1, 1, 1]), torch.arange(4))
    found = metrics.result()
    right, wrong = -math.log(math.exp(2) / (math.exp(2) + 2)), -math.log(1 / (math.exp(2) + 2))
    assert found["accuracy"] == 0.75
    assert found["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)  # no eel occurs
    assert found["loss"] == pytest.approx((3 * right + wrong) / 4, rel=1e-6)
    report = metrics.report()
    assert set(report) == {"cat", "dog", "accuracy", "macro avg", "weighted avg"}
    assert report["dog"] == {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1-score": 0.8, "support": 3.0}


def test_no_rows_give_no_number() -> None:
    metrics = ClassificationMetrics(LABELS, Collective())
    assert all(math.isnan(value) for value in metrics.result().values())
    assert metrics.report() == {}


def test_two_ranks_measure_what_one_does(tmp_path: Path) -> None:
    logits, targets = predictions(40)
    parts = [[torch.arange(0, 40, 3), torch.arange(1, 40, 3)], [torch.arange(2, 40, 3), torch.arange(0)]]
    for rank, updates in enumerate(parts):
        torch.save([(logits[rows], targets[rows], rows) for rows in updates], tmp_path / f"{rank}.pt")
    script = Path(__file__).with_name("measure_as_rank.py")
    ranks = [
        subprocess.Popen([sys.executable, str(script), str(tmp_path), str(rank)], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    found = [json.loads(process.communicate(timeout=120)[0]) for process in ranks]
    assert found == [measured([torch.arange(40)])] * 2
