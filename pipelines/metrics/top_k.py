"""The best items of each query over a sharded table: exact, without a gather of the table.

Each rank takes the best of its own rows for all ranks' queries, and the winners are compared once more. Equal scores go
by the lower id, so the result is the same for any sharding and any number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.scores import TableScores, distinct, edges, within
from saccade.pipelines.shard import TableShard

NO_ITEM = -1
"""Stands where fewer than k items are left to choose from."""


@torch.no_grad()
def top_k(
    queries: Tensor,
    k: int,
    seen: Jagged,
    shards: Sequence[TableShard],
    rows: int,
    collective: Collective,
    *,
    padding_rows: int = 0,
    allowed: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Each query's k best items by dot product, best first.

    A collective: ranks may bring different numbers of queries, also none.

    Args:
        queries: [Q, D] this rank's.
        k: how many, the same on all ranks.
        seen: Q examples of item ids to leave out.
        shards: this rank's parts of the table, by rows or by columns.
        rows: of the whole table.
        collective: all ranks.
        padding_rows: ids below this are no items.
        allowed: [rows] bool, the items to choose from, the same on all ranks; None: all.

    Returns:
        [Q, k] int64 items and their [Q, k] float32 scores: ``NO_ITEM`` and -inf where no more items are left. Items
        whose score is no number, or -inf, are never chosen.
    """
    device = queries.device
    table = TableScores(shards, rows, collective, device)
    everyone, sizes = collective.gather_rows(queries.float())
    begin = sum(sizes[: collective.rank])
    owner, items = distinct([seen], rows, padding_rows)
    seen_owner, _ = collective.gather_rows(owner + begin)
    seen_items, _ = collective.gather_rows(items)
    refused = None if allowed is None else ~allowed.to(device)

    chunks = table.chunks(len(everyone))
    parts: list[tuple[Tensor, Tensor]] = []
    for (first_query, last_query), (low, high) in zip(chunks, edges(seen_owner, chunks), strict=True):
        count = last_query - first_query
        best = torch.full((count, k), NO_ITEM, device=device), torch.full((count, k), -math.inf, device=device)
        for first, scores in table.blocks(everyone[first_query:last_query]):
            scores.nan_to_num_(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
            here = low + within(seen_items[low:high], first, scores.shape[1])
            scores[seen_owner[here] - first_query, seen_items[here] - first] = -math.inf
            scores[:, : max(padding_rows - first, 0)] = -math.inf
            if refused is not None:
                scores.masked_fill_(refused[first : first + scores.shape[1]], -math.inf)
            best = _best(best, _of_block(scores, k, first), k)
        parts.append(best)
    found = (
        torch.cat([items for items, _ in parts]) if parts else seen_items.new_zeros(0, k),
        torch.cat([scores for _, scores in parts]) if parts else everyone.new_zeros(0, k),
    )
    mine = slice(begin, begin + len(queries))
    if table.partial or collective.world_size == 1:
        chosen, scores = found[0][mine], found[1][mine]
    else:
        by_rank = [collective.gather_rows(part)[0].view(collective.world_size, len(everyone), k) for part in found]
        chosen, scores = (part[:, mine].transpose(0, 1).flatten(1) for part in by_rank)
        chosen, scores = _ordered(chosen, scores, k)
    return chosen.masked_fill(scores == -math.inf, NO_ITEM), scores


def _of_block(scores: Tensor, k: int, first: int) -> tuple[Tensor, Tensor]:
    """A block's k best items, or all where it has fewer, and their scores; of equal ones those with lower ids."""
    values, index = scores.topk(min(k + 1, scores.shape[1]), dim=1)
    if values.shape[1] > k:
        # topk takes any of the scores that equal the last that it takes: only where one more equals it, that matters.
        tied = ((values[:, k - 1] == values[:, k]) & (values[:, k] > -math.inf)).nonzero().squeeze(1)
        if len(tied):
            index[tied, :k] = scores[tied].sort(dim=1, descending=True, stable=True).indices[:, :k]
    return index[:, :k] + first, values[:, :k]


def _best(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor], k: int) -> tuple[Tensor, Tensor]:
    return _ordered(torch.cat((left[0], right[0]), dim=1), torch.cat((left[1], right[1]), dim=1), k)


def _ordered(items: Tensor, scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of [Q, n], the highest score first and of equal scores the lowest id."""
    items, order = items.sort(dim=1)
    scores, order = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
    return items.gather(1, order)[:, :k], scores[:, :k]
