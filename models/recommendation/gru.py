"""A gated recurrent unit over packed sequences, plain or with an attentional update gate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout
from saccade.models.products import Linear


class GRU(nn.Module):
    """h' = (1 - u) ⊙ h + u ⊙ tanh(W i + r ⊙ (U h + b)), with u and r σ(W i + U h + b) of their own.

    ("Learning Phrase Representations using RNN Encoder-Decoder", Cho et al. 2014; the reset gate acts after U, as in
    cuDNN.) With attention a, the update gate is a · u: AUGRU ("Deep Interest Evolution Network", Zhou et al. 2019,
    equations 14 and 15). One step takes all sequences that are long enough, so nothing is padded.
    """

    def __init__(self, inputs: int, dim: int) -> None:
        """``inputs`` features of a token, ``dim`` of the state."""
        super().__init__()
        self.dim = dim
        self.input = Linear(inputs, 3 * dim)
        self.state = Linear(dim, 3 * dim)

    def forward(self, tokens: Jagged, attention: Tensor | None = None) -> Tensor:
        """[T, inputs] -> [T, dim], the state after each token; ``attention`` is [T]."""
        order = tokens.layout.derive(_steps)
        # Step by step: all first tokens, longest sequences first, then all second ones, ...
        given = self.input(tokens.values)[order.tokens]
        gate = None if attention is None else attention[order.tokens][:, None]
        state = given.new_zeros(order.counts[0], self.dim)
        states, first = [], 0
        for count in order.counts:
            now = slice(first, first + count)
            state = self._step(given[now], state[:count], None if gate is None else gate[now])
            states.append(state)
            first += count
        return torch.cat(states)[order.places]

    def _step(self, given: Tensor, state: Tensor, attention: Tensor | None) -> Tensor:
        update, reset, new = given.chunk(3, dim=1)
        update_state, reset_state, new_state = self.state(state).chunk(3, dim=1)
        u = (update + update_state).sigmoid()
        if attention is not None:
            u = attention * u
        candidate = (new + (reset + reset_state).sigmoid() * new_state).tanh()
        return torch.lerp(state, candidate, u)


@dataclass(frozen=True, eq=False)
class _Steps:
    """The order in which a recurrent layer takes tokens.

    Attributes:
        tokens: [T] the token at each place of that order.
        places: [T] the place of each token.
        counts: tokens of each step; one step of none where there is no token, so that the weights get a gradient.
    """

    tokens: Tensor
    places: Tensor
    counts: list[int]


def _steps(layout: Layout) -> _Steps:
    lengths = layout.lengths
    longest_first = lengths.argsort(descending=True, stable=True)
    counts = [int((lengths > step).sum()) for step in range(layout.max_length)] or [0]
    starts = layout.host_offsets[:-1][longest_first]
    tokens = torch.cat([starts[:count] + step for step, count in enumerate(counts)])
    places = torch.empty_like(tokens)
    places[tokens] = torch.arange(layout.total)
    return _Steps(tokens.to(layout.device), places.to(layout.device), counts)
