"""What ``saccade data import`` makes of recordings and texts trains."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from saccade.cluster.cli.main import run


def train(shown: str, tmp_path: Path, job: dict[str, Any]) -> None:
    """Train by the lines of a job that the import printed, with a tiny model."""
    job = yaml.safe_load(shown[shown.index("task:") :]) | job
    job |= {"run": {"name": "tiny", "storage": str(tmp_path / "runs")}, "engine": {"name": "reference"}}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    assert run(["train", str(tmp_path / "job.yaml")]) == 0


def test_a_speech_folder_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    for number in range(60):
        tone = np.sin(np.arange(1600) * (0.2, 0.9)[number % 2]) * 0.3
        soundfile.write(tmp_path / f"in/{('low', 'high')[number % 2]}_ann_{number}.wav", tone, 8000)
    arguments = ["speech_folder", tmp_path / "in", tmp_path / "data", "--valid", 0.2, "--test", 0.2]
    assert run(["data", "import", *map(str, arguments)]) == 0
    shown = capsys.readouterr().out
    model = {"dim": 8, "blocks": 1, "heads": 1, "hidden": 8}
    train(shown, tmp_path, {"model": model, "train": {"epochs": 1, "tokens": 256}})
    assert "accuracy" in capsys.readouterr().out


def test_labelled_text_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(0)
    words = {"good": ["fine", "great", "joy"], "bad": ["dull", "poor", "sad"]}
    lines = [f'"{" ".join(draw.choices(words[kind], k=6))}, {n}",{kind}\n' for n in range(60) for kind in words]
    (tmp_path / "in.csv").write_text("text,label\n" + "".join(lines))
    arguments = ["labelled_text", tmp_path / "in.csv", tmp_path / "data", "--valid", 0.2, "--test", 0.2]
    assert run(["data", "import", *map(str, arguments)]) == 0
    shown = capsys.readouterr().out
    model = {"dim": 8, "blocks": 1, "heads": 1, "hidden": 8}
    train(shown, tmp_path, {"model": model, "train": {"epochs": 1, "tokens": 256}})
    printed = capsys.readouterr().out
    assert "accuracy" in printed
    assert "good" in (tmp_path / "data/schema.json").read_text()
