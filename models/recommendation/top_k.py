"""The best items of each query by dot product, in blocks of the table, so that no matrix of all scores is made."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.models.products import linear

SCORES = 1 << 22
"""Scores that are held at a time, 16 MiB: more are no faster, and a table of millions of items needs no more memory."""


def best_items(
    queries: Tensor,
    table: Tensor,
    top_k: int,
    *,
    seen: Jagged | None = None,
    allowed: Tensor | None = None,
    padding_rows: int = 1,
) -> tuple[Tensor, Tensor]:
    """The ids and scores of each query's best items, best first.

    Args:
        queries: [Q, D].
        table: [V, D] the items' embeddings, row i the item i.
        top_k: how many.
        seen: Q examples of ids to leave out, each its own.
        allowed: [A] int64 the only ids to choose from, rising and each once; None for all.
        padding_rows: ids below this are no items.

    Returns:
        [Q, K] int64 ids and [Q, K] float32 scores, K = top_k or as many as there are to choose from. Where a query has
        fewer left, the last ones score minus infinity and their ids mean nothing.
    """
    queries = queries.float()
    if allowed is not None:
        allowed = allowed[allowed >= padding_rows].to(table.device)
    choices = table.shape[0] - padding_rows if allowed is None else len(allowed)
    top_k = max(min(top_k, choices), 0)
    ids = torch.zeros(len(queries), 0, dtype=torch.int64, device=queries.device)
    scores = queries.new_zeros(len(queries), 0)
    if not len(queries) or not top_k:
        return ids.new_zeros(len(queries), top_k), scores.new_full((len(queries), top_k), float("-inf"))
    owners, places = _hidden(seen, allowed, padding_rows, queries.device)
    for first, last in _blocks(choices, max(SCORES // len(queries), top_k)):
        rows = table[padding_rows + first : padding_rows + last] if allowed is None else table[allowed[first:last]]
        block = linear(queries, rows.float())
        begin, end = torch.searchsorted(places, torch.tensor([first, last], device=places.device)).tolist()
        block[owners[begin:end], places[begin:end] - first] = float("-inf")
        best = block.topk(min(top_k, last - first), dim=1)
        found = best.indices + first
        found = found + padding_rows if allowed is None else allowed[found]
        if scores.shape[1]:
            scores, ids = torch.cat([scores, best.values], 1), torch.cat([ids, found], 1)
            kept = scores.topk(min(top_k, scores.shape[1]), dim=1)
            scores, ids = kept.values, ids.gather(1, kept.indices)
        else:
            scores, ids = best.values, found
    return ids, scores


def _hidden(
    seen: Jagged | None, allowed: Tensor | None, padding_rows: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The queries, and the places among the choices, of what mustn't be chosen; the places rise."""
    if seen is None:
        nothing = torch.zeros(0, dtype=torch.int64, device=device)
        return nothing, nothing
    owners, values = seen.layout.example.to(device), seen.values.to(device)
    if allowed is None:
        places, real = values - padding_rows, values >= padding_rows
    else:
        places = torch.searchsorted(allowed, values)
        real = allowed[places.clamp(max=len(allowed) - 1)] == values
    owners, (places, order) = owners[real], places[real].sort()
    return owners[order], places


def _blocks(choices: int, size: int) -> Iterator[tuple[int, int]]:
    for first in range(0, choices, size):
        yield first, min(first + size, choices)
