from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.jagged import Jagged, Layout
from saccade.models.losses.binary import bce
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.examples import Examples
from saccade.pipelines.seeds import generator
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Split
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem

ITEMS, DIM, LONGEST = 400, 4, 5
SHARED, OWN = ScoredLoss(8, True, sampled_softmax), ScoredLoss(3, False, bce)


def make(latest: float = 1.0, loss: ScoredLoss = SHARED, max_length: int = LONGEST) -> NextItem:
    return NextItem(
        history="events",
        max_length=max_length,
        items=ITEMS,
        build=partial(SASRec, dim=DIM, blocks=1, heads=1, hidden=8, dropout=0.0, max_length=max_length),
        dim=DIM,
        standard_deviation=0.1,
        loss=loss,
        ks=[1, 10],
        latest=latest,
    )


def examples(lengths: list[int]) -> Examples:
    """Histories that share no item: item ids count up from 1 over all of them."""
    values = torch.arange(1, sum(lengths) + 1)
    history = Jagged(values, Layout(torch.tensor(lengths, dtype=torch.int64)))
    return Examples(torch.arange(len(lengths)) + 100, {"events": history}, torch.ones(len(lengths), dtype=torch.int64))


def plain(batch: Jagged | Any) -> list[list[int]]:
    assert isinstance(batch, Jagged)
    return [example.tolist() for example in batch.unpack()]


def histories(lengths: list[int]) -> list[list[int]]:
    return plain(examples(lengths).columns["events"])


def collated(task: NextItem, lengths: list[int], split: Split, seed: int = 0) -> Batch:
    return task.collate(task.encode(examples(lengths), split), split, generator(seed))


def training_pairs(batch: Batch) -> list[list[tuple[int, int]]]:
    """(input, target) item ids, a list an example."""
    ids, index, layout = batch.lookups["history"], batch.inputs["input_index"], batch.inputs["layout"]
    assert isinstance(index, torch.Tensor)
    assert isinstance(layout, Layout)
    pairs = torch.stack((ids[index], ids[index + 1]), 1)
    return [[(int(a), int(b)) for a, b in part] for part in Jagged(pairs, layout).unpack()]


ALL = [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("split", "prefixes", "targets"),
    [
        ("train", {4: 2, 5: 3, 6: 4}, {}),
        ("valid", {3: 1, 4: 2, 5: 3, 6: 4}, {3: 1, 4: 2, 5: 3, 6: 4}),
        ("test", {3: 2, 4: 3, 5: 4, 6: 5}, {3: 2, 4: 3, 5: 4, 6: 5}),
        ("predict", {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}, {}),
    ],
)
def test_encode_of_short_histories(split: Split, prefixes: dict[int, int], targets: dict[int, int]) -> None:
    encoded = make().encode(examples(ALL), split)
    whole = histories(ALL)
    assert encoded.rows.tolist() == [100 + n for n in prefixes]
    assert plain(encoded.columns["history"].pack()) == [whole[n][:cut] for n, cut in prefixes.items()]
    if targets:
        assert encoded.columns["target"].tolist() == [whole[n][at] for n, at in targets.items()]  # type: ignore[union-attr]
    else:
        assert "target" not in encoded.columns


lengths_of_rows = st.lists(st.integers(0, 14), max_size=8)


@given(lengths_of_rows, st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 99))
def test_training_pairs_are_neighbours_and_never_held_out(lengths: list[int], latest: float, seed: int) -> None:
    batch = collated(make(latest), lengths, "train", seed)
    kept = [h for h in histories(lengths) if len(h) >= 4]
    assert batch.targets == batch.events == sum(map(len, training_pairs(batch)))
    for history, pairs in zip(kept, training_pairs(batch), strict=True):
        past = history[:-2]
        neighbours = list(pairwise(past))
        assert 1 <= len(pairs) == min(len(neighbours), LONGEST)
        begin = neighbours.index(pairs[0])
        assert pairs == neighbours[begin : begin + len(pairs)]
        assert latest < 1 or pairs[-1] == neighbours[-1]


@given(lengths_of_rows, st.sampled_from(["train", "valid", "test", "predict"]))
def test_the_cost_is_what_a_batch_takes(lengths: list[int], split: Split) -> None:
    task = make()
    encoded = task.encode(examples(lengths), split)
    batch = task.collate(encoded, split, generator(0))
    assert int(encoded.lengths.sum()) == batch.events == batch.inputs["layout"].total  # type: ignore[union-attr]


def test_crops_reach_every_place() -> None:
    starts = {training_pairs(collated(make(latest=0.0), [12], "train", seed))[0][0][0] for seed in range(200)}
    assert starts == {1, 2, 3, 4, 5}
    assert {training_pairs(collated(make(), [12], "train", s))[0][0][0] for s in range(20)} == {5}


@given(lengths_of_rows, st.sampled_from([SHARED, OWN]), st.integers(0, 9))
def test_negatives_are_items(lengths: list[int], loss: ScoredLoss, seed: int) -> None:
    batch = collated(make(loss=loss), lengths, "train", seed)
    negatives = batch.lookups["negatives"]
    assert len(negatives) == (8 * min(batch.targets, 1) if loss is SHARED else 3 * batch.targets)
    assert ((negatives >= 1) & (negatives < ITEMS)).all()


def test_negatives_reach_the_first_and_the_last_item() -> None:
    task = make(loss=ScoredLoss(20_000, True, sampled_softmax))
    negatives = collated(task, [6], "train").lookups["negatives"]
    assert (int(negatives.min()), int(negatives.max())) == (1, ITEMS - 1)


@pytest.mark.parametrize("split", ["valid", "test", "predict"])
@given(lengths=lengths_of_rows)
def test_evaluation_sees_the_latest_items_and_leaves_out_all_seen(split: Split, lengths: list[int]) -> None:
    batch = collated(make(), lengths, split)
    held_out, shortest = {"valid": (2, 3), "test": (1, 3), "predict": (0, 1)}[split]
    kept = [h for h in histories(lengths) if len(h) >= shortest]
    past = [h[: len(h) - held_out] for h in kept]
    layout = batch.inputs["layout"]
    assert isinstance(layout, Layout)
    assert plain(Jagged(batch.lookups["history"], layout)) == [h[-LONGEST:] for h in past]
    assert plain(batch.inputs["seen"]) == past
    assert batch.targets == len(kept)
    if split != "predict":
        assert batch.inputs["target"].tolist() == [h[-held_out] for h in kept]  # type: ignore[union-attr]
    assert len(batch.lookups["negatives"]) == 0


@pytest.mark.parametrize("loss", [SHARED, OWN])
@pytest.mark.parametrize("lengths", [[], [1, 2], [4], [4, 9, 30]])
def test_loss_and_gradients_are_finite(loss: ScoredLoss, lengths: list[int]) -> None:
    """Empty micro-batches too: where a lane has run dry, its network still takes part in every collective."""
    task = make(loss=loss)
    batch = collated(task, lengths, "train")
    torch.manual_seed(0)
    table = torch.randn(ITEMS, DIM) * 0.1
    embeddings = {name: table[ids].requires_grad_() for name, ids in batch.lookups.items()}
    network = task.network()
    value = task.loss(task.forward(network, embeddings, batch), embeddings, batch)
    value.backward()
    assert value.isfinite()
    assert (value > 0) == (batch.targets > 0)
    for tensor in [*embeddings.values(), *network.parameters()]:
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert batch.targets or not tensor.grad.any()


def test_predict_gives_unseen_items_best_first() -> None:
    task = make()
    batch = collated(task, [3, 6], "predict")
    table = torch.randn(ITEMS, DIM)
    shard = TableShard("items", (0, ITEMS), (0, DIM), table, {})
    output = torch.randn(2, DIM)
    found = task.predict(output, batch, lambda name: [shard], 10)
    for row, history in enumerate(plain(batch.inputs["seen"])):
        scores = (table @ output[row]).tolist()
        best = sorted(set(range(1, ITEMS)) - set(history), key=lambda i: -scores[i])[:10]
        assert found["items"][row].tolist() == best
        assert found["scores"][row].tolist() == pytest.approx([scores[i] for i in best], rel=1e-5)


def test_evaluation_ranks_the_held_out_item() -> None:
    """Scores equal the item's id: the held-out item's rank is known."""
    task = make()
    table = torch.zeros(ITEMS, DIM)
    table[:, 0] = torch.arange(ITEMS)
    evaluation = task.evaluation(
        "test", Collective(), lambda name: [TableShard("items", (0, ITEMS), (0, DIM), table, {})]
    )
    encoded = task.encode(examples([ITEMS - 3, 4]), "test")  # targets: item ITEMS - 3, and the last item of all
    batch = task.collate(encoded.take(torch.tensor([0])), "test", generator(0))
    evaluation.update(torch.tensor([[1.0, 0, 0, 0]]), batch)
    evaluation.update(torch.zeros(0, DIM), task.collate(encoded.take(torch.arange(0)), "test", generator(0)))
    assert evaluation.result() == pytest.approx({"hr@1": 0, "ndcg@1": 0, "hr@10": 1, "ndcg@10": 0.5, "mrr": 1 / 3})
    assert evaluation.report() == {}
