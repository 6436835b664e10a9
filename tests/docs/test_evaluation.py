"""docs/evaluation.md names every metric as it is called, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import torch

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.binary import BINS, BinaryMetrics
from saccade.pipelines.metrics.ranked import AtK
from saccade.pipelines.metrics.recommended import OfLists, RecommendedMetrics
from saccade.pipelines.tasks.ranked_evaluation import Measures

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "evaluation.md").read_text(encoding="utf-8")


def test_every_metric_is_explained() -> None:
    counts = torch.tensor([0, 1])
    lists = RecommendedMetrics([10], get_args(OfLists), counts, Collective()).result()
    names = [name.replace("@10", "@K") for name in lists]
    names += [f"{name}@K" for name in get_args(AtK)] + ["mrr", *BinaryMetrics(Collective(), grouped=True).result()]
    for name in names:
        assert re.search(rf"^\|.*`{name}`", TEXT, flags=re.MULTILINE), name


def test_names_and_numbers_are_as_they_are() -> None:
    for protocol in ("sampled_uniform", "sampled_popularity"):
        assert f"`ndcg@10{Measures(protocol=protocol).suffix}`" in TEXT  # type: ignore[arg-type]
    assert f"{BINS} equal ranges" in TEXT


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", TEXT):
        assert (DOCS / target).exists(), target
