"""What a task has besides its being a task when its answers are items to recommend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from saccade.pipelines.batch import Batch
from saccade.pipelines.shard import TableShard


@runtime_checkable
class Recommends(Protocol):
    """A task whose output for a row is scored against a table of items, whole in ``shards``."""

    @property
    def history(self) -> str:
        """The column with a row's item ids, in time order."""

    @property
    def items(self) -> int:
        """Ids are below this; 0 is no item, and the row of all that the model doesn't know."""

    def recommend(
        self,
        output: Tensor,
        batch: Batch,
        shards: Callable[[str], Sequence[TableShard]],
        top_k: int,
        *,
        keep_seen: bool = False,
        allowed: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """``items`` and ``scores`` [N, K], best first; where a row has fewer left, the last score minus infinity.

        Args:
            output: of the batch's rows.
            batch: encoded for ``predict``.
            shards: of a table.
            top_k: at most so many.
            keep_seen: recommend what is in a row's own history, too.
            allowed: [A] int64 the only ids to choose from, rising and each once; None for all.
        """

    def score(self, output: Tensor, items: Tensor, shards: Callable[[str], Sequence[TableShard]]) -> Tensor:
        """[N, M] the scores of the items with these ids ([M] int64), as ``recommend`` compares them."""
