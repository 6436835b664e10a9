"""The section ``evaluate``: when to measure, what, and which measure decides."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from saccade.cluster.job.section import Section


class Evaluate(Section):
    """The keys of every task's evaluation."""

    every: int = Field(default=1, ge=1)
    """Epochs from one evaluation on the valid split to the next."""

    fraction: float = Field(default=1.0, gt=0.0, le=1.0)
    """The part of the valid split's rows that is measured while training, the same rows each time: 0.5 is every second
    row. The test split and `saccade evaluate` are measured whole."""

    tokens: int = Field(default=8192, ge=1)
    """Token budget of a micro-batch in evaluation and prediction."""

    at_end: bool = True
    """Whether the best checkpoint is measured on the test split when training ends."""

    select: str = Field(pattern=r"^valid/.")
    """The metric whose highest value marks the best checkpoint."""

    patience: Annotated[int, Field(ge=1)] | None = None
    """Evaluations without gain after which training stops; null: never."""


class NextItemEvaluate(Evaluate):
    """Leave-one-out ranking over all items ([evaluation.md](evaluation.md))."""

    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(10,), min_length=1)
    """Cut-offs K of the metrics."""

    metrics: tuple[Literal["hr", "ndcg", "recall", "precision", "map", "mrr"], ...] = Field(
        default=("hr", "ndcg"), min_length=1
    )
    """What is measured at each K; MRR without a cut-off always is."""

    lists: tuple[Literal["coverage", "novelty", "popularity"], ...] = ()
    """What is measured of each user's first K recommendations, right or not: the share of items that anyone gets, their
    self-information, and how popular and how unequally frequent they are (arp, lift, gini)."""

    protocol: Literal["full", "sampled_uniform", "sampled_popularity"] = "full"
    """full: ranking among all items. The others measure, besides, the ranking among a few sampled items: for comparison
    with older papers only, under names that say so (ndcg@10_sampled100, …_popular)."""

    negatives: int = Field(default=100, ge=1)
    """Sampled items of a user; only with a sampled protocol."""

    slices: tuple[Literal["history_length", "popularity"], ...] = ("history_length", "popularity")
    """What the ranking is sliced by in results: the length of the user's history, the relevant item's popularity."""

    resamples: int = Field(default=1000, ge=0)
    """Resamples of users for the 95 % bootstrap intervals in results; 0: none."""

    select: str = Field(default="valid/ndcg@10", pattern=r"^valid/.")
    """The metric whose highest value marks the best checkpoint: valid/mrr or one of metrics at one of ks, as in
    valid/ndcg@10."""

    @model_validator(mode="after")
    def _select_is_measured(self) -> NextItemEvaluate:
        measured = ["valid/mrr", *(f"valid/{metric}@{k}" for k in self.ks for metric in reversed(self.metrics))]
        if self.select not in measured:
            message = "evaluate.select={select} isn't measured with evaluate.ks={ks}: choose one of {measured}"
            given = {"select": self.select, "ks": str(list(self.ks)), "measured": ", ".join(measured)}
            raise PydanticCustomError("job", message, given)
        return self


class ClassificationEvaluate(Evaluate):
    """Accuracy and the report of every class."""

    select: str = Field(default="valid/accuracy", pattern=r"^valid/.")
    """The metric whose highest value marks the best checkpoint."""
