from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.pipelines.records.history import History, read_history
from saccade.pipelines.records.tracker import Tracker


def test_log_appends_a_line_that_can_be_read_at_once(tmp_path: Path) -> None:
    seconds = iter([1.5, 3.0])
    history: Tracker = History(tmp_path / "history.jsonl", clock=lambda: next(seconds))
    history.log(10, {"train/loss": 2.5})
    first = read_history(tmp_path / "history.jsonl")
    history.log(20, {"valid/ndcg@10": 0.25})
    lines = read_history(tmp_path / "history.jsonl")
    assert first == lines[:1]
    assert [line["step"] for line in lines] == [10, 20]
    assert [line["seconds"] for line in lines] == [1.5, 3.0]
    assert lines[0]["train/loss"] == 2.5
    assert lines[1]["valid/ndcg@10"] == 0.25
    assert lines[0]["time"] > 1.6e9
    history.finish({"metrics": {}})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_numbers_that_are_not_finite_become_null(tmp_path: Path, value: float) -> None:
    history = History(tmp_path / "history.jsonl", clock=lambda: 0.0)
    history.log(1, {"train/loss": value, "train/learning_rate": np.float32(0.5)})

    def refuse(text: str) -> None:
        raise AssertionError(text)

    line = json.loads((tmp_path / "history.jsonl").read_text(), parse_constant=refuse)
    assert line["train/loss"] is None
    assert line["train/learning_rate"] == 0.5


def test_resume_drops_the_lines_past_the_step(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = History(path, clock=lambda: 4.0)
    for step in (10, 20, 20, 30):
        history.log(step, {})
    history.resume(20)
    assert [line["step"] for line in read_history(path)] == [10, 20, 20]
    assert history.seconds() == 4.0
    history.log(21, {})
    assert [line["step"] for line in read_history(path)] == [10, 20, 20, 21]
    assert list(tmp_path.iterdir()) == [path]


def test_resume_before_the_first_line(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl", clock=lambda: 0.0)
    history.resume(0)
    assert history.seconds() == 0.0
    assert not (tmp_path / "history.jsonl").exists()


LINES = st.lists(
    st.fixed_dictionaries(
        {
            "step": st.integers(0, 1000),
            "time": st.floats(0, 2e9),
            "seconds": st.floats(0, 1e6),
            "train/é": st.floats(allow_nan=False, allow_infinity=False),
        }
    ),
    max_size=5,
)


@given(lines=LINES, data=st.data())
def test_a_file_cut_anywhere_keeps_its_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, Any]], data: st.DataObject
) -> None:
    encoded = [(json.dumps(line, ensure_ascii=False) + "\n").encode() for line in lines]
    whole = b"".join(encoded)
    cut = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.mktemp("cut") / "history.jsonl"
    path.write_bytes(whole[:cut])

    ends = [sum(map(len, encoded[: index + 1])) for index in range(len(encoded))]
    expected = [line for line, end in zip(lines, ends, strict=True) if end - 1 <= cut]  # only the break may be missing
    assert read_history(path) == expected

    History(path, clock=lambda: 1.0).log(2000, {"train/loss": 1.0})
    assert [line["step"] for line in read_history(path)] == [line["step"] for line in expected] + [2000]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 1}\n{"step": \n{"step": 3}\n')
    with pytest.raises(ValueError, match=r"history\.jsonl, line 2"):
        read_history(path)
