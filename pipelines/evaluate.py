"""One pass over a split without learning."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import torch

from saccade.pipelines.engine import Engine
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.task import Split, Task


def evaluate(engine: Engine, task: Task, reader: Reader, split: Split) -> tuple[dict[str, float], dict[str, Any]]:
    """Measure a split. A collective.

    Returns:
        The metrics by full name (``valid/ndcg@10``), and what the task's evaluation has to report besides.
    """
    collective = engine.collective
    evaluation = task.evaluation(split, collective, engine.shards)
    with closing(reader.steps(0)) as steps:
        for item in steps:
            rows = torch.tensor(sum(len(batch.rows) for batch in item.batches), device=engine.device)
            if not int(collective.sum(rows)):
                break
            for output, batch in zip(engine.evaluate(item.batches), item.batches, strict=True):
                evaluation.update(output, batch.to(engine.device))
    metrics = {f"{split}/{name}": value for name, value in evaluation.result().items()}
    return metrics, evaluation.report()
