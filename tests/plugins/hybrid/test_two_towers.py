"""Evaluation with an item tower: brute force over all items, and the same on any engine, ZeRO stage and sharding."""

import math
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.plugins.hybrid.models import ITEMS, LONGEST, histories
from tests.plugins.hybrid.training import Settings, make_engine, make_reader, make_task, opened, train, write_histories
from tests.processes import run_ranks
from torch import Tensor, nn

from saccade.models.jagged import Jagged
from saccade.pipelines.collective import Collective
from saccade.pipelines.compared import compared_shards
from saccade.pipelines.engines.network_state import load_weights
from saccade.pipelines.training.evaluate import evaluate

BLOCK = 8
"""Rows: of 61 items that are 8 blocks, the last one short."""

TRAINED = Settings(model="two-towers", steps=6)
RUNS = {
    "zero0-columns": Settings("hybrid", 0, "column", model="two-towers"),
    "zero1-table": Settings("hybrid", 1, "table", model="two-towers"),
    "zero2-replicated": Settings("hybrid", 2, "replicated", model="two-towers"),
    "zero3-row": Settings("hybrid", 3, "row", model="two-towers"),
}

Vectors = list[tuple[tuple[int, int], Tensor]]


def measured(settings: Settings, data: Path, output: Path) -> tuple[dict[str, float], dict[str, float], Vectors]:
    """The validation by the loop's evaluation and with small blocks, and the (rows, vectors) that this rank has then.

    A step is taken in between and undone: under ZeRO 3 parameters come and go, and training follows evaluation.
    """
    task = make_task(settings)
    engine = make_engine(settings, task)
    engine.load(opened(output))
    found = evaluate(engine, task, make_reader(settings, task, data, "valid"), "valid").metrics
    with closing(make_reader(settings, task, data).steps(0)) as steps:
        engine.step(list(next(steps).batches), 100, 1.0)
    engine.load(opened(output))
    shards = compared_shards(task, engine.evaluate, engine.shards, engine.collective, BLOCK)
    evaluation = task.evaluation("valid", engine.collective, shards)
    with closing(make_reader(settings, task, data, "valid").steps(0)) as steps:
        for item in steps:
            if not int(Collective().sum(torch.tensor(sum(len(batch.rows) for batch in item.batches)))):
                break
            for output_of_batch, batch in zip(engine.evaluate(item.batches), item.batches, strict=True):
                evaluation.update(output_of_batch, batch)
    return found, evaluation.result(), [(shard.rows, shard.weight.clone()) for shard in shards("items")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small training by plain torch."""
    folder = tmp_path_factory.mktemp("towers")
    (folder / "data").mkdir()
    write_histories(folder / "data")
    train(TRAINED, folder / "data", folder / "trained")
    return folder


def by_hand(folder: Path) -> tuple[dict[str, float], Tensor]:
    """HR, NDCG and MRR of every history's last item but one, and all items' vectors, one history and item at a time."""
    checkpoint = opened(folder / "trained")
    network: nn.Module = make_task(TRAINED).network().eval()
    load_weights(network, checkpoint.network)
    table = checkpoint.table("items", "weight")
    nobody = Jagged.pack([table[:0]])
    with torch.no_grad():
        items = torch.cat([network(nobody, row[None]) for row in table])
        ranks = []
        for history in histories()["history"].to_pylist():
            if len(history) < 3:
                continue
            seen, target = history[:-2], history[-2]
            scores = items.double() @ network(Jagged.pack([table[seen[-LONGEST:]]]))[-1].double()
            rivals = set(range(1, ITEMS)) - set(seen) - {target}
            ranks.append(1 + sum(float(scores[item]) >= float(scores[target]) for item in rivals))
    hits = [rank for rank in ranks if rank <= 10]
    gains = sum(1 / math.log2(1 + rank) for rank in hits)
    mrr = sum(1 / rank for rank in ranks)
    return {name: value / len(ranks) for name, value in (("hr@10", len(hits)), ("ndcg@10", gains), ("mrr", mrr))}, items


def check(folder: Path, ranks: list[tuple[dict[str, float], dict[str, float], Vectors]]) -> None:
    expected, items = by_hand(folder)
    for found, in_blocks, _ in ranks:
        assert found == {f"valid/{name}": pytest.approx(value, abs=2e-3) for name, value in expected.items()}
        assert in_blocks == {name: pytest.approx(value, abs=2e-3) for name, value in expected.items()}
    parts = [part for _, _, vectors in ranks for part in vectors]
    assert [rows for rows, _ in parts] == [(0, ITEMS)] if len(ranks) == 1 else [(0, 32), (32, ITEMS)]
    torch.testing.assert_close(torch.cat([vectors for _, vectors in parts]), items, rtol=0, atol=1e-6)


def test_the_reference_engine_ranks_as_by_hand(folder: Path) -> None:
    check(folder, [measured(TRAINED, folder / "data", folder / "trained")])


@pytest.mark.slow
def test_two_ranks_hold_half_of_the_items_each_and_find_the_same(folder: Path) -> None:
    calls = [partial(measured, settings, folder / "data", folder / "trained") for settings in RUNS.values()]
    alone = measured(TRAINED, folder / "data", folder / "trained")
    for ranks in run_ranks(2, calls, folder / "ranks"):
        check(folder, ranks)
        for found, in_blocks, _ in ranks:
            assert (found, in_blocks) == alone[:2]  # bit for bit
