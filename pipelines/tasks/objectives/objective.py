"""What training makes of histories, and how a trained model is asked for the item that follows one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from saccade.models.jagged import Layout


@dataclass(frozen=True, eq=False)
class Exercise:
    """What a network gets of a micro-batch of histories, and where its answers are.

    Attributes:
        lengths: [B] int64, the network's tokens of each history.
        source: [T] int64, for each token the place of its item among the histories' items (for a token of no item, of
            the one before it, whose moment it has); None where tokens and items are the same.
        hidden: [T] bool, tokens whose item the network must not see; None for a network that hides none.
        asked: [P] int64, the tokens whose outputs are scored; None for all of them.
        wanted: [P] int64, for each of those the place of the right item; None where a task knows it otherwise.
    """

    lengths: Tensor
    source: Tensor | None = None
    hidden: Tensor | None = None
    asked: Tensor | None = None
    wanted: Tensor | None = None


class Objective(Protocol):
    """A way to learn from histories.

    Attributes:
        beyond: items that training takes of a history besides those that become tokens.
        appended: tokens that a question adds to a history's items.
    """

    beyond: int
    appended: int

    def teach(self, layout: Layout, generator: torch.Generator) -> Exercise:
        """What to learn from histories of these lengths; all randomness comes from ``generator``."""

    def ask(self, layout: Layout) -> Exercise:
        """The question which item follows each of these histories; its answer is at ``asked``, [B]."""
