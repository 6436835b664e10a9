"""Every network for next_item in a small size; the contract tests take them from here, so a new one is a line.

Each is made by ``NETWORKS[name](dropout)`` for items of DIM features and histories of at most LONGEST.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged
from saccade.models.recommendation.bert4rec import BERT4Rec
from saccade.models.recommendation.gru4rec import GRU4Rec
from saccade.models.recommendation.hstu import HSTURecommender
from saccade.models.recommendation.sasrec import SASRec
from saccade.models.recommendation.side_features import WithSideFeatures
from saccade.models.recommendation.two_towers import TwoTowers
from saccade.models.registry import Choice

DIM, LONGEST = 8, 12


@dataclass(frozen=True)
class Case:
    """A network and what it takes.

    Attributes:
        build: makes it, given its dropout.
        causal: whether a token's output depends on those before it alone; else some tokens are hidden from it.
        timed: whether its batches have times.
        features: of its items, by name: the width of their vectors, or None for a number.
    """

    build: Callable[..., nn.Module]
    causal: bool = True
    timed: bool = False
    features: tuple[tuple[str, int | None], ...] = ()


ENCODER: Mapping[str, Any] = {"dim": DIM, "blocks": 2, "heads": 2, "hidden": 16, "max_length": LONGEST}
SASREC = partial(SASRec, **ENCODER)
TIMED = Choice.of("hstu", buckets=8, max_distance=9, time_buckets=16)
FEATURES = (("genre", DIM), ("year", None))


def with_features(combine: str, dropout: float, **options: Any) -> nn.Module:
    """SASRec whose items have side features."""
    return WithSideFeatures(
        partial(SASREC, dropout=dropout, **options),
        DIM,
        dict(FEATURES),
        combine,  # type: ignore[arg-type]
    )


class BothTowers(nn.Module):
    """TwoTowers as a network of tokens alone: a token's item goes through the items' tower, too."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.towers = TwoTowers(DIM, (1, 3, LONGEST), (10,), 6, dropout)

    def forward(self, items: Jagged) -> Tensor:
        found, tokens = self.towers(items, items.values), items.layout.total
        return torch.cat((found[:tokens], found[tokens:]), dim=1)


NETWORKS: Mapping[str, Case] = {
    "sasrec": Case(SASREC),
    "esasrec": Case(partial(SASREC, block=Choice.of("ligr"))),
    "hstu": Case(partial(HSTURecommender, **ENCODER)),
    "hstu-timed": Case(partial(HSTURecommender, **ENCODER, block=TIMED), timed=True),
    "gru4rec": Case(partial(GRU4Rec, DIM, 10, 2)),
    "bert4rec": Case(partial(BERT4Rec, **ENCODER), causal=False),
    "two-towers": Case(BothTowers),
    "features-sum": Case(partial(with_features, "sum"), features=FEATURES),
    "features-concat": Case(partial(with_features, "concat"), features=FEATURES),
}
