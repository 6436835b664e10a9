"""Full ranking of one target per example against a sharded item table: exact ranks, and no gather of the table."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.pipelines.collective import Collective
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

    Each rank scores all queries against the rows that it holds and counts the items at or above the target's score;
    the counts are summed. A target's own score is read from the same product, so rounding can't part it from its ties.
    A collective: ranks may bring different numbers of queries, also none.

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
    everyone, sizes = collective.gather_rows(queries.float())
    all_targets, _ = collective.gather_rows(targets)
    seen_owner, _ = collective.gather_rows(seen.layout.example + sum(sizes[: collective.rank]))
    seen_items, _ = collective.gather_rows(seen.values)
    partial = _holds_partial_columns(shards, collective, queries.device)
    blocks = _summed(everyone, shards, rows, collective) if partial else _own(everyone, shards)

    own = everyone.new_zeros(len(all_targets))
    for first, scores in blocks:
        here = _within(all_targets, first, scores)
        own[here] = scores[here, all_targets[here] - first]
    own = own if partial else collective.sum(own)

    counts = torch.zeros(len(all_targets), dtype=torch.int64, device=queries.device)
    for first, scores in blocks:
        above = ~(scores < own[:, None])  # so that NaN, too, counts against the target
        here = _within(seen_items, first, scores)
        above[seen_owner[here], seen_items[here] - first] = False
        here = _within(all_targets, first, scores)
        above[here, all_targets[here] - first] = False
        above[:, : max(padding_rows - first, 0)] = False
        counts += above.sum(1)
    counts = counts if partial else collective.sum(counts)
    begin = sum(sizes[: collective.rank])
    return counts[begin : begin + sizes[collective.rank]] + 1


def _within(items: Tensor, first: int, scores: Tensor) -> Tensor:
    """The indices of the items whose scores a block that starts at row ``first`` holds."""
    return ((items >= first) & (items < first + scores.shape[1])).nonzero().squeeze(1)


def _holds_partial_columns(shards: Sequence[TableShard], collective: Collective, device: torch.device) -> bool:
    """Whether any rank holds only some columns of its rows, so that a score is a sum over ranks."""
    found = torch.tensor(int(any(shard.columns[0] > 0 for shard in shards)), device=device)
    return bool(collective.sum(found))


def _own(queries: Tensor, shards: Sequence[TableShard]) -> list[tuple[int, Tensor]]:
    """(first row, [Q, rows of the shard] scores) of this rank's rows."""
    return [(shard.rows[0], queries @ shard.weight.float().T) for shard in shards if shard.weight.shape[0]]


def _summed(
    queries: Tensor, shards: Sequence[TableShard], rows: int, collective: Collective
) -> list[tuple[int, Tensor]]:
    """(0, [Q, rows] scores) of the whole table, the ranks' columns summed."""
    scores = queries.new_zeros(len(queries), rows)
    for shard in shards:
        begin, end = shard.columns
        scores[:, shard.rows[0] : shard.rows[1]] += queries[:, begin:end] @ shard.weight.float().T
    return [(0, collective.sum(scores))]


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
