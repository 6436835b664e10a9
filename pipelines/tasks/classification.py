"""What the classification tasks have in common: the loss and the evaluation of logits against labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from saccade.models.losses.cross_entropy import cross_entropy
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.classification import ClassificationMetrics
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Evaluation, Split


class Classification:
    """The half of a classification task that comes after the network, whose output is [B, C] logits.

    Args:
        label: the integer column with the class, 0 .. C - 1; it isn't read where rows are only to be predicted.
        labels: the classes' names.
        label_smoothing: of the loss.
    """

    def __init__(self, *, label: str, labels: Sequence[str], label_smoothing: float) -> None:
        self.label, self.labels, self.label_smoothing = label, tuple(labels), label_smoothing

    def loss(self, output: Tensor, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The sum over the examples of the cross-entropy."""
        label = batch.inputs["label"]
        assert isinstance(label, Tensor)
        return cross_entropy(output, label, self.label_smoothing)

    def evaluation(
        self, split: Split, collective: Collective, shards: Callable[[str], Sequence[TableShard]]
    ) -> Evaluation:
        """Accuracy, macro F1 and the loss without smoothing; ``report()`` besides."""
        return ClassificationEvaluation(self.labels, collective)

    def predict(
        self, output: Tensor, batch: Batch, shards: Callable[[str], Sequence[TableShard]], top_k: int
    ) -> dict[str, Tensor]:
        """``labels`` and ``scores`` [N, top_k]: the likeliest classes and their probabilities, likeliest first."""
        best = output.float().softmax(1).topk(min(top_k, len(self.labels)), dim=1)
        return {"labels": best.indices, "scores": best.values}


class ClassificationEvaluation:
    """Measures logits against the batch's labels."""

    def __init__(self, labels: Sequence[str], collective: Collective) -> None:
        """``labels`` names the classes."""
        self.metrics = ClassificationMetrics(labels, collective)

    def update(self, output: Tensor, batch: Batch) -> None:
        """Add one micro-batch's logits."""
        label = batch.inputs["label"]
        assert isinstance(label, Tensor)
        self.metrics.update(output, label.to(output.device), batch.rows)

    def result(self) -> dict[str, float]:
        """The metrics by name. A collective."""
        return self.metrics.result()

    def report(self) -> dict[str, Any]:
        """``report``: precision, recall, F1 and support by class name; ``label_names``: all classes. A collective."""
        return {"report": self.metrics.report(), "label_names": self.metrics.labels}
