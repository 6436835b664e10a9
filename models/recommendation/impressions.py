"""What a click model gets and what its view of a history gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from saccade.models.jagged import Jagged


@dataclass(frozen=True, eq=False)
class Contrast:
    """For an auxiliary loss: the events of histories, and others that didn't happen.

    Attributes:
        happened: [T, D] the items of the history's events.
        others: [T, D] an item drawn for each of them.
    """

    happened: Tensor
    others: Tensor


@dataclass(frozen=True, eq=False)
class Impressions:
    """B rows: something was shown to somebody. All rows of tables are looked up already.

    Attributes:
        features: each [B, D], or a list feature's Jagged of [S, D].
        numbers: [B, F].
        target: [B, D] what was shown; None where there is no history.
        history: [T, D] what the user did before, in time order; None where there is none.
        contrast: in training, for a model that asks for it.
    """

    features: Sequence[Tensor | Jagged]
    numbers: Tensor
    target: Tensor | None = None
    history: Jagged | None = None
    contrast: Contrast | None = None


class Interest(NamedTuple):
    """What a model makes of a row's history.

    Attributes:
        vector: [B, D].
        loss: [B] an auxiliary loss of each row; None where there is none.
    """

    vector: Tensor
    loss: Tensor | None = None


def seen(impressions: Impressions) -> tuple[Tensor, Jagged]:
    """The target and the history of rows that have them."""
    target, history = impressions.target, impressions.history
    assert target is not None
    assert history is not None
    return target, history
