"""Counting a model from the training rows, once, by the driver, and finding again what was counted."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from saccade.cluster.job import NextItemJob
from saccade.cluster.job.next_item_models import ItemKnn
from saccade.cluster.job.next_item_models import Popularity as PopularityModel
from saccade.cluster.training.popularity import load_counts, training_items
from saccade.models.jagged import Jagged
from saccade.models.recommendation.item_knn import ItemKNN
from saccade.models.recommendation.popularity import Popularity
from saccade.pipelines.engines.counted import CountedEngine
from saccade.pipelines.examples import join
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.tasks.holdout import Holdout

COUNTED = "counted.safetensors"
"""The artifact with what such a model has counted."""


def count(job: NextItemJob, source: Source, holdout: Holdout, items: int, artifacts: Path) -> None:
    """Count the job's model from the histories of ``source``, held-out items aside, and keep it in ``artifacts``.

    The items' own counts are there already.
    """
    model = _empty(job, items)
    if isinstance(model, Popularity):
        model.fit(load_counts(artifacts))
    else:
        histories = join(list(training_items(source, job.data.history, holdout)))
        assert isinstance(histories, Jagged)
        model.fit(histories)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, artifacts / COUNTED)


def _empty(job: NextItemJob, items: int) -> Popularity | ItemKNN:
    if isinstance(job.model, ItemKnn):
        return ItemKNN(items, job.model.neighbours, job.model.shrinkage, job.model.last)
    assert isinstance(job.model, PopularityModel)
    return Popularity(items)


def counted_engine(job: NextItemJob, items: int, artifacts: Path) -> CountedEngine:
    """The engine of what ``count`` has kept."""
    model: nn.Module = _empty(job, items)
    model.load_state_dict(load_file(artifacts / COUNTED))
    return CountedEngine(model)
