"""Commands that need no training, from end to end."""

import json
from pathlib import Path

import pytest

from saccade.cluster.cli.main import run

SMALL = ["--users", "60", "--items", "40", "--clusters", "4", "--mean-length", "10", "--files", "2"]
CLUSTER_FILES = Path(__file__).parents[3] / "cluster"


def test_synthesize_then_describe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "demo")
    assert run(["data", "synthesize", folder, *SMALL, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["users"] == 60
    assert 0 < facts["best"]["test/ndcg@10"] <= 1
    assert run(["data", "describe", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert run(["data", "describe", folder]) == 0
    assert "history" in capsys.readouterr().out


def test_synthesize_prints_the_best_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "synthesize", str(tmp_path / "demo"), *SMALL]) == 0
    assert "test/ndcg@10" in capsys.readouterr().out


def test_describe_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "describe", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_validate_goes_on_after_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = CLUSTER_FILES / "ray" / "local.yaml"
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(good.read_text().replace("provider:", "provder:"))
    assert run(["cluster", "validate", str(wrong), str(good)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert str(wrong) in captured.err
    assert str(good) in captured.out
    assert run(["cluster", "validate", str(good)]) == 0
