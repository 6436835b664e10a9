"""A checkpoint to look into computes what the engine that wrote it computes, from the rows that are looked up alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.pipelines.course import Run, write_histories
from tests.plugins.hybrid.training import Settings, make_reader, make_task

from saccade.models.attention.attention import Attention
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.engines.frozen import FrozenModel
from saccade.pipelines.engines.tables import initial_rows
from saccade.pipelines.errors import UserError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("frozen")
    data = write_histories(folder / "data", users=60)
    return data, Run(data, folder / "run", epochs=1).go()


def batches(data: Path) -> Iterator[Batch]:
    reader = make_reader(Settings(), make_task(Settings()), data, "valid")
    with closing(reader.steps(0)) as steps:
        yield from next(steps).batches


def test_it_computes_what_the_engine_does(trained: tuple[Path, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    data, run = trained
    read: list[tuple[int, int]] = []
    table = CheckpointReader.table

    def spy(self: CheckpointReader, name: str, state: str, rows: Any, columns: Any) -> torch.Tensor:
        assert state == "weight"
        read.append(rows)
        return table(self, name, state, rows, columns)

    monkeypatch.setattr(CheckpointReader, "table", spy)
    before = torch.random.get_rng_state()
    model = FrozenModel(make_task(Settings()), run.checkpoint(), seed=7)
    for batch in batches(data):
        read.clear()
        torch.testing.assert_close(model(batch), run.engine.evaluate([batch])[0])
        rows = [row for first, last in read for row in range(first, last)]
        assert rows == sorted(set(batch.lookups["history"].tolist()))
        assert len(read) < len(rows)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_nothing_is_looked_up_for_an_empty_batch(trained: tuple[Path, Run]) -> None:
    _, run = trained
    task = make_task(Settings())
    model = FrozenModel(task, run.checkpoint(), seed=7)
    assert model._rows(task.tables[0], torch.zeros(0, dtype=torch.int64)).shape == (0, 16)


def test_rows_that_came_later_have_their_initial_values(trained: tuple[Path, Run]) -> None:
    _, run = trained
    task = make_task(Settings())
    (items,) = task.tables
    grown = Table("items", items.rows + 9, items.dim, items.features, items.standard_deviation)
    task.tables = [grown]
    model = FrozenModel(task, run.checkpoint(), seed=7)
    ids = torch.tensor([items.rows + 3, 5, items.rows - 1, items.rows])
    found = model._rows(grown, ids)
    new = initial_rows(grown, 7, 0, grown.rows)
    old = run.checkpoint().table("items", "weight")
    assert torch.equal(found, torch.stack((new[ids[0]], old[5], old[-1], new[ids[3]])))


def test_a_backend_that_this_machine_has_not_is_left_aside(trained: tuple[Path, Run]) -> None:
    data, run = trained
    task = make_task(Settings())
    build = task.build

    def on_gpu() -> torch.nn.Module:
        network = build()
        for module in network.modules():
            if isinstance(module, Attention):
                module.backend = "varlen"
        return network

    task.build = on_gpu
    model = FrozenModel(task, run.checkpoint(), seed=7)
    batch = next(batches(data))
    torch.testing.assert_close(model(batch), run.engine.evaluate([batch])[0])


def test_another_model_is_refused(trained: tuple[Path, Run]) -> None:
    _, run = trained
    task = make_task(Settings())
    task.build = lambda: torch.nn.Linear(3, 3)
    with pytest.raises(UserError, match="no tensor weight/weight: it was made by another model"):
        FrozenModel(task, run.checkpoint(), seed=7)
