"""docs/recommending.md: it runs from top to bottom."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from tests.cluster.training.program import read

from saccade.cluster.cli.main import run
from saccade.cluster.cli.recommend import recommend
from saccade.pipelines.checkpoint.reader import CheckpointReader

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "recommending.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE):
        if language == "yaml":
            Path("job.yaml").write_text(block)
        elif language == "python":
            exec(compile(block, "recommending.md", "exec"), names)
        else:
            for line in block.splitlines():
                program, *arguments = shlex.split(line)
                if program == "saccade":
                    assert run(arguments) == 0, line
                    torch.set_num_threads(1)
    one, parts = pq.read_table("next.parquet"), pq.read_table("next")
    assert parts["items"].to_pylist() == [items[:10] for items in one["items"].to_pylist()]
    assert all(film % 2 == 0 for items in pq.read_table("comedies.parquet")["items"].to_pylist() for film in items)
    assert names["items"] == names["best"].items
    first, second = (read(tmp_path / "runs" / name / "run.json")["facts"]["items"] for name in ("first", "second"))
    assert second == first + 2
    (checkpoint, *_) = sorted((tmp_path / "runs" / "second" / "checkpoints").iterdir())
    assert CheckpointReader(checkpoint).table_rows("items") == second


def test_options_are_those_of_the_commands() -> None:
    known = {flag for parameter in recommend.params for flag in parameter.opts} | {"--column", "--extend"}
    used = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", TEXT))
    assert used - {"--users", "--items"} <= known


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", TEXT):
        assert (DOCS / target).exists(), target
