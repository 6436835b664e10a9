"""``saccade data import``: what it prints, and that what it writes trains."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import yaml

from saccade.cluster.cli.main import run

TITLES = "".join(f"{item}::Film {item} (1999)::Drama|Comedy\n" for item in range(1, 31))


@pytest.fixture
def movielens(tmp_path: Path) -> Path:
    """ml-1m, but small: each film is followed by the next one."""
    folder = tmp_path / "ml-tiny"
    folder.mkdir()
    random_ = random.Random(0)
    lines = []
    for user in range(1, 41):
        first = random_.randrange(30)
        for step in range(random_.randrange(6, 15)):
            lines.append(f"{user}::{(first + step) % 30 + 1}::{random_.randrange(1, 6)}::{978300000 + 60 * step}\n")
    random_.shuffle(lines)
    (folder / "ratings.dat").write_text("".join(lines))
    (folder / "movies.dat").write_text(TITLES)
    return folder


def test_import_describe_train(movielens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "data"
    assert run(["data", "import", "movielens", str(movielens), str(out)]) == 0
    shown = capsys.readouterr().out
    assert f"`saccade data describe {out}`" in shown
    assert "users" in shown
    assert run(["data", "describe", str(out)]) == 0
    job = yaml.safe_load(shown[shown.index("task:") :])
    job |= {
        "run": {"name": "tiny", "storage": str(tmp_path / "runs")},
        "engine": {"name": "reference"},
        "model": {"name": "sasrec", "dim": 8, "blocks": 1, "heads": 1, "hidden": 8},
        "train": {"epochs": 1, "tokens": 256},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    assert run(["train", str(tmp_path / "job.yaml")]) == 0
    assert "ndcg" in capsys.readouterr().out


def test_json_and_rejects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "a.csv"
    source.write_text("user_id,item_id\n" + "a,x\n" + "bad\n" * 8)
    assert run(["data", "import", "csv", str(source), str(tmp_path / "out"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["rejected"] == 8
    assert printed.err.count("rejected: ") == 6
    assert f"{source} line 3: 1 column instead of 2: 'bad'" in printed.err
    assert "rejects.jsonl" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["csv", "SRC", "OUT", "--strict"], "line 3: 1 column instead of 2"),
        (["csv", "SRC", "FULL"], "has something in it"),
        (["csv", "SRC", "OUT", "--user", "usr_id"], "did you mean 'user_id'"),
        (["csv", "NONE", "OUT"], "no such file"),
        (["cvs", "SRC", "OUT"], "did you mean 'csv'"),
        (["csv", "SRC", "OUT", "--duplicates", "some"], "'some' is not one of"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "SRC").write_text("user_id,item_id\na,x\nbad\n")
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "file").write_text("data")
    paths = {name: str(tmp_path / name) for name in ("SRC", "OUT", "FULL", "NONE")}
    assert run(["data", "import", *(paths.get(word, word) for word in arguments)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert not (tmp_path / "OUT").exists()
