"""Ranking against a few sampled items instead of all: for comparison with older papers only.

Against a sample, metrics are inflated, and which of two models is better can turn around ("On Sampled Metrics for Item
Recommendation", Krichene and Rendle 2020). So their names say it: ``ndcg@10_sampled100``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.ranking import places
from saccade.pipelines.metrics.rows import Array
from saccade.pipelines.metrics.scores import TableScores
from saccade.pipelines.seeds import derive_seed
from saccade.pipelines.shard import TableShard

ROUNDS = 100
"""How often more is drawn for a row; what is then still missing is filled with the likeliest items."""


class Sample:
    """Draws a row's items without replacement, uniformly or in proportion to weights; a function of (seed, row)."""

    def __init__(self, count: int, items: int, seed: int, weights: Tensor | None = None) -> None:
        """Prepare.

        Args:
            count: items of a row.
            items: ids are 1 .. items - 1.
            seed: of all draws.
            weights: [items], how likely each is; None: all alike. Items of weight 0 are never drawn.
        """
        self.count, self.items, self.seed = count, items, seed
        likely = np.ones(items) if weights is None else weights.cpu().double().numpy().copy()
        likely[0] = 0
        self._likely, self._upto = likely, np.cumsum(likely)
        self._order = np.argsort(-likely, kind="stable")[: int((likely > 0).sum())]

    def draw(self, rows: Iterable[int], left_out: Iterable[Tensor]) -> Jagged:
        """For each row ``count`` different items that are not among those left out, or all where there are fewer."""
        drawn = [self._row(row, items.cpu().numpy()) for row, items in zip(rows, left_out, strict=True)]
        lengths = torch.tensor([len(row) for row in drawn], dtype=torch.int64)
        values = np.concatenate(drawn) if drawn else np.zeros(0, dtype=np.int64)
        return Jagged(torch.from_numpy(values), Layout(lengths))

    def _row(self, row: int, left_out: Array) -> Array:
        generator = np.random.Generator(np.random.PCG64(derive_seed("sampled", self.seed, row)))
        taken = {0, *left_out.tolist()}
        found: list[int] = []
        if len(self._order) > self.count + len(taken):
            for _ in range(ROUNDS):
                places = generator.random(2 * self.count) * self._upto[-1]
                for item in np.searchsorted(self._upto, places, side="right").tolist():
                    if item not in taken and len(found) < self.count:
                        found.append(item)
                        taken.add(item)
                if len(found) == self.count:
                    break
        for item in self._order.tolist() if len(found) < self.count else ():
            if item not in taken and len(found) < self.count:
                found.append(item)
        return np.array(found, dtype=np.int64)


@torch.no_grad()
def rank_among(
    queries: Tensor,
    relevant: Jagged,
    others: Jagged,
    shards: Sequence[TableShard],
    rows: int,
    collective: Collective,
) -> Tensor:
    """The places of each query's relevant items among themselves and some others, by dot product.

    Others stand above a relevant item where they score as high or higher, and where either score is no number. A
    collective: ranks may bring different numbers of queries, also none.

    Args:
        queries: [Q, D] this rank's.
        relevant: Q examples of different item ids, any number of them.
        others: Q examples of other item ids.
        shards: this rank's parts of the table, by rows or by columns.
        rows: of the whole table.
        collective: all ranks.

    Returns:
        [T] int64, the rank of each of this rank's T relevant items, 1 for the best.
    """
    table = TableScores(shards, rows, collective, queries.device)
    everyone, sizes = collective.gather_rows(queries.float())
    begin = sum(sizes[: collective.rank])

    def scored(items: Jagged) -> Tensor:
        owner, counts = collective.gather_rows(items.layout.example + begin)
        ids, _ = collective.gather_rows(items.values)
        first = sum(counts[: collective.rank])
        return table.of_pairs(everyone[owner], ids)[first : first + len(items.values)]

    own, rivals = scored(relevant), scored(others)
    # Every pair of a relevant item and another of its query: as many copies of the others as there are relevant items.
    counts = others.layout.lengths[relevant.layout.example.cpu()]
    starts = others.layout.host_offsets[:-1][relevant.layout.example.cpu()]
    against = Jagged(rivals, Layout(others.layout.lengths, queries.device)).slice(starts, counts)
    beaten = against.values < own[against.layout.example]
    above = torch.bincount(against.layout.example[~beaten], minlength=len(own))
    return places(above, relevant.layout, rows)
