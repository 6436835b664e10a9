"""The engine that all others are held to, held to what it promises itself."""

import math
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.plugins.hybrid.training import (
    Odd,
    Settings,
    differences,
    make_engine,
    make_reader,
    make_task,
    opened,
    train,
    write_histories,
)

from saccade.models.attention.choice import FROM_END
from saccade.models.jagged import Jagged, Layout
from saccade.models.registry import Choice
from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.engines.engine import Engine
from saccade.pipelines.errors import UserError
from saccade.pipelines.examples import Examples
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.seeds import generator
from saccade.pipelines.tasks.negatives import ScoredLoss

SETTINGS = Settings(network=NetworkOptimizer("sgd", 0.1), table=TableOptimizer("sgd", 0.1))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("histories")
    write_histories(folder)
    return folder


def examples(count: int) -> Examples:
    rng = torch.Generator().manual_seed(1)
    lengths = torch.randint(4, 15, (count,), generator=rng)
    values = torch.randint(1, 61, (int(lengths.sum()),), generator=rng)
    return Examples(torch.arange(count), {"history": Jagged(values, Layout(lengths))}, lengths)


def weights(engine: Engine) -> dict[str, torch.Tensor]:
    state = engine.state()
    found = {name: tensor.clone() for name, tensor in state.network.items()}
    return found | {shard.table: shard.weight.clone() for shard in state.shards}


def distance(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    assert set(left) == set(right)
    return max(float((left[name] - right[name]).abs().max()) for name in left)


def test_micro_batches_are_accumulated() -> None:
    """A step on K micro-batches is a step on all of their rows at once, up to float summation order."""

    def step(pieces: list[torch.Tensor]) -> tuple[float, dict[str, torch.Tensor]]:
        task = make_task(SETTINGS)
        task.build = partial(Odd, dropout=0.0)
        engine = make_engine(SETTINGS, task)
        encoded = task.encode(examples(12), "train")
        batches = [task.collate(encoded.take(piece), "train", generator(0)) for piece in pieces]
        # The same negatives in each, whose gradients add up.
        negatives = torch.arange(1, 9)
        batches = [replace(b, lookups={**b.lookups, "negatives": negatives}) for b in batches]
        loss = engine.step(batches, sum(b.targets for b in batches), 1.0).loss
        return loss, weights(engine)

    loss, together = step([torch.arange(12)])
    for pieces in ([torch.arange(0, 5), torch.arange(5, 12)], [torch.arange(0), *torch.arange(12).split(1)]):
        parted_loss, parted = step(pieces)
        assert parted_loss == pytest.approx(loss, abs=1e-6)
        assert distance(parted, together) < 1e-6


def micro_batches(data: Path) -> list[Batch]:
    task = make_task(Settings())
    with closing(make_reader(Settings(), task, data).steps(0)) as steps:
        return list(next(steps).batches)


def test_an_empty_micro_batch_changes_nothing(data: Path) -> None:
    batches, task = micro_batches(data), make_task(Settings())
    empty = make_reader(Settings(), task, data)._empty
    targets = sum(b.targets for b in batches)
    one, other = make_engine(Settings(), task), make_engine(Settings(), task)
    one.step(batches, targets, 1.0)
    other.step([empty, *batches, empty], targets, 1.0)
    assert distance(weights(one), weights(other)) == 0


def test_a_step_is_as_long_as_its_clipped_gradient(data: Path) -> None:
    """Plain gradient descent moves network and tables along the gradient, clipped or not."""
    sgd = Settings(table=TableOptimizer("sgd", 1.0), network=NetworkOptimizer("sgd", 1.0))
    batches, task = micro_batches(data), make_task(sgd)
    targets = sum(b.targets for b in batches)
    free, clipped = make_engine(sgd, task), make_engine(replace(sgd, clip=0.25), task)
    before = weights(free)
    norm = free.step(batches, targets, 1.0).gradient_norm
    assert clipped.step(batches, targets, 1.0).gradient_norm == norm > 0.25
    for name, start in before.items():
        torch.testing.assert_close(
            weights(clipped)[name] - start, (weights(free)[name] - start) * 0.25 / norm, rtol=1e-3, atol=1e-6
        )


def test_a_gradient_that_is_not_finite_changes_nothing(data: Path) -> None:
    batches, task = micro_batches(data), make_task(Settings())
    engine = make_engine(Settings(), task)
    engine.step(batches, 300, 1.0)
    before = weights(engine)
    task.scored_loss = ScoredLoss(8, True, lambda positive, negative: (positive * math.nan).sum())
    result = engine.step(batches, 300, 1.0)
    assert result.outcome == "not_finite"
    assert len(result.losses) == len(batches)
    assert all(map(math.isnan, result.losses))
    assert distance(weights(engine), before) == 0


def test_dropout_depends_on_the_batchs_seed_alone(data: Path) -> None:
    batches, task = micro_batches(data), make_task(Settings())
    targets = sum(b.targets for b in batches)
    losses = []
    for order in (batches, batches[::-1]):
        torch.manual_seed(len(losses))
        losses.append(make_engine(Settings(), task).step(order, targets, 1.0).loss)
    other = [replace(b, seed=b.seed + 1) for b in batches]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert make_engine(Settings(), task).step(other, targets, 1.0).loss != pytest.approx(losses[0], rel=1e-6)


def test_evaluation_has_no_dropout_and_changes_nothing(data: Path) -> None:
    task = make_task(Settings())
    engine = make_engine(Settings(), task)
    engine.step(micro_batches(data), 300, 1.0)
    with closing(make_reader(Settings(), task, data, "valid").steps(0)) as steps:
        batches = list(next(steps).batches)
    before = weights(engine)
    first, second = engine.evaluate(batches), engine.evaluate(batches)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert [len(output) for output in first] == [len(batch.rows) for batch in batches]
    assert not any(output.requires_grad for output in first)
    assert distance(weights(engine), before) == 0


@pytest.mark.parametrize("name", ["adamw", "sgd", "adagrad"])
@pytest.mark.parametrize("table", ["sgd", "adagrad", "rowwise_adagrad", "adam", "partial_rowwise_adam"])
def test_saved_and_loaded_goes_on_bit_by_bit(data: Path, tmp_path: Path, name: str, table: str) -> None:
    settings = Settings(network=NetworkOptimizer(name), table=TableOptimizer(table), steps=8)  # type: ignore[arg-type]
    straight = train(settings, data, tmp_path / "straight")
    first = train(replace(settings, steps=5), data, tmp_path / "first")
    second = train(replace(settings, first=5), data, tmp_path / "second", tmp_path / "first" / "step-00000005")
    assert first + second == straight
    assert max(differences(opened(tmp_path / "straight"), opened(tmp_path / "second")).values()) == 0


def test_a_schedule_inside_the_network_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    """Gumbel-softmax cools down with the optimizer's steps, which a checkpoint knows."""
    cooling = Choice.of("gumbel_softmax", temperature=2.0, final_temperature=0.5, steps=10)
    settings = Settings(attention=replace(FROM_END, normalizer=cooling), steps=8)
    straight = train(settings, data, tmp_path / "straight")
    first = train(replace(settings, steps=5), data, tmp_path / "first")
    second = train(replace(settings, first=5), data, tmp_path / "second", tmp_path / "first" / "step-00000005")
    assert first + second == straight
    assert max(differences(opened(tmp_path / "straight"), opened(tmp_path / "second")).values()) == 0
    constant = Choice.of("gumbel_softmax", temperature=2.0)
    assert train(replace(settings, attention=replace(FROM_END, normalizer=constant)), data, tmp_path / "x") != straight


def test_a_checkpoint_of_another_model_is_refused(data: Path, tmp_path: Path) -> None:
    settings = replace(Settings(), steps=1)
    train(settings, data, tmp_path)
    checkpoint = CheckpointReader(tmp_path / "step-00000001")
    task = make_task(settings)
    build = task.build
    task.build = lambda: torch.nn.Sequential(build())
    with pytest.raises(UserError, match="the checkpoint has no tensor weight/0.scale"):
        make_engine(settings, task).load(checkpoint)
    task.build = lambda: _with_scale(build(), 2)
    with pytest.raises(UserError, match=r"the network's scale is \(1,\) in the checkpoint and \(2,\)"):
        make_engine(settings, task).load(checkpoint)


def _with_scale(network: torch.nn.Module, size: int) -> torch.nn.Module:
    network.scale = torch.nn.Parameter(torch.ones(size))
    return network


def test_it_describes_itself() -> None:
    described = make_engine(Settings(), make_task(Settings())).describe()
    assert described["name"] == "reference"
    place = {"rows": "0-61", "columns": "0-16", "dim": 16, "sharding": "whole", "rank": 0}
    # Weights and the squares that Adagrad keeps, 4 bytes each.
    assert described["plan"] == [{"table": "items", **place, "elements": 976, "bytes": 7808}]
