import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from saccade.pipelines.errors import UserError
from saccade.pipelines.synthesize import write_histories
from saccade.pipelines.synthesize.world import World

SMALL = {"users": 150, "items": 60, "clusters": 6, "mean_length": 12, "seed": 3, "files": 3}


def read(path: Path) -> dict[int, list[int]]:
    rows = [row for file in sorted((path / "train").iterdir()) for row in pq.read_table(file).to_pylist()]
    return {row["user_id"]: row["history"] for row in rows}


def next_item(world: World, history: list[int]) -> dict[int, float]:
    """The distribution of the item after ``history``, term by term from the definition."""
    members = [[int(i) for i in cluster if i] for cluster in world.items]
    cluster_of = {item: c for c, cluster in enumerate(members) for item in cluster}
    weight = {
        item: float(world.weights[c, place]) for c, cluster in enumerate(members) for place, item in enumerate(cluster)
    }
    unseen = [[item for item in cluster if item not in history] for cluster in members]
    last = cluster_of[history[-1]]
    chance = {
        int(c): float(p) for c, p in zip(world.following[last], world.probabilities, strict=True) if unseen[int(c)]
    }
    if not chance:
        ahead = [(last + step) % len(members) for step in range(len(members))]
        chance = {next(c for c in ahead if unseen[c]): 1.0}
    return {
        item: p / sum(chance.values()) * weight[item] / sum(weight[i] for i in unseen[c])
        for c, p in chance.items()
        for item in unseen[c]
    }


@pytest.mark.parametrize(
    "sizes",
    [
        SMALL,
        {**SMALL, "items": 7, "clusters": 3, "mean_length": 7},  # clusters are used up
        {**SMALL, "items": 12, "clusters": 1, "mean_length": 6},
        {**SMALL, "items": 9, "clusters": 9, "mean_length": 8},
    ],
)
def test_best_is_what_brute_force_finds(tmp_path: Path, sizes: dict[str, int]) -> None:
    truth = write_histories(tmp_path, **sizes)
    world = World.make(sizes["items"], sizes["clusters"], sizes["seed"])
    found: Counter[str] = Counter()
    for history in read(tmp_path).values():
        for split, end in (("valid", len(history) - 2), ("test", len(history) - 1)):
            chances = next_item(world, history[:end])
            assert sum(chances.values()) == pytest.approx(1)
            rank = sum(p >= chances[history[end]] * (1 - 1e-12) for p in chances.values()) - 1
            best = sorted(chances.values(), reverse=True)[:10]
            found[f"{split}/ndcg@10"] += 1 / math.log2(rank + 2) if rank < 10 else 0
            found[f"{split}/hr@10"] += rank < 10
            found[f"expected_{split}/ndcg@10"] += sum(p / math.log2(k + 2) for k, p in enumerate(best))
            found[f"expected_{split}/hr@10"] += sum(best)
    assert truth["best"] == pytest.approx({name: total / sizes["users"] for name, total in found.items()}, abs=1e-9)


def test_rows(tmp_path: Path) -> None:
    truth = write_histories(tmp_path, **SMALL)
    histories = read(tmp_path)
    assert list(histories) == list(range(1, 151))
    assert all(len(set(history)) == len(history) >= 5 for history in histories.values())
    assert {item for history in histories.values() for item in history} == set(range(1, 61))
    assert truth["events"] == sum(map(len, histories.values()))
    assert truth["lengths"]["mean"] == pytest.approx(12, rel=0.1)
    assert json.loads((tmp_path / "truth.json").read_text()) == truth
    assert [len(pq.read_table(file)) for file in sorted((tmp_path / "train").iterdir())] == [50, 50, 50]


def test_a_seed_always_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_histories(tmp_path / name, **SMALL)
    for file in sorted((tmp_path / "a" / "train").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / "train" / file.name).read_bytes()
    write_histories(tmp_path / "b", **{**SMALL, "seed": 4})
    assert read(tmp_path / "a") != read(tmp_path / "b")


def test_files_only_cut_the_rows_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Several chunks a file, several files a chunk and several row groups.
    monkeypatch.setattr("saccade.pipelines.synthesize.chunk._CELLS", 60 * 40)
    monkeypatch.setattr("saccade.pipelines.synthesize.histories._ROW_GROUP", 16)
    truth = [write_histories(tmp_path / str(files), **{**SMALL, "files": files}) for files in (1, 7)]
    assert read(tmp_path / "1") == read(tmp_path / "7")
    assert truth[0]["best"] == truth[1]["best"]
    assert pq.read_metadata(tmp_path / "1/train/part-00000.parquet").num_row_groups == 10


def test_demo_size_leaves_something_to_learn(tmp_path: Path) -> None:
    truth = write_histories(tmp_path, users=4000, items=500, clusters=20, mean_length=30, seed=0, files=4)
    best = truth["best"]
    assert 0.3 <= best["test/ndcg@10"] <= 0.5
    for split in ("valid", "test"):  # four standard errors of a mean of values in [0, 1]
        assert best[f"{split}/ndcg@10"] == pytest.approx(best[f"expected_{split}/ndcg@10"], abs=2 / 4000**0.5)
    histories = read(tmp_path)
    popular = [item for item, _ in Counter(i for h in histories.values() for i in h[:-1]).most_common()]
    total = 0.0
    for history in histories.values():
        seen = set(history[:-1])
        top = [item for item in popular[: 10 + len(seen)] if item not in seen][:10]
        total += 1 / math.log2(top.index(history[-1]) + 2) if history[-1] in top else 0
    assert total / len(histories) < best["test/ndcg@10"] / 2


def test_replaces_its_own_and_nothing_else(tmp_path: Path) -> None:
    write_histories(tmp_path, **{**SMALL, "files": 5})
    write_histories(tmp_path, **SMALL)
    assert len(list((tmp_path / "train").iterdir())) == 3
    (tmp_path / "truth.json").unlink()
    with pytest.raises(UserError, match="holds other data"):
        write_histories(tmp_path, **SMALL)
    assert len(list((tmp_path / "train").iterdir())) == 3


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"users": 0}, "users is 0, but must be at least 1"),
        ({"clusters": 61}, "clusters is 61, but there are only 60 items"),
        ({"mean_length": 4}, "mean_length is 4, but must be 5..60"),
        ({"mean_length": 61}, "mean_length is 61, but must be 5..60"),
        ({"files": 151}, "files is 151, but there are only 150 users"),
    ],
)
def test_arguments_out_of_range(tmp_path: Path, changed: dict[str, int], expected: str) -> None:
    sizes: dict[str, Any] = {**SMALL, **changed}
    with pytest.raises(UserError, match=expected):
        write_histories(tmp_path, **sizes)
    assert not (tmp_path / "train").exists()
