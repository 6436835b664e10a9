"""One pass over a split without learning."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch

from saccade.pipelines.compared import compared_shards
from saccade.pipelines.engines.engine import Engine
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.task import Split, Task
from saccade.pipelines.training.stop import Stop, Stopped


@dataclass(frozen=True)
class Measured:
    """What a pass over a split found.

    Attributes:
        metrics: by full name (``valid/ndcg@10``).
        report: what the task's evaluation has to say besides, as JSON values.
        events: tokens that went through the network.
    """

    metrics: dict[str, float]
    report: dict[str, Any]
    events: int


def evaluate(
    engine: Engine, task: Task, reader: Reader, split: Split, stop: Stop | None = None, *, report: bool = True
) -> Measured:
    """Measure a split. A collective; the result is the same on every rank.

    Args:
        engine: that the model is on.
        task: that says how it is measured.
        reader: of the split.
        split: that metrics are named by.
        stop: ends the pass early where some rank was asked to.
        report: whether more than the metrics is wanted; slices and intervals may take longer than they do.

    Raises:
        Stopped: ``stop`` is given, and some rank was asked to.
    """
    collective = engine.collective
    shards = compared_shards(task, engine.evaluate, engine.shards, collective)
    evaluation = task.evaluation(split, collective, shards)
    events = 0
    with closing(reader.steps(0)) as steps:
        for item in steps:
            rows, tokens = sum(len(b.rows) for b in item.batches), sum(b.events for b in item.batches)
            asked = stop is not None and stop.requested()
            totals = torch.tensor([rows, tokens, asked], device=engine.device)
            rows, tokens, stops = collective.sum(totals).tolist()
            if stops:
                raise Stopped
            if not rows:
                break
            events += tokens
            for output, batch in zip(engine.evaluate(item.batches), item.batches, strict=True):
                evaluation.update(output, batch.to(engine.device))
    metrics = {f"{split}/{name}": value for name, value in evaluation.result().items()}
    return Measured(metrics, evaluation.report() if report else {}, events)
