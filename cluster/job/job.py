"""The whole job: its sections, which of them a task takes, and the checks that need more than one section."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, TypeAdapter, model_validator
from pydantic_core import PydanticCustomError

from saccade.cluster.job.checkpoint import Checkpoint
from saccade.cluster.job.ctr import NEED_HISTORY, CtrData, CtrEvaluate, CtrModels, CtrTables, DinModel, LogLoss
from saccade.cluster.job.data import Data, NextItemData, SpeechClassificationData, TextClassificationData
from saccade.cluster.job.engine import Engine
from saccade.cluster.job.evaluate import ClassificationEvaluate, Evaluate, NextItemEvaluate
from saccade.cluster.job.loss import CrossEntropy, FullSoftmax, NextItemLoss, SampledSoftmax
from saccade.cluster.job.model import Model, SasRec, SpeechEncoder, SpeechModel, TextEncoder, TextModel
from saccade.cluster.job.next_item_models import Bert4Rec, NextItemModel, TwoTowers
from saccade.cluster.job.optimizer import Optimizer
from saccade.cluster.job.run import Run
from saccade.cluster.job.section import Section
from saccade.cluster.job.tables import NextItemTables, NoTables, Table, TextTables
from saccade.cluster.job.train import Train
from saccade.cluster.job.wandb import Wandb


def _module(name: str) -> str:
    if not all(part.isidentifier() for part in name.split(".")) or name.endswith(".py"):
        raise PydanticCustomError("module_name", "a module's name")
    return name


class Job(Section):
    """Everything about a run. The task decides which data, model, tables, loss and evaluation it takes.

    Code that needs a task's own keys narrows with ``isinstance(job, NextItemJob)``.
    """

    task: str
    """The problem to solve; it decides which other keys there are."""

    run: Run = Run()
    plugins: tuple[Annotated[str, AfterValidator(_module)], ...] = ()
    """Python modules to import, of the working directory or installed: they register the parts that the job names."""

    data: Data
    model: Model
    tables: Section
    loss: Section
    optimizer: Optimizer = Optimizer()
    train: Train = Train()
    engine: Engine = Engine()
    evaluate: Evaluate
    checkpoint: Checkpoint = Checkpoint()
    wandb: Wandb = Wandb()

    def table(self, name: str) -> Table:
        """The settings of one of the task's tables."""
        found: Table = getattr(self.tables, name)
        return found

    def resolved(self, directory: Path) -> Job:
        """The same job with ``data.path``, ``run.storage`` and ``run.start_from`` absolute, from ``directory``.

        Workers run in directories of their own, so the launcher resolves paths first. Addresses (``s3://…``) stay.
        """
        data = self.data.model_copy(update={"path": _absolute(self.data.path, directory)})
        paths = {"storage": self.run.storage, "start_from": self.run.start_from}
        absolute = {key: path and _absolute(path, directory) for key, path in paths.items()}
        run = self.run.model_copy(update=absolute)
        return self.model_copy(update={"data": data, "run": run})


class NextItemJob(Job):
    """Recommend the next item of a history."""

    task: Literal["next_item"]
    """The problem to solve; it decides which other keys there are."""

    data: NextItemData
    model: NextItemModel = SasRec()
    tables: NextItemTables = NextItemTables()
    loss: NextItemLoss = SampledSoftmax()
    evaluate: NextItemEvaluate = NextItemEvaluate()

    @model_validator(mode="after")
    def _room_for_the_mask(self) -> NextItemJob:
        if isinstance(self.model, Bert4Rec) and self.data.max_length < 2:
            message = "data.max_length={length} leaves no item beside the hidden one: bert4rec needs 2 or more"
            raise PydanticCustomError("job", message, {"length": self.data.max_length})
        return self

    @model_validator(mode="after")
    def _towers_draw_negatives(self) -> NextItemJob:
        if isinstance(self.model, TwoTowers) and isinstance(self.loss, FullSoftmax):
            message = (
                "loss.name=full_softmax scores the rows of the item table, which two_towers turns into other vectors: "
                "choose sampled_softmax (with sampling in_batch, mixed or popularity) or info_nce"
            )
            raise PydanticCustomError("job", message)
        return self

    def table(self, name: str) -> Table:
        """The items' own settings, or those that the tables of side features share."""
        if name == "items":
            return self.tables.items
        shared = self.tables.features
        return Table(sharding=shared.sharding, standard_deviation=shared.standard_deviation, optimizer=shared.optimizer)


class TextClassificationJob(Job):
    """Give a text one of several labels."""

    task: Literal["text_classification"]
    """The problem to solve; it decides which other keys there are."""

    data: TextClassificationData
    model: TextModel = TextEncoder()
    tables: TextTables = TextTables()
    loss: CrossEntropy = CrossEntropy()
    evaluate: ClassificationEvaluate = ClassificationEvaluate()


class SpeechClassificationJob(Job):
    """Give a recording one of several labels."""

    task: Literal["speech_classification"]
    """The problem to solve; it decides which other keys there are."""

    data: SpeechClassificationData
    model: SpeechModel = SpeechEncoder()
    tables: NoTables = NoTables()
    loss: CrossEntropy = CrossEntropy()
    evaluate: ClassificationEvaluate = ClassificationEvaluate()


class CtrJob(Job):
    """Predict how likely a click is."""

    task: Literal["ctr"]
    """The problem to solve; it decides which other keys there are."""

    data: CtrData
    model: CtrModels = DinModel()
    tables: CtrTables = CtrTables()
    loss: LogLoss = LogLoss()
    evaluate: CtrEvaluate = CtrEvaluate()

    @model_validator(mode="after")
    def _histories_fit(self) -> CtrJob:
        name = self.model.name
        if name in NEED_HISTORY and self.data.history is None:
            message = "model.name={name} needs data.history: add it, or choose dlrm or dcnv2"
            raise PydanticCustomError("job", message, {"name": name})
        return self

    def table(self, name: str) -> Table:
        """What all tables have in common, with what is special about this feature's."""
        own = {feature.column: feature.table for feature in self.data.features}
        own |= {event.column: event.table for event in (self.data.history.events if self.data.history else ())}
        special = {key: value for key, value in own[name] if value is not None}
        return self.tables.features.model_copy(update=special)


AnyJob: TypeAlias = Annotated[
    NextItemJob | TextClassificationJob | SpeechClassificationJob | CtrJob, Field(discriminator="task")
]
JOB_ADAPTER: TypeAdapter[NextItemJob | TextClassificationJob | SpeechClassificationJob | CtrJob] = TypeAdapter(AnyJob)
TASKS: Mapping[str, type[Job]] = {
    "next_item": NextItemJob,
    "text_classification": TextClassificationJob,
    "speech_classification": SpeechClassificationJob,
    "ctr": CtrJob,
}


def _absolute(path: str, directory: Path) -> str:
    return path if "://" in path else str((directory / Path(path).expanduser()).absolute())
