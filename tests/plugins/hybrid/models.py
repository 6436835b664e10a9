"""Every next-item model as a task of its own over small generated histories; a new one is a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import torch

from saccade.models.losses.binary import gbce
from saccade.models.losses.pairwise import bpr
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.bert4rec import BERT4Rec
from saccade.models.recommendation.gru4rec import GRU4Rec
from saccade.models.recommendation.hstu import HSTURecommender
from saccade.models.recommendation.sasrec import SASRec
from saccade.models.recommendation.side_features import WithSideFeatures
from saccade.models.recommendation.two_towers import TwoTowers
from saccade.models.registry import Choice
from saccade.pipelines.tasks.features import Feature
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem
from saccade.pipelines.tasks.objectives.masked import Masked
from saccade.pipelines.tasks.sampling import Popular
from saccade.pipelines.tasks.two_towers import NextItemByTowers

ITEMS, DIM, LONGEST = 61, 16, 16


def histories(users: int = 300) -> pa.Table:
    """Random histories, with times and side features of the items beside them."""
    rng = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 30, (users,), generator=rng).tolist()
    items = [torch.randint(1, ITEMS, (n,), generator=rng).tolist() for n in lengths]
    columns = {
        "history": pa.array(items, pa.list_(pa.int64())),
        "times": pa.array([torch.randint(0, 99, (n,), generator=rng).cumsum(0).tolist() for n in lengths]),
        "genre": pa.array([[item % 5 for item in row] for row in items], pa.list_(pa.int64())),
        "tags": pa.array([[[item % 7, item % 3][: item % 3] for item in row] for row in items]),
        "year": pa.array([[float(item) / ITEMS for item in row] for row in items], pa.list_(pa.float32())),
    }
    return pa.table(columns)


SOFTMAX = ScoredLoss(8, True, sampled_softmax)
COUNTS = torch.arange(ITEMS) % 9 + 1
FEATURES = (Feature("genre", "id", 5, DIM, 0.1), Feature("tags", "ids", 7, DIM, 0.1), Feature("year", "number"))
ENCODER: Mapping[str, Any] = {
    "dim": DIM,
    "blocks": 2,
    "heads": 2,
    "hidden": 33,
    "dropout": 0.2,
    "max_length": LONGEST,
}
SASREC = partial(SASRec, **ENCODER)
TIMED = Choice.of("hstu", time_buckets=16)


def task(
    build: Callable[..., Any], loss: ScoredLoss = SOFTMAX, kind: type[NextItem] = NextItem, **options: Any
) -> NextItem:
    """A task over those histories."""
    known: dict[str, Any] = {"history": "history", "max_length": LONGEST, "items": ITEMS, "dim": DIM, "ks": [10]}
    return kind(build=build, loss=loss, standard_deviation=0.1, latest=0.5, **known, **options)


def featured(combine: str) -> Callable[..., Any]:
    """SASRec whose items have all kinds of features."""
    sizes = {feature.name: feature.dim or None for feature in FEATURES}
    return partial(WithSideFeatures, SASREC, DIM, sizes, combine)  # type: ignore[arg-type]


POPULAR = Popular(COUNTS)

IN_BATCH = ScoredLoss(0, True, sampled_softmax, in_batch=POPULAR, log_q=True)
TOWERS = partial(TwoTowers, DIM, (1, 4), (33,), 12, 0.2)

MODELS: Mapping[str, Callable[[], NextItem]] = {
    "sasrec": partial(task, SASREC),
    "esasrec": partial(task, partial(SASREC, block=Choice.of("ligr"))),
    "hstu": partial(task, partial(HSTURecommender, **ENCODER)),
    "hstu-timed": partial(task, partial(HSTURecommender, **ENCODER, block=TIMED), times="times"),
    "gru4rec": partial(task, partial(GRU4Rec, DIM, 20, 2, 0.2)),
    "bert4rec": partial(task, partial(BERT4Rec, **ENCODER), objective=Masked(0.3, 0.2)),
    "two-towers": partial(task, TOWERS, replace(IN_BATCH, count=8, temperature=0.1), NextItemByTowers),
    "features-sum": partial(task, featured("sum"), features=FEATURES),
    "features-concat": partial(task, featured("concat"), features=FEATURES, times="times"),
    "popular-negatives": partial(task, SASREC, ScoredLoss(8, True, sampled_softmax, 0.5, POPULAR, log_q=True)),
    "in-batch-negatives": partial(task, SASREC, IN_BATCH),
    "mixed-negatives": partial(task, SASREC, ScoredLoss(8, True, sampled_softmax, in_batch=POPULAR, log_q=True)),
    "bpr": partial(task, SASREC, ScoredLoss(2, False, bpr, sampler=POPULAR)),
    "gbce": partial(task, SASREC, ScoredLoss(8, True, partial(gbce, items=ITEMS, calibration=0.75))),
}
