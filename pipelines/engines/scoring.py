"""The loss against a whole table, computed by the ranks that hold its rows: queries travel, the table doesn't.

Every rank gets all ranks' queries ([N, dim], small), scores them against its own rows block by block, and exchanges
three numbers a query. Backward computes the blocks' scores anew: a block stays in the cache, so that for many rows this
is faster than keeping all scores (2,048 queries, 100,000 rows of 64: 1.5 s, against 4.4), and memory doesn't grow with
the table but for its gradient. docs/decisions/0011-full-softmax.md has more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from saccade.models.products import linear, write_product
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.gradients import squares
from saccade.pipelines.scored_table import RowGradients, ScoredTable, ScoresTable, scored_table
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Task

BLOCK = {"cpu": 1 << 19, "cuda": 1 << 25}
"""Scores of a block: what a core's cache holds, and what keeps a GPU busy."""

_LEAST = 16  # rows of a block, however many queries there are


class TaskLoss:
    """A task's loss of a micro-batch, its own or the one against a table, and the gradient that the latter leaves.

    Where a table is scored, making it, calling it and the backward pass from what it returns are collectives.

    Args:
        task: whose loss it is.
        shards: gives the parts of a table that this rank holds.
        collective: all ranks.
        device: of the tables.

    Attributes:
        gradients: of this rank's parts of the scored table, summed over all ranks' micro-batches since :meth:`clear`.
    """

    def __init__(
        self,
        task: Task,
        shards: Callable[[str], Sequence[TableShard]],
        collective: Collective,
        device: torch.device,
    ) -> None:
        self.task = task
        scored = scored_table(task)
        self._scores = None
        if scored:
            (table,) = (table for table in task.tables if table.name == scored.table)
            self._scores = TableLoss(scored, table.rows, table.dim, shards(scored.table), collective, device)
        self.gradients: Sequence[RowGradients] = self._scores.gradients if self._scores else ()

    def __call__(self, output: Tensor, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The scalar sum over the targets of this rank's micro-batch, possibly none."""
        if self._scores is None:
            return self.task.loss(output, embeddings, batch)
        assert isinstance(self.task, ScoresTable)
        return self._scores(*self.task.queries(output, batch))

    def squares(self) -> float:
        """The sum of the squares of this rank's gradients."""
        return squares(gradient.values for gradient in self.gradients)

    def scale(self, coefficient: float) -> None:
        """Multiply the gradients."""
        if coefficient != 1:
            for gradient in self.gradients:
                gradient.values.mul_(coefficient)

    def clear(self) -> None:
        """Set the gradients to zero, for the next step."""
        for gradient in self.gradients:
            gradient.values.zero_()


class TableLoss:
    """The loss of queries against all rows of a table, and its gradient by the rows that this rank holds.

    Args:
        scored: the loss.
        rows, dim: of the whole table.
        shards: this rank's parts of it, possibly none; by rows or by columns, on all ranks alike.
        collective: all ranks.
        device: of the tables.
        block: scores of a block.
    """

    def __init__(
        self,
        scored: ScoredTable,
        rows: int,
        dim: int,
        shards: Sequence[TableShard],
        collective: Collective,
        device: torch.device,
        block: int | None = None,
    ) -> None:
        self.loss, self.padding, self.rows, self.collective = scored.loss, scored.padding_rows, rows, collective
        self.block = block or BLOCK.get(device.type, BLOCK["cuda"])
        self.gradients = [
            RowGradients(shard, min(max(self.padding, shard.rows[0]), shard.rows[1]) - shard.rows[0], values)
            for shard in shards
            for values in (torch.zeros_like(shard.weight),)
        ]
        cut = torch.tensor(int(any(shard.columns != (0, dim) for shard in shards)), device=device)
        self.columns_cut = bool(collective.sum(cut))

    def __call__(self, queries: Tensor, targets: Tensor) -> Tensor:
        """The scalar sum of this rank's losses. A collective: ranks may bring different numbers of queries, also none.

        Args:
            queries: [N, dim].
            targets: [N] int64 ids from ``padding_rows`` on.
        """
        precise = queries.to(torch.promote_types(queries.dtype, torch.float32))
        losses: Tensor = _Losses.apply(precise, targets, self)  # type: ignore[no-untyped-call]
        return losses.sum()

    def forward(self, queries: Tensor, targets: Tensor) -> tuple[Tensor, _Everyone]:
        """[N] losses of this rank's queries, and what backward wants."""
        all_queries, sizes = self.collective.gather_rows(queries / self.loss.temperature)
        all_targets, _ = self.collective.gather_rows(targets)
        normalizer = all_queries.new_full((len(all_queries),), -torch.inf)
        sums = all_queries.new_zeros(2, len(all_queries))  # the target's score, and the total of all
        for block in self._blocks(len(all_queries)):
            scores = self._score(block, all_queries)
            owner, place = block.holds(all_targets)
            sums[0, owner] = scores[owner, place]
            if self.loss.label_smoothing:
                sums[1] += scores.sum(1)
            torch.logaddexp(normalizer, scores.logsumexp(1), out=normalizer)
        if not self.columns_cut:
            # Where columns are cut every rank has seen the scores of all rows; elsewhere those of its own.
            peak = self.collective.max(normalizer.clone())
            parts = self.collective.sum(torch.cat(((normalizer - peak).exp()[None], sums)))
            normalizer, sums = peak + parts[0].log(), parts[1:]
        begin = sum(sizes[: self.collective.rank])
        own = slice(begin, begin + len(queries))
        everyone = _Everyone(all_queries, all_targets, normalizer, own)
        losses = self.loss.losses(normalizer[own], sums[0, own], sums[1, own], self.rows - self.padding)
        return losses, everyone

    def backward(self, everyone: _Everyone, factors: Tensor) -> Tensor:
        """Add to the rows' gradients, and give that of this rank's queries; ``factors`` [N] come from above."""
        all_factors, _ = self.collective.gather_rows(factors)
        queries = everyone.queries
        scaled = queries * all_factors[:, None]
        found = torch.zeros_like(queries)
        for block in self._blocks(len(queries)):
            scores = self._score(block, queries)
            owner, place = block.holds(everyone.targets)
            self.loss.differentiate(scores, everyone.normalizer, owner, place, self.rows - self.padding)
            for part in block.parts:
                write_product(found[:, part.columns], scores, part.weight, accumulate=True)
                write_product(part.gradient, scores.T, scaled[:, part.columns], accumulate=True)
        self.collective.sum(found)
        return found[everyone.own] * (factors / self.loss.temperature)[:, None]

    def _blocks(self, queries: int) -> Iterator[_Block]:
        """This rank's rows; where columns are cut, all rows, equally many blocks on every rank."""
        if self.columns_cut:
            spans = [(self.padding, self.rows, self.gradients)]
        else:
            spans = [(g.shard.rows[0] + g.first, g.shard.rows[1], [g]) for g in self.gradients]
        size = max(_LEAST, self.block // max(queries, 1))
        for begin, end, gradients in spans:
            for first in range(begin, end, size):
                last = min(first + size, end)
                yield _Block(first, last, [_Part.of(gradient, first, last) for gradient in gradients])

    def _score(self, block: _Block, queries: Tensor) -> Tensor:
        """[N, rows of the block]."""
        if not self.columns_cut:
            return linear(queries, block.parts[0].weight)
        scores = queries.new_zeros(len(queries), block.last - block.first)
        for part in block.parts:
            write_product(scores, queries[:, part.columns], part.weight.T, accumulate=True)
        return self.collective.sum(scores)


@dataclass(frozen=True, eq=False)
class _Everyone:
    """All ranks' queries, divided by the temperature, with their targets and normalizers; which are this rank's own."""

    queries: Tensor
    targets: Tensor
    normalizer: Tensor
    own: slice


@dataclass(frozen=True, eq=False)
class _Part:
    """Some rows of a shard and their gradient, live, and which columns of the table they have."""

    weight: Tensor
    gradient: Tensor
    columns: slice

    @staticmethod
    def of(gradient: RowGradients, first: int, last: int) -> _Part:
        """The rows with these ids."""
        shard = gradient.shard
        rows = slice(first - shard.rows[0], last - shard.rows[0])
        return _Part(shard.weight[rows], gradient.values[rows], slice(*shard.columns))


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows ``first`` .. ``last`` - 1 of the table, and who has them here: one part, or those of several columns."""

    first: int
    last: int
    parts: Sequence[_Part]

    def holds(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The queries whose target is among the rows, and its place there."""
        owner = ((targets >= self.first) & (targets < self.last)).nonzero().squeeze(1)
        return owner, targets[owner] - self.first


class _Losses(torch.autograd.Function):
    """[N] losses, whose backward pass fills the rows' gradients by the way."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, targets: Tensor, scores: TableLoss) -> Tensor:
        losses, ctx.everyone = scores.forward(queries, targets)
        ctx.scores = scores
        return losses

    @staticmethod
    def backward(ctx: Any, factors: Tensor) -> tuple[Tensor, None, None]:
        return ctx.scores.backward(ctx.everyone, factors), None, None
