"""The rankings of :mod:`test_ranking` and :mod:`test_top_k` on one of two ranks."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.ranking import RankMetrics, rank_targets
from saccade.pipelines.metrics.top_k import top_k
from saccade.pipelines.shard import TableShard

ROWS, DIM = 37, 8


def case(seed: int, queries: int) -> tuple[Tensor, Tensor, Tensor, list[list[int]]]:
    """Queries, targets, table and seen items; small integers, so that scores are exact and often tie."""
    rng = torch.Generator().manual_seed(seed)
    found = torch.randint(-2, 3, (queries, DIM), generator=rng).float()
    table = torch.randint(-2, 3, (ROWS, DIM), generator=rng).float()
    targets = torch.randint(1, ROWS, (queries,), generator=rng)
    counts = torch.randint(0, 6, (queries,), generator=rng).tolist()
    return found, targets, table, [torch.randint(1, ROWS, (n,), generator=rng).tolist() for n in counts]


def brute_force(query: Tensor, target: int, table: Tensor, seen: list[int], padding_rows: int) -> int:
    """The rank by definition: one more than the others that score as high or higher."""
    scores = (table @ query).tolist()
    others = set(range(padding_rows, len(scores))) - set(seen) - {target}
    return 1 + sum(scores[item] >= scores[target] for item in others)


def jagged(examples: list[list[int]]) -> Jagged:
    values = torch.tensor([i for e in examples for i in e], dtype=torch.int64)
    return Jagged(values, Layout(torch.tensor([len(e) for e in examples], dtype=torch.int64)))


def held(cut: str, table: Tensor, rank: int) -> list[TableShard]:
    """What one of two ranks holds of a table that is cut by rows or columns, or all on rank 0."""
    first = rank == 0
    if cut == "table" and not first:
        return []
    rows, columns = {
        "row": ((0, 20) if first else (20, ROWS), (0, DIM)),
        "column": ((0, ROWS), (0, 4) if first else (4, DIM)),
        "table": ((0, ROWS), (0, DIM)),
    }[cut]
    return [TableShard("items", rows, columns, table[slice(*rows), slice(*columns)].clone(), {})]


def real_case(seed: int, queries: int) -> tuple[Tensor, Tensor]:
    """Queries and a table of real numbers, whose every row is there twice or more."""
    rng = torch.Generator().manual_seed(seed)
    few = torch.randn(12, DIM, generator=rng)
    return torch.randn(queries, DIM, generator=rng), few[torch.randint(0, 12, (ROWS,), generator=rng)]


def best_of_part(
    cut: str, seed: int, k: int, mine: dict[int, tuple[int, int]], real: bool
) -> tuple[list[list[int]], list[list[float]]]:
    """The best items of this rank's queries, of those that are allowed."""
    collective = Collective()
    queries, _, table, seen = case(seed, 11)
    if real:
        queries, table = real_case(seed, 11)
    begin, end = mine[collective.rank]
    items, scores = top_k(
        queries[begin:end],
        k,
        jagged(seen[begin:end]),
        held(cut, table, collective.rank),
        ROWS,
        collective,
        padding_rows=1,
        allowed=torch.arange(ROWS) % 5 > 0,
    )
    return items.tolist(), scores.tolist()


def rank_part(cut: str, seed: int, mine: dict[int, tuple[int, int]]) -> tuple[list[int], dict[str, float]]:
    """The ranks of this rank's queries against a table cut by rows or columns, or held by rank 0 alone."""
    collective = Collective()
    queries, targets, table, seen = case(seed, 11)
    begin, end = mine[collective.rank]
    ranks = rank_targets(
        queries[begin:end],
        targets[begin:end],
        jagged(seen[begin:end]),
        held(cut, table, collective.rank),
        ROWS,
        collective,
        padding_rows=1,
    )
    metrics = RankMetrics([1, 5], ROWS)
    metrics.update(ranks)
    metrics.result(collective)
    return ranks.tolist(), metrics.result(collective)
