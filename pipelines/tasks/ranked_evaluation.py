"""How next-item outputs are measured: full ranking, beside it ranking among a sample, and what is recommended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.ranked import AtK, RankedMetrics
from saccade.pipelines.metrics.ranking import rank_relevant
from saccade.pipelines.metrics.recommended import OfLists, RecommendedMetrics
from saccade.pipelines.metrics.sampled import Sample, rank_among
from saccade.pipelines.metrics.scores import distinct
from saccade.pipelines.metrics.top_k import top_k
from saccade.pipelines.shard import TableShard

Protocol = Literal["full", "sampled_uniform", "sampled_popularity"]
Sliced = Literal["history_length", "popularity"]

LENGTHS = (5, 10, 20, 50, 100, 200)
"""Where one slice of history lengths ends and the next one begins."""


@dataclass(frozen=True)
class Measures:
    """What is measured of a ranking.

    Attributes:
        ks: cut-offs.
        at_k: metrics of ranks at each of them; MRR without a cut-off always is.
        of_lists: metrics of the recommended lists; they need ``counts``.
        protocol: full ranking always is; beside it ranking among a sample of items, uniform or by popularity.
        negatives: of the sample.
        sliced: what the ranking is sliced by; by popularity where there are ``counts``.
        resamples: of the bootstrap intervals.
        seed: of the sample and the resamples.
        counts: [items] int64, how often training meets each; None where nobody counted.
    """

    ks: Sequence[int] = (10,)
    at_k: Sequence[AtK] = ("hr", "ndcg")
    of_lists: Sequence[OfLists] = ()
    protocol: Protocol = "full"
    negatives: int = 100
    sliced: Sequence[Sliced] = ()
    resamples: int = 0
    seed: int = 0
    counts: Tensor | None = None

    @property
    def suffix(self) -> str:
        """What the names of metrics against a sample end in; empty with the full ranking alone."""
        return sample_suffix(self.protocol, self.negatives)


def sample_suffix(protocol: Protocol, negatives: int) -> str:
    """``_sampled100``, ``_sampled100_popular`` or, for the full ranking, nothing."""
    if protocol == "full":
        return ""
    return f"_sampled{negatives}" + ("_popular" if protocol == "sampled_popularity" else "")


class RankedEvaluation:
    """Ranks each example's relevant items (``target``: one each, or ``relevant``: several) among all others.

    Items seen are left out, ties count against the model.
    """

    def __init__(
        self,
        measures: Measures,
        items: int,
        collective: Collective,
        shards: Callable[[str], Sequence[TableShard]],
    ) -> None:
        """``items`` rows of the table, whose ``shards`` this rank holds; row 0 is no item."""
        self.measures, self.items, self.collective, self.shards = measures, items, collective, shards
        counts, ks = measures.counts, measures.ks
        slices: dict[str, Sequence[str]] = {}
        if "history_length" in measures.sliced:
            slices["history_length"] = _ranges(LENGTHS)
        self._class: Tensor | None = None
        if "popularity" in measures.sliced and counts is not None:
            slices["popularity"], self._class = POPULARITY, popularity_class(counts)
        self.ranked = RankedMetrics(
            ks,
            collective,
            at_k=measures.at_k,
            slices=slices,
            resamples=measures.resamples,
            seed=measures.seed,
        )
        self.lists: RecommendedMetrics | None = None
        if measures.of_lists and counts is not None:
            self.lists = RecommendedMetrics(ks, measures.of_lists, counts, collective)
        self.sampled: RankedMetrics | None = None
        if measures.protocol != "full":
            weights = counts if measures.protocol == "sampled_popularity" else None
            self.sample = Sample(measures.negatives, items, measures.seed, weights)
            self.sampled = RankedMetrics(ks, collective, at_k=measures.at_k, suffix=measures.suffix)

    def update(self, output: Tensor, batch: Batch) -> None:
        """Add one micro-batch's [B, D] output."""
        seen, relevant = batch.inputs["seen"], _relevant(batch, self.items)
        assert isinstance(seen, Jagged)
        shards, example = self.shards("items"), relevant.layout.example
        rows = batch.rows.to(output.device)[example]
        ranks = rank_relevant(output, relevant, seen, shards, self.items, self.collective, padding_rows=1)
        # What the vocabulary doesn't have is never recommended, so it is missed: its row's score isn't its own.
        ranks = ranks.where(relevant.values.to(ranks.device) > 0, self.items)
        slices = {}
        if "history_length" in self.measures.sliced:
            edges = torch.tensor(LENGTHS, device=output.device)
            lengths = seen.layout.lengths.to(output.device)
            slices["history_length"] = torch.bucketize(lengths[example], edges, right=True)
        if self._class is not None:
            self._class = self._class.to(output.device)
            slices["popularity"] = self._class[relevant.values]
        self.ranked.update(ranks, rows, slices)
        if self.lists is not None:
            k = max(self.measures.ks)
            items, _ = top_k(output, k, seen, shards, self.items, self.collective, padding_rows=1)
            self.lists.update(items, seen.values)
        if self.sampled is not None:
            known = zip(seen.unpack(), relevant.unpack(), strict=True)
            others = self.sample.draw(batch.rows.tolist(), [torch.cat(items) for items in known]).to(output.device)
            self.sampled.update(rank_among(output, relevant, others, shards, self.items, self.collective), rows)

    def result(self) -> dict[str, float]:
        """The metrics by name. A collective."""
        found = self.ranked.result()
        found |= {} if self.lists is None else self.lists.result()
        return found if self.sampled is None else found | self.sampled.result()

    def report(self) -> dict[str, Any]:
        """``slices`` and ``ci`` of the full ranking. A collective."""
        return self.ranked.report()


def _relevant(batch: Batch, items: int) -> Jagged:
    several, target = batch.inputs.get("relevant"), batch.inputs.get("target")
    if isinstance(several, Jagged):
        owner, values = distinct([several], items, 0)
        return Jagged(values, Layout(torch.bincount(owner, minlength=len(several)).cpu(), values.device))
    assert isinstance(target, Tensor)
    return Jagged(target, Layout(torch.ones(len(target), dtype=torch.int64), target.device))


POPULARITY = ("head", "torso", "tail")
"""The most popular items that have a third of training's events together, those that have the next third, the rest."""


def popularity_class(counts: Tensor) -> Tensor:
    """[items] int64 indices of ``POPULARITY``; equally popular items go by their ids.

    Args:
        counts: [items] int64, how often training meets each.
    """
    order = counts.argsort(descending=True, stable=True)
    before = counts[order].cumsum(0) - counts[order]
    classes = torch.empty_like(counts)
    classes[order] = (before * 3 // counts.sum().clamp(min=1)).clamp(max=2)
    classes[counts == 0] = 2
    return classes


def _ranges(edges: Sequence[int]) -> list[str]:
    """Names of the ranges of whole numbers that the edges part: ``1-4``, ``5-9``, …, ``200+``."""
    starts = (1, *edges)
    return [f"{a}-{b - 1}" for a, b in pairwise(starts)] + [f"{edges[-1]}+"]
