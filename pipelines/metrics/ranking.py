"""Full ranking of relevant items against a sharded item table: exact ranks, and no gather of the table."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.scores import TableScores, distinct, edges, within
from saccade.pipelines.shard import TableShard


def rank_targets(
    queries: Tensor,
    targets: Tensor,
    seen: Jagged,
    shards: Sequence[TableShard],
    rows: int,
    collective: Collective,
    *,
    padding_rows: int = 0,
) -> Tensor:
    """Each query's target's rank among all items by dot product, ties counted against the target.

    See :func:`rank_relevant`, with one relevant item a query.

    Args:
        queries: [Q, D] this rank's.
        targets: [Q] int64 item ids.
        seen: Q examples of item ids to leave out of the ranking (the target itself always stays in).
        shards: this rank's parts of the table, by rows or by columns.
        rows: of the whole table.
        collective: all ranks.
        padding_rows: ids below this are no items.

    Returns:
        [Q] int64 ranks of this rank's queries, 1 for the best.
    """
    relevant = Jagged(targets, Layout(torch.ones(len(targets), dtype=torch.int64), targets.device))
    return rank_relevant(queries, relevant, seen, shards, rows, collective, padding_rows=padding_rows)


@torch.no_grad()
def rank_relevant(
    queries: Tensor,
    relevant: Jagged,
    seen: Jagged,
    shards: Sequence[TableShard],
    rows: int,
    collective: Collective,
    *,
    padding_rows: int = 0,
) -> Tensor:
    """The places of each query's relevant items in the ranking of all items by dot product.

    Each rank scores all ranks' queries against the rows that it holds and counts the items below each relevant one's
    score; the counts are summed. Items that are not relevant stand above a relevant one where they score as high or
    higher, and where either score is no number. A collective: ranks may bring different numbers of queries, also none.

    Args:
        queries: [Q, D] this rank's.
        relevant: Q examples of different item ids, any number of them.
        seen: Q examples of item ids to leave out of the ranking (relevant items always stay in).
        shards: this rank's parts of the table, by rows or by columns.
        rows: of the whole table.
        collective: all ranks.
        padding_rows: ids below this are no items.

    Returns:
        [T] int64 for this rank's T relevant items, 1 for the best place: each query's ranks in rising order.
    """
    table = TableScores(shards, rows, collective, queries.device)
    everyone, sizes = collective.gather_rows(queries.float())
    begin = sum(sizes[: collective.rank])
    owner, pairs = collective.gather_rows(relevant.layout.example + begin)
    items, _ = collective.gather_rows(relevant.values)
    # Relevant items don't compete with one another: their order among themselves changes no metric.
    left_out = distinct([seen, relevant], rows, padding_rows)
    out_owner, _ = collective.gather_rows(left_out[0] + begin)
    out_items, _ = collective.gather_rows(left_out[1])

    own = table.of_pairs(everyone[owner], items)[:, None]
    below = torch.zeros(len(items), dtype=torch.int64, device=queries.device)
    chunks = table.chunks(len(everyone))
    ranges = zip(chunks, edges(owner, chunks), edges(out_owner, chunks), strict=True)
    for (first_query, last_query), (low, high), (out_low, out_high) in ranges:
        one_each = owner[low:high].tolist() == list(range(first_query, last_query))
        for first, scores in table.blocks(everyone[first_query:last_query]):
            # Nothing is above infinity: what is left out is never counted as below a relevant item.
            here = out_low + within(out_items[out_low:out_high], first, scores.shape[1])
            scores[out_owner[here] - first_query, out_items[here] - first] = math.inf
            scores[:, : max(padding_rows - first, 0)] = math.inf
            if one_each:
                below[low:high] += scores.lt_(own[low:high]).sum(1).long()
                continue
            for part in range(low, high, table.queries):
                pair = slice(part, min(part + table.queries, high))
                below[pair] += scores[owner[pair] - first_query].lt_(own[pair]).sum(1).long()
    below = below if table.partial else collective.sum(below)

    competing = rows - padding_rows - torch.bincount(out_owner, minlength=len(everyone))
    above = (competing[owner] - below)[sum(pairs[: collective.rank]) :][: len(relevant.values)]
    layout = relevant.layout
    order = (layout.example * (rows + 1) + above).sort().values
    return order % (rows + 1) + layout.position + 1


class RankMetrics:
    """HR@K, NDCG@K and MRR of one relevant item per example, from a histogram of integer ranks.

    The histogram is summed over workers as integers, so the metrics are the same on any number of them, bit for bit.
    With one relevant item HR@K = [rank <= K], NDCG@K = [rank <= K] / log2(1 + rank), and MRR = 1 / rank.
    """

    def __init__(self, ks: Sequence[int], items: int) -> None:
        """``ks`` the cut-offs; ``items`` the largest possible rank."""
        self.ks = list(ks)
        self.histogram = torch.zeros(items + 1, dtype=torch.int64)

    def update(self, ranks: Tensor) -> None:
        """Count [N] int64 ranks; the histogram lives where they do, for the collective's sake."""
        counted = torch.bincount(ranks, minlength=self.histogram.numel())
        self.histogram = counted + self.histogram.to(ranks.device)

    def result(self, collective: Collective) -> dict[str, float]:
        """The metrics over all ranks' examples; NaN where there are none."""
        histogram = collective.sum(self.histogram.clone()).tolist()
        count = sum(histogram)
        ranks = [(rank, n) for rank, n in enumerate(histogram) if n]
        metrics = {}
        for k in self.ks:
            metrics[f"hr@{k}"] = math.fsum(n for rank, n in ranks if rank <= k)
            metrics[f"ndcg@{k}"] = math.fsum(n / math.log2(1 + rank) for rank, n in ranks if rank <= k)
        metrics["mrr"] = math.fsum(n / rank for rank, n in ranks)
        return {name: value / count if count else math.nan for name, value in metrics.items()}
