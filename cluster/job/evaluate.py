"""The section ``evaluate``: when to measure, what, and which measure decides."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from saccade.cluster.job.section import Section


class Evaluate(Section):
    """The keys of every task's evaluation."""

    every: int = Field(default=1, ge=1)
    """Epochs from one evaluation on the valid split to the next."""

    tokens: int = Field(default=8192, ge=1)
    """Token budget of a micro-batch in evaluation and prediction."""

    at_end: bool = True
    """Whether the best checkpoint is measured on the test split when training ends."""

    select: str = Field(pattern=r"^valid/.")
    """The metric whose highest value marks the best checkpoint."""

    patience: Annotated[int, Field(ge=1)] | None = None
    """Evaluations without gain after which training stops; null: never."""


class NextItemEvaluate(Evaluate):
    """Leave-one-out ranking over all items."""

    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(10,), min_length=1)
    """Cut-offs of HR@K and NDCG@K."""

    select: str = Field(default="valid/ndcg@10", pattern=r"^valid/.")
    """The metric whose highest value marks the best checkpoint: valid/mrr, valid/ndcg@K or valid/hr@K (K one of ks)."""

    @model_validator(mode="after")
    def _select_is_measured(self) -> NextItemEvaluate:
        measured = ["valid/mrr", *(f"valid/{metric}@{k}" for k in self.ks for metric in ("ndcg", "hr"))]
        if self.select not in measured:
            message = "evaluate.select={select} isn't measured with evaluate.ks={ks}: choose one of {measured}"
            given = {"select": self.select, "ks": str(list(self.ks)), "measured": ", ".join(measured)}
            raise PydanticCustomError("job", message, given)
        return self


class ClassificationEvaluate(Evaluate):
    """Accuracy and the report of every class."""

    select: str = Field(default="valid/accuracy", pattern=r"^valid/.")
    """The metric whose highest value marks the best checkpoint."""
