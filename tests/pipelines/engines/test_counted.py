"""Counted models go through the ranking of all others: their own scores come out of it."""

import torch
from tests.pipelines.tasks.test_next_item import ITEMS, examples, make
from torch import Tensor, nn

from saccade.models.jagged import Jagged
from saccade.pipelines.engines.counted import CountedEngine
from saccade.pipelines.seeds import generator


class Scores(nn.Module):
    """Scores of which some are equal, other ones for each history."""

    def forward(self, histories: Jagged) -> Tensor:
        items = torch.arange(ITEMS)
        return torch.stack([(items * 7 + n * 13) % 50 * 0.1 for n in range(len(histories))])


def test_ranks_are_those_of_the_scores_and_ties_count_against_the_model() -> None:
    task, engine = make(), CountedEngine(Scores())
    evaluation = task.evaluation("test", engine.collective, engine.shards)
    encoded = task.encode(examples([5, 30, 4]), "test")
    reciprocal = []
    for index in ([0, 1], [2]):
        batch = task.collate(encoded.take(torch.tensor(index)), "test", generator(0))
        (output,) = engine.evaluate([batch])
        evaluation.update(output, batch)
        seen, target = batch.inputs["seen"], batch.inputs["target"]
        assert isinstance(seen, Jagged)
        assert isinstance(target, Tensor)
        for scores, history, right in zip(Scores()(seen), seen.unpack(), target.tolist(), strict=True):
            others = set(range(1, ITEMS)) - set(history.tolist()) - {right}
            reciprocal.append(1 / (1 + sum(bool(scores[other] >= scores[right]) for other in others)))
    assert abs(evaluation.result()["mrr"] - sum(reciprocal) / 3) < 1e-12


def test_predictions_have_the_models_scores() -> None:
    task, engine = make(), CountedEngine(Scores())
    batch = task.collate(task.encode(examples([3, 6]), "predict"), "predict", generator(0))
    (output,) = engine.evaluate([batch])
    found = task.predict(output, batch, engine.shards, 5)
    seen = batch.inputs["seen"]
    assert isinstance(seen, Jagged)
    scores = Scores()(seen)
    assert torch.equal(found["scores"], scores.gather(1, found["items"]))
    assert (found["scores"][:, 0] == scores[:, 1:].max()).any()


def test_an_empty_micro_batch_is_no_trouble() -> None:
    task, engine = make(), CountedEngine(Scores())
    evaluation = task.evaluation("valid", engine.collective, engine.shards)
    batch = task.collate(task.encode(examples([]), "valid"), "valid", generator(0))
    engine.scorer = nn.Identity()
    engine.scorer.forward = lambda histories: torch.zeros(len(histories), ITEMS)  # type: ignore[method-assign]
    (output,) = engine.evaluate([batch])
    evaluation.update(output, batch)
    assert output.shape == (0, 0)
