"""docs/transforms.md: its examples run, one after the other, and its table names what there is."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any, get_args

import pyarrow.parquet as pq
import pytest
import yaml
from tests.cluster.training.program import read

from saccade.cluster.cli.main import run
from saccade.cluster.job import parse_job
from saccade.cluster.job.data import Data
from saccade.cluster.job.keys import sections_in

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "transforms.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    job: dict[str, Any] = {}
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE):
        if language == "python":
            exec(compile(block, "transforms.md", "exec"), names)
        elif language == "yaml":
            given = yaml.safe_load(block)
            task = "text_classification" if "label" in given["data"] else "next_item"
            parse_job({"task": task, **given})
            if "task" in given:
                Path("job.yaml").write_text(block)
                job = given
            elif task == "next_item":
                Path("list.yaml").write_text(yaml.safe_dump({**job, "data": given["data"], "run": {"name": "list"}}))
                assert run(["train", "list.yaml"]) == 0
        else:
            for line in block.splitlines():
                program, *arguments = shlex.split(line)
                if program == "cp":
                    shutil.copytree(*arguments[1:])
                else:
                    assert run(arguments) == 0, line
    (item, *_), *_ = pq.read_table("next.parquet")["items"].to_pylist()
    assert item.startswith("film ")
    assert pq.read_table("again.parquet").equals(pq.read_table("next.parquet"))
    facts = {
        name: read(tmp_path / "runs" / name / "run.json")["facts"]["items"] for name in ("films", "hashed", "list")
    }
    assert facts["films"] == len(pq.read_table("numbered/vocabulary.parquet")) + 1
    assert facts["hashed"] == 1001
    assert 1 < facts["list"] <= facts["films"]


def test_every_transform_is_listed() -> None:
    kinds = sections_in(Data.model_fields["transforms"].annotation, lists=True)
    table = TEXT.partition("\n## The list\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    assert listed == [get_args(kind.model_fields["name"].annotation)[0] for kind in kinds]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", TEXT):
        assert (DOCS / target).exists(), target
