"""Next-item recommendation by two towers: not an item's row is compared with a history's vector, but the item's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.batch import Batch
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem


class NextItemByTowers(NextItem):
    """A :class:`NextItem` whose network takes rows of the item table, too, and gives their vectors behind its outputs.

    ``build`` makes such a network: its last argument is [C, dim] rows, its output [T + C, D]. Training gives it the
    rows of targets and negatives, so that they come out of the same call as what they are compared with: gradients of
    both towers are taken, sharded and stepped as one network's. The objective asks every token; the loss draws
    negatives, since one against the whole table would have to take every row through the network at each step.
    """

    compared_table = "items"

    def forward(self, network: Callable[..., Tensor], embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Training: [P + P + S, D], outputs, their targets and the drawn negatives. Otherwise as NextItem's."""
        index = batch.inputs.get("target_index")
        targets = embeddings["history"][index if isinstance(index, Tensor) else slice(0)]
        candidates = torch.cat((targets, embeddings["negatives"]))

        def both(*given: Any) -> Tensor:
            return network(*given, candidates)

        return super().forward(both, embeddings, batch)

    def loss(self, output: Tensor, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The sum over all targets of the loss of each, against negatives."""
        index, expected = batch.inputs["target_index"], batch.inputs.get("log_expected")
        assert isinstance(self.scored_loss, ScoredLoss)
        assert isinstance(index, Tensor)
        drawn = batch.lookups["negatives"]
        hidden, positives, negatives = output.split([len(index), len(index), len(drawn)])
        return self.scored_loss(
            hidden,
            positives,
            negatives,
            batch.lookups["history"][index],
            drawn,
            expected if isinstance(expected, Tensor) else None,
        )

    def of_rows(self, ids: Tensor) -> Batch:
        """See :class:`saccade.pipelines.compared.ComparesVectors`: a batch of no history."""
        nothing = ids.new_zeros(0)
        lookups = {"history": nothing, "negatives": ids}
        inputs: dict[str, Tensor | Jagged | Layout] = {"layout": Layout(nothing)}
        for feature in self.features:
            looked_up, about = feature.of_no_tokens()
            lookups, inputs = {**lookups, **looked_up}, {**inputs, **about}
        return Batch(lookups, inputs, 0, 0, nothing)
