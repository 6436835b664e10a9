"""``saccade.load``: a model to call from Python."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.cluster.using.conftest import Films

import saccade
from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.inference.recommender import Recommender


@pytest.fixture(scope="module")
def model(films: Films) -> Recommender:
    return saccade.load(films.run)


def test_recommendations_are_the_best_by_brute_force(films: Films, model: Recommender) -> None:
    network, table = model._weights.network, model._weights.tables["items"]
    (step,) = model._rows.transforms.steps
    names: Any = step.transform.vocabulary.values.to_pylist()  # type: ignore[attr-defined]
    found = model.recommend(films.histories, 7)
    assert len(found) == len(films.histories)
    for history, items, scores in zip(films.histories, found.items, found.scores, strict=True):
        ids = torch.tensor([names.index(film) + 1 for film in history])
        with torch.no_grad():
            expected = table @ network(Jagged.pack([table[ids[-12:]]]))[-1]
        expected[[0, *ids.tolist()]] = -torch.inf
        assert len(items) == min(7, len(names) - len(set(history)))
        assert not set(items) & set(history)
        torch.testing.assert_close(torch.tensor(scores), expected.topk(len(items)).values, rtol=0, atol=1e-4)
        places = [names.index(item) + 1 for item in items]
        torch.testing.assert_close(torch.tensor(scores), expected[places], rtol=0, atol=1e-4)


@pytest.mark.parametrize("form", ["checkpoint", "exported", "file"])
def test_every_form_of_a_model_answers_alike(films: Films, model: Recommender, form: str) -> None:
    checkpoint = sorted((films.run / "checkpoints").iterdir())[-1]
    path = {"checkpoint": checkpoint, "exported": films.exported, "file": films.exported / "model.safetensors"}[form]
    other = saccade.load(str(path))
    if form == "checkpoint":
        assert len(other.recommend(films.histories[:3], 2)) == 3
    else:
        assert other.recommend(films.histories, 5).table.equals(model.recommend(films.histories, 5).table)


def test_the_choice_of_items(films: Films, model: Recommender) -> None:
    some = ["film 3", "film 5", "film 7"]
    for history, answer in zip(films.histories, model.recommend(films.histories, allowed=some).items, strict=True):
        assert set(answer) == set(some) - set(history)
    for answer in model.recommend(films.histories, allowed=some, exclude_seen=False).items:
        assert set(answer) == set(some)


def test_embeddings_and_scores_go_together(films: Films, model: Recommender) -> None:
    best = model.recommend(films.histories[:20], 3)
    for row, (items, scores) in enumerate(zip(best.items, best.scores, strict=True)):
        scored = model.score([films.histories[row]], items)
        torch.testing.assert_close(scored[0], torch.tensor(scores), rtol=0, atol=1e-4)
    assert model.embed(films.histories[:20]).shape == (20, 16)


def test_histories_of_every_sort(films: Films, model: Recommender) -> None:
    lists = films.histories[:10]
    expected = model.recommend(lists, 4).table
    table = pq.read_table(films.data).slice(0, 10)
    assert model.recommend(table, 4).table.equals(expected)
    assert model.recommend(table.combine_chunks().to_batches()[0], 4).table.equals(expected)
    assert model.recommend([tuple(films) for films in lists], 4).table.equals(expected)
    assert model.recommend([], 4).items == []
    assert model.recommend([[], lists[0], []], 4).items == [[], expected["items"].to_pylist()[0], []]
    assert model.embed([[], lists[0]])[0].isnan().all()
    assert model.score([[]], ["film 1"]).isnan().all()


def test_unknown_items(model: Recommender) -> None:
    known = ["film 1", "film 2"]
    with pytest.raises(UserError, match="history 1: the model doesn't know the item 'film 999'; unknown='zero' or"):
        model.recommend([known, ["film 1", "film 999"]], unknown="error")
    dropped = model.recommend([["film 1", "film 999", "film 2"], ["film 999"]], unknown="drop")
    assert dropped.items[0] == model.recommend([known]).items[0]
    assert dropped.items[1] == []
    zero = model.recommend([["film 999"]])
    assert len(zero.items[0]) == 10
    with pytest.raises(UserError, match="doesn't know the item 'film 999'"):
        model.recommend([known], allowed=["film 1", "film 999"])


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        (["film 1"], "histories must be a list with a list of items for each user"),
        ("film 1", "histories must be a list with a list"),
        ([[1, 2]], "the vocabulary holds strings, but the column integers"),
        ([[1, "film 1"]], "all integers or all strings"),
        (pa.table({"history": [["film 1"]]}), "the table has no column 'films': this model reads films"),
        ([[None, "film 1"]], "history 0: column 'history' has a null"),
    ],
)
def test_what_is_no_history(model: Recommender, histories: Any, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        model.recommend(histories)


def test_threads_share_a_model(films: Films, model: Recommender) -> None:
    expected = model.recommend(films.histories, 5).table
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: model.recommend(films.histories, 5).table, range(8)):
            assert found.equals(expected)


def test_nothing_is_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="doesn't exist"):
        saccade.load(tmp_path / "none")
