"""What is asked of a model for the rows of Parquet data, as plain values that may be sent to workers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from torch import Tensor

from saccade.cluster.job import CtrJob, Job, NextItemJob
from saccade.cluster.training.beside import beside as beside_history
from saccade.cluster.training.beside import check_beside
from saccade.cluster.training.ctr_facts import check_ctr_ids
from saccade.cluster.training.facts import check_items
from saccade.cluster.using.model import Model, open_model
from saccade.pipelines.batch import Batch
from saccade.pipelines.errors import UserError
from saccade.pipelines.inference.apply import Application, can_go_beside
from saccade.pipelines.inference.items import wanted_items
from saccade.pipelines.inference.recommends import Recommends
from saccade.pipelines.inference.rows import RowMaker
from saccade.pipelines.parquet.files import splits
from saccade.pipelines.parquet.source import Source

ITEM_COLUMN = "item_id"


@dataclass(frozen=True)
class Choice:
    """What is recommended.

    Attributes:
        keep_seen: also what is in a row's own history.
        items: a side table of the only items to choose from; None for all that the model knows.
        item_column: its column of items.
        only: its columns, and the value that each must have or hold.
    """

    keep_seen: bool = False
    items: str | None = None
    item_column: str = ITEM_COLUMN
    only: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Request:
    """A model and rows.

    Attributes:
        model: a run's folder, a checkpoint's or an export's.
        data: a Parquet file, folder, glob or URI with the columns that the job reads, labels aside.
        top_k: answers a row.
        choice: what to recommend; None asks for the task's own answers, whatever the task.
    """

    model: str
    data: str
    top_k: int
    choice: Choice | None = None

    def open(self) -> Model:
        """The model.

        Raises:
            UserError: there is none, or it is damaged.
        """
        return open_model(Path(self.model))

    def application(self, model: Model) -> Application:
        """The model with the data and the question.

        The job's transforms are applied as they were fitted; its filter isn't, because the data say what is asked for.
        Items that a vocabulary numbered come out as the values that they were.

        Raises:
            UserError: anything that the user can mend.
        """
        job, task, transforms = model.job, model.task, model.transforms
        split = next((name for name in ("predict", "test", "train") if name in splits(self.data)), None)
        columns = [column for column in task.columns if column.name not in _unasked(job)]
        source = Source.open(self.data, split, columns, prepare=transforms.making(c.name for c in columns))
        beside = None
        names: Callable[[pa.Array], pa.Array] = _as_they_are
        if isinstance(job, NextItemJob):
            check_items(source, job.data.history, model.facts["items"], transforms)
            if len(beside_history(job)) > 1:
                check_beside(job, source, dict(model.facts), transforms)
            beside = job.data.user if can_go_beside(source, job.data.user) else None
            names = RowMaker(columns, job.data.history, model.facts["items"], transforms).names
        if isinstance(job, CtrJob):

            def opened(name: str) -> Source:
                column = next(each for each in columns if each.name == name)
                return Source.open(self.data, split, [column], prepare=transforms.making([name]))

            check_ctr_ids(job, opened, model.facts, transforms)
        answer = self._task_answer(model) if self.choice is None else self._recommended(model, self.choice)
        return Application(model.weights, source, answer, names, beside, job.data.window, job.evaluate.tokens)

    def _task_answer(self, model: Model) -> Callable[[Tensor, Batch], Mapping[str, Tensor]]:
        return lambda output, batch: model.task.predict(output, batch, model.weights.shards, self.top_k)

    def _recommended(self, model: Model, choice: Choice) -> Callable[[Tensor, Batch], Mapping[str, Tensor]]:
        task = model.task
        if not isinstance(task, Recommends):
            raise UserError(f"{self.model}: a model of the task {model.job.task} doesn't recommend items: use predict")
        allowed = None
        if choice.items is not None:
            known = RowMaker(list(model.task.columns), task.history, task.items, model.transforms)
            wanted = wanted_items(choice.items, choice.item_column, choice.only)
            allowed = known.ids(wanted, skip_unknown=True).unique()
            if not len(allowed):
                raise UserError(f"{choice.items}: the model knows none of the {len(wanted)} items that are asked for")
        return lambda output, batch: task.recommend(
            output, batch, model.weights.shards, self.top_k, keep_seen=choice.keep_seen, allowed=allowed
        )


def _as_they_are(values: pa.Array) -> pa.Array:
    return values


def _unasked(job: Job) -> Collection[str]:
    """The columns that only training and evaluation read."""
    if not isinstance(job, CtrJob):
        return [str(getattr(job.data, "label", ""))]
    history = job.data.history
    searched = {history.search.target, history.search.column} if history and history.search else set()
    features = {feature.column for feature in job.data.features} | searched
    return {name for name in (*job.data.labels, job.data.user) if name is not None and name not in features}
