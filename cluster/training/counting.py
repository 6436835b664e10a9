"""Counting a model from the training rows, once, by the driver, and finding again what was counted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

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
    model = counted_call(job, items)()
    if isinstance(model, Popularity):
        model.fit(load_counts(artifacts))
    else:
        histories = join(list(training_items(source, job.data.history, holdout)))
        assert isinstance(histories, Jagged)
        model.fit(histories)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, artifacts / COUNTED)


def counted_call(job: NextItemJob, items: int) -> partial[Popularity] | partial[ItemKNN]:
    """What builds the job's model, in which nothing has been counted yet."""
    if isinstance(job.model, ItemKnn):
        chosen = job.model.model_dump(include={"neighbours", "shrinkage", "last"})
        return partial(ItemKNN, items=items, **chosen)
    assert isinstance(job.model, PopularityModel)
    return partial(Popularity, items=items)


def load_counted(artifacts: Path) -> dict[str, Tensor]:
    """What ``count`` has kept, by the names of the model's buffers."""
    found: dict[str, Tensor] = load_file(artifacts / COUNTED)
    return found


def counted_engine(job: NextItemJob, items: int, counted: Mapping[str, Tensor]) -> CountedEngine:
    """The engine of what ``load_counted`` gave, or an export had."""
    model: nn.Module = counted_call(job, items)()
    model.load_state_dict(dict(counted))
    return CountedEngine(model)
