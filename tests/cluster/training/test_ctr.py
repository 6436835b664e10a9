"""What every click model promises: the same weights anywhere, rows that don't see one another, and any history."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from tests.cluster.training.ctr_steps import MODELS, make_job, make_task, train, write_rows
from tests.plugins.hybrid.training import differences, opened
from tests.processes import run_ranks

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.batch import Batch
from saccade.pipelines.engines.reference import ReferenceEngine
from saccade.pipelines.examples import Examples
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.seeds import generator
from saccade.pipelines.task import Split
from saccade.pipelines.tasks.ctr import Ctr

STEPS, HALF = 9, 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clicks")
    write_rows(folder)
    return folder


@pytest.fixture(scope="module")
def on_ranks(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints NAME and, of the steps before, NAME-half of every model, by two ranks of the hybrid engine."""
    pytest.importorskip("deepspeed")
    pytest.importorskip("torchrec")
    folder = tmp_path_factory.mktemp("ranks")
    calls = []
    for name in MODELS:
        half = folder / f"{name}-half"
        calls.append(partial(train, name, data, half, HALF))
        calls.append(partial(train, name, data, folder / name, STEPS, HALF, half))
    run_ranks(2, calls, folder / "ranks")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_two_resumed_ranks_end_with_the_weights_of_one_process(
    name: str, data: Path, on_ranks: Path, tmp_path: Path
) -> None:
    train(name, data, tmp_path / "reference", STEPS, engine="reference")
    found = differences(opened(on_ranks / name), opened(tmp_path / "reference"))
    assert {tensor: value for tensor, value in found.items() if value > 1e-5} == {}


@pytest.mark.parametrize("name", MODELS)
def test_resuming_equals_a_straight_run(name: str, data: Path, tmp_path: Path) -> None:
    train(name, data, tmp_path / "straight", STEPS, engine="reference")
    train(name, data, tmp_path / "half", HALF, engine="reference")
    train(name, data, tmp_path / "resumed", STEPS, HALF, tmp_path / "half", engine="reference")
    assert max(differences(opened(tmp_path / "straight"), opened(tmp_path / "resumed")).values()) == 0


class Rows:
    """A task's rows, and its untrained network."""

    def __init__(self, name: str, data: Path, artifacts: Path) -> None:
        self.task: Ctr = make_task(make_job(name, data), artifacts)
        optimizers = {table.name: TableOptimizer("sgd", 0.1) for table in self.task.tables}
        network = NetworkOptimizer("sgd", 0.1)
        self.engine = ReferenceEngine(
            self.task, optimizer=network, table_optimizers=optimizers, seed=1, device=torch.device("cpu")
        )
        self.examples = Source.open(str(data), "train", self.task.columns).read(0, 40)

    def batch(self, rows: list[int], split: Split = "valid", examples: Examples | None = None) -> Batch:
        encoded = self.task.encode((examples or self.examples).take(torch.tensor(rows, dtype=torch.int64)), split)
        return self.task.collate(encoded, split, generator(0))

    def output(self, batch: Batch) -> torch.Tensor:
        (found,) = self.engine.evaluate([batch])
        return found


@pytest.mark.parametrize("name", MODELS)
def test_batch_mates_make_no_difference(name: str, data: Path, tmp_path: Path) -> None:
    rows = Rows(name, data, tmp_path)
    together = rows.output(rows.batch(list(range(40))))
    for row in range(40):
        torch.testing.assert_close(rows.output(rows.batch([row]))[0], together[row], atol=1e-6, rtol=1e-5)
    assert together.std() > 1e-4, "the rows differ"


@pytest.mark.parametrize("name", MODELS)
def test_labels_and_users_are_not_looked_at(name: str, data: Path, tmp_path: Path) -> None:
    rows = Rows(name, data, tmp_path)
    blind = {k: v for k, v in rows.examples.columns.items() if k not in ("click", "like", "user")}
    unlabelled = rows.batch(list(range(40)), "predict", Examples(rows.examples.rows, blind, rows.examples.lengths))
    assert torch.equal(rows.output(unlabelled), rows.output(rows.batch(list(range(40)))))


@pytest.mark.parametrize("name", MODELS)
def test_empty_micro_batches_give_zero_gradients(name: str, data: Path, tmp_path: Path) -> None:
    rows = Rows(name, data, tmp_path)
    engine, task, batch = rows.engine, rows.task, rows.batch([], "train")
    assert (batch.targets, batch.events) == (0, 0)
    assert all(ids.numel() == 0 for ids in batch.lookups.values())
    leaves = engine.tables.lookup(batch.lookups)
    task.loss(task.forward(engine.network.train(), leaves, batch), leaves, batch).backward()
    for parameter_name, parameter in engine.network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert not parameter.grad.any(), parameter_name


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith(("dlrm", "dcnv2"))])
def test_the_history_matters(name: str, data: Path, tmp_path: Path) -> None:
    rows = Rows(name, data, tmp_path)
    column = rows.examples.columns["items"]
    assert isinstance(column, Jagged)
    other = Jagged(column.values % 19 + 1, column.layout)
    changed = Examples(rows.examples.rows, dict(rows.examples.columns) | {"items": other}, rows.examples.lengths)
    everything = list(range(40))
    before, after = rows.output(rows.batch(everything)), rows.output(rows.batch(everything, examples=changed))
    layout = rows.batch(everything).inputs["history"]
    assert isinstance(layout, Layout)
    moved, seen = (before != after).any(1), layout.lengths > 0
    assert not moved[~seen].any()
    assert moved[seen].float().mean() > 0.8, "a row may stay where its activations are all zero"
