"""Attention as the formula reads, one example at a time: slow, any dtype, what every other backend is held to."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.models.attention.coordinates import Coordinates, coordinates
from saccade.models.attention.formula import Formula, spread_heads
from saccade.models.jagged import Jagged, Layout


class Reference:
    """Computes every formula; nothing is padded, and every example is alone."""

    name = "reference"

    def refuses(self, formula: Formula, query: Jagged, key: Jagged) -> str | None:
        """Nothing."""
        return None

    def __call__(self, formula: Formula, query: Jagged, key: Jagged, value: Tensor) -> Tensor:
        """See Backend."""
        outputs = []
        for example in range(len(query)):
            weights = example_weights(formula, query, key, example)
            values = value[tokens_of(key.layout, example)].transpose(0, 1)[None]  # [1, G, Lk, E]
            attended = weights @ spread_heads(values, weights.shape[1])
            outputs.append(attended[0].transpose(0, 1))
        return torch.cat(outputs) if outputs else query.values.new_zeros(0, query.values.shape[1], value.shape[2])


def tokens_of(layout: Layout, example: int) -> slice:
    """Where an example's tokens lie."""
    return slice(int(layout.host_offsets[example]), int(layout.host_offsets[example + 1]))


def example_weights(formula: Formula, query: Jagged, key: Jagged, example: int) -> Tensor:
    """The weights [1, H, Lq, Lk] of one example: ``query`` and ``key`` as ``score.prepare`` gives them."""
    (q, rows), (k, columns) = (_alone(tokens, example) for tokens in (query, key))
    allowed = formula.allowed(rows, columns)
    return formula.weights(q, k, formula.bias(rows, columns), None if allowed is None else allowed[:, None])


def _alone(tokens: Jagged, example: int) -> tuple[Tensor, Coordinates]:
    """One example's heads [1, H, L, D] and coordinates of [1, L]."""
    here = tokens_of(tokens.layout, example)
    place = tokens.layout.derive(coordinates).map(lambda x: x[here][None])
    return tokens.values[here].transpose(0, 1)[None], place
