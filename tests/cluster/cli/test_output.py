"""Where output goes with --json, and how tables look."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from saccade.cluster.cli.output import print_json, print_table
from saccade.cluster.cli.results import print_result


def test_everything_but_the_json_goes_to_stderr() -> None:
    script = (
        "import os, subprocess, sys\n"
        "from saccade.cluster.cli.output import quiet_stdout, print_json\n"
        "with quiet_stdout(True):\n"
        "    print('from python')\n"
        "    os.write(1, b'from a library\\n')\n"
        "    subprocess.run(['echo', 'from a child'])\n"
        "print_json({'a': 1})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == '{"a": 1}\n'
    assert sorted(done.stderr.splitlines()) == ["from a child", "from a library", "from python"]


def test_json_is_one_line_of_valid_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [float("inf"), Path("/x")], "c": {"d": None, "é\n": True}})
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert json.loads(line) == {"a": None, "b": [None, "/x"], "c": {"d": None, "é\n": True}}


def test_table_aligns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({"run": "runs/demo", "metrics": {"valid/ndcg@10": 0.5, "hr": 0.25}, "users": 12345, "none": {}})
    assert capsys.readouterr().out == (
        "run      runs/demo\nmetrics  valid/ndcg@10  0.5000\n         hr             0.2500\nusers    12,345\n"
    )


def test_result_shows_intervals_and_slices(capsys: pytest.CaptureFixture[str]) -> None:
    ranked = {"rows": 1200, "ndcg@10": 0.25}
    print_result(
        {
            "metrics": {"valid/ndcg@10": 0.5, "test/ndcg@10": 0.25, "test/mrr": None},
            "ci": {"ndcg@10": [0.2, 0.3], "mrr": [None, None]},
            "slices": {"history_length": {"1-4": ranked, "5-9": {"rows": 3, "ndcg@10": None}}},
        }
    )
    shown = capsys.readouterr().out
    assert "test/ndcg@10   0.2500  95 %: 0.2000 to 0.3000" in shown
    assert "valid/ndcg@10  0.5000\n" in shown
    assert "history length       rows    ndcg@10\n1-4                 1,200     0.2500\n" in shown
    assert "5-9                     3          –" in shown


def test_result_shows_metrics_classes_and_where_things_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text("{}")
    scores = {"precision": 0.5, "recall": 0.25, "f1-score": 1 / 3, "support": 1200}
    print_result(
        {
            "run": str(tmp_path),
            "metrics": {"test/accuracy": 0.875},
            "seconds": 12.34,
            "events_per_second": 12345.6,
            "report": {"zero": scores, "accuracy": 0.875, "macro avg": scores},
        }
    )
    shown = capsys.readouterr().out
    assert "test/accuracy  0.8750" in shown
    assert "12,345.6" in shown
    assert "zero           0.500      0.250      0.333      1,200" in shown
    assert f"in {tmp_path}: result.json" in shown
    assert f"next: saccade report {tmp_path}" in shown
