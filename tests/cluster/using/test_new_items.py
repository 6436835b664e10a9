"""Items that came after training: a vocabulary that is extended, and a table that grows with it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.cluster.training.program import mistake, read
from tests.cluster.using.conftest import Films

import saccade
from saccade.cluster.cli.main import run
from saccade.cluster.using.model import open_model
from saccade.pipelines.vocabulary import Vocabulary


def test_old_films_keep_their_rows_when_new_ones_come(
    films: Films, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = [[*history, "film new", "film newer", "film new"] for history in films.histories[:150]]
    (tmp_path / "newer").mkdir()
    pq.write_table(pa.table({"films": newer}), tmp_path / "newer" / "part-0.parquet")
    kept = films.run / "artifacts" / "transform-0-lookup.parquet"
    index = ["data", "index", tmp_path / "newer", tmp_path / "grown", "--column", "films", "--extend", kept]
    assert run(list(map(str, index))) == 0
    vocabulary = tmp_path / "grown" / "vocabulary.parquet"
    old, new = Vocabulary.load(kept), Vocabulary.load(vocabulary)
    assert new.extends(old)
    assert new.values.to_pylist()[len(old) :] == ["film new", "film newer"]

    lookup = f"[{{name: lookup, column: films, to: history, file: {vocabulary}}}]"
    train = ["train", films.run.parent / "films.yaml", f"data.path={tmp_path / 'newer'}", f"run.start_from={films.run}"]
    train += ["run.name=grown", f"data.transforms={lookup}", "train.epochs=1", f"run.storage={tmp_path}"]
    assert run(list(map(str, train))) == 2
    assert "tables.items.grow=true" in capsys.readouterr().err.splitlines()[-1]
    # A rate of almost nothing shows what the run begins with.
    still = ["optimizer.learning_rate=1e-30", "tables.items.optimizer.learning_rate=1e-30"]
    assert run(list(map(str, [*train, "tables.items.grow=true", "--fresh", *still]))) == 0
    torch.set_num_threads(1)
    assert read(tmp_path / "grown" / "run.json")["facts"]["items"] == len(new) + 1
    before, after = (open_model(path).weights.tables["items"] for path in (films.run, tmp_path / "grown"))
    torch.testing.assert_close(after[: len(before)], before, rtol=0, atol=1e-6)
    assert after.shape[0] == before.shape[0] + 2

    model = saccade.load(tmp_path / "grown")
    (items,) = model.recommend([["film 1"]], 60).items
    assert {"film new", "film newer"} < set(items)

    # The grown run is resumed with the vocabulary that it has, and with a larger one, but not with another.
    assert run(list(map(str, [*train, "tables.items.grow=true", *still]))) == 0
    (tmp_path / "other").mkdir()
    wrong = lookup.replace("grown", "other")
    shuffled = Vocabulary(new.values.take(pa.array(range(len(new) - 1, -1, -1))), new.counts)
    shuffled.save(tmp_path / "other" / "vocabulary.parquet")
    again = [each if not str(each).startswith("data.transforms") else f"data.transforms={wrong}" for each in train]
    message = mistake(*again, "run.name=wrong", "tables.items.grow=true")
    assert "numbers values otherwise than the vocabulary that the model was trained with" in message


def test_what_training_never_saw(films: Films, tmp_path: Path) -> None:
    """Row 0 stands for it: it is looked up, never recommended, and missed where it is what was to be found."""
    pq.write_table(pa.table({"films": [["film 1", "nobody knows this"]]}), tmp_path / "new.parquet")
    output = tmp_path / "next.parquet"
    given = ["recommend", films.run, "--data", tmp_path / "new.parquet", "--output", output, "--top-k", 100]
    assert run(list(map(str, given))) == 0
    (items,) = pq.read_table(output)["items"].to_pylist()
    assert None not in items
    last = [[*history, "nobody knows this"] for history in films.histories]
    pq.write_table(pa.table({"films": last}), tmp_path / "last.parquet")
    assert run(["evaluate", str(films.run), f"data.path={tmp_path / 'last.parquet'}", "evaluate.ks=[10]"]) == 0
    torch.set_num_threads(1)
    assert read(films.run / "evaluations" / "test.json")["metrics"]["test/hr@10"] == 0.0
