"""A trained next-item model to call from Python: histories in, items, embeddings or scores out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from saccade.pipelines.batch import Batch
from saccade.pipelines.errors import UserError
from saccade.pipelines.inference.answering import Answering
from saccade.pipelines.inference.answers import list_columns
from saccade.pipelines.inference.recommendations import Recommendations
from saccade.pipelines.inference.recommends import Recommends
from saccade.pipelines.inference.rows import Histories, Item, RowMaker, Unknown
from saccade.pipelines.order.cut import cut
from saccade.pipelines.seeds import generator
from saccade.pipelines.task import Task
from saccade.pipelines.transforms.chain import Chain

TOKENS = 8192
"""Token budget of a micro-batch: enough for the cores, and its intermediates stay in their caches."""


class Recommender:
    """A model and what it takes to ask it.

    Histories are lists of items, oldest first, as the training data have them: strings, where a vocabulary numbered
    them, or integers. Or they are a pyarrow table with the columns that the job reads. Calls don't change the model:
    threads may share it.

    Attributes:
        job: the job that trained it, as JSON values.
    """

    def __init__(self, task: Task, weights: Answering, transforms: Chain, job: dict[str, Any]) -> None:
        """``task`` must be one that :class:`Recommends`; ``transforms`` are its job's, as they were fitted.

        Raises:
            UserError: the task recommends nothing.
        """
        if not isinstance(task, Recommends):
            raise UserError(f"a model of the task {job.get('task')} doesn't recommend items: use `saccade predict`")
        self.job = job
        self._task, self._recommends, self._weights = task, task, weights
        self._rows = RowMaker(list(task.columns), task.history, task.items, transforms)

    def recommend(
        self,
        histories: Histories,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allowed: Sequence[Item] | pa.Array | None = None,
        unknown: Unknown = "zero",
    ) -> Recommendations:
        """The best items to come next.

        Args:
            histories: N of them, or a table of N rows.
            k: items for each.
            exclude_seen: whether what is in a history is left out.
            allowed: choose from these items alone.
            unknown: what becomes of items that the model doesn't know: ``zero`` puts row 0 of the table in their
                places, which stands for all of them; ``drop`` leaves them out; ``error`` is one.

        Raises:
            UserError: the histories aren't any, ``k`` isn't positive, or an item isn't known.
        """
        if k < 1:
            raise UserError(f"k={k}: at least 1 is needed")
        only = None if allowed is None else self._rows.ids(allowed).unique()
        found = []
        with torch.inference_mode():
            for batch, output in self._outputs(histories, unknown):
                answer = self._recommends.recommend(
                    output, batch, self._weights.shards, k, keep_seen=not exclude_seen, allowed=only
                )
                found.append((batch.rows, {name: values.cpu() for name, values in answer.items()}))
        return Recommendations(pa.table(list_columns(found, _count(histories), self._rows.names)))

    def embed(self, histories: Histories, *, unknown: Unknown = "zero") -> Tensor:
        """[N, D] float32: what the model makes of each history, to be compared with items; NaN for an empty one.

        Args:
            histories: see ``recommend``.
            unknown: see ``recommend``.

        Raises:
            UserError: the model was counted: it has scores, but no vectors.
        """
        if not self._weights.embeds:
            name = self.job.get("model", {}).get("name")
            raise UserError(f"{name} counts items and makes no vectors of histories: ask `recommend` or `score`")
        with torch.inference_mode():
            parts = [(batch.rows, output.float().cpu()) for batch, output in self._outputs(histories, unknown)]
        (table,) = self._weights.shards("items")
        width = parts[0][1].shape[1] if parts else table.weight.shape[1]
        return _placed(parts, _count(histories), width)

    def score(self, histories: Histories, items: Sequence[Item] | pa.Array, *, unknown: Unknown = "zero") -> Tensor:
        """[N, M] float32: the score of each of M items for each history; NaN for an empty one.

        Args:
            histories: see ``recommend``.
            items: all must be known.
            unknown: of the histories' items, see ``recommend``.
        """
        ids = self._rows.ids(items)
        with torch.inference_mode():
            parts = [
                (batch.rows, self._recommends.score(output, ids, self._weights.shards).cpu())
                for batch, output in self._outputs(histories, unknown)
            ]
        return _placed(parts, _count(histories), len(ids))

    def _outputs(self, histories: Histories, unknown: Unknown) -> Iterator[tuple[Batch, Tensor]]:
        """Micro-batches of similar length, each history's once, those without any item left out."""
        examples = self._task.encode(self._rows(histories, unknown), "predict")
        for index in cut(examples.lengths, TOKENS, None):
            batch = self._task.collate(examples.take(index), "predict", generator(0))
            yield batch, self._weights(batch)


def _count(histories: Histories) -> int:
    return histories.num_rows if isinstance(histories, pa.Table | pa.RecordBatch) else len(histories)


def _placed(parts: Sequence[tuple[Tensor, Tensor]], rows: int, width: int) -> Tensor:
    placed = torch.full((rows, width), float("nan"))
    for numbers, values in parts:
        placed[numbers] = values
    return placed
