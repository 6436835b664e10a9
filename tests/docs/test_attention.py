"""docs/attention.md: its examples run, its tables name what there is, and its generated parts are as they are made."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner

from saccade.cluster.cli.explain import explain
from saccade.cluster.job import parse_job
from saccade.cluster.parts.options import options_of
from saccade.cluster.training.networks import network_of
from saccade.models.attention.backends.choose import BACKENDS
from saccade.models.registry import Kind, entries
from saccade.plugins.discovery import load_installed

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "attention.md").read_text(encoding="utf-8")
SECTIONS: dict[Kind, str] = {
    "score": "Scores",
    "normalizer": "Normalizers",
    "mask": "Masks",
    "position": "Positions",
    "block": "Blocks",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_examples_run() -> None:
    """One after the other, as a reader would type them."""
    torch.manual_seed(0)
    names: dict[str, object] = {}
    for number, block in enumerate(blocks("python")):
        exec(compile(block, f"example {number} of attention.md", "exec"), names)
    assert len(blocks("python")) > 4


def test_the_job_file_builds_a_network() -> None:
    (text,) = blocks("yaml")
    load_installed()
    job = parse_job({"task": "next_item", "data": {"path": "x"}, "run": {"name": "x"}, **yaml.safe_load(text)})
    assert "Cosine" in str(network_of(job)())


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_part_is_listed_with_its_options(kind: Kind) -> None:
    load_installed()
    text = section(SECTIONS[kind])
    for entry in entries(kind):
        if entry.package != "saccade":
            continue
        assert f"`{entry.name}`" in text
        if kind != "block":
            (line,) = [line for line in text.splitlines() if line.startswith(f"| `{entry.name}` |")]
            for option in options_of(entry):
                assert f"`{option}`" in line, f"option {option} of {kind} {entry.name}"


def test_every_backend_is_listed_in_the_order_in_which_they_are_tried() -> None:
    assert re.findall(r"^\| `(\w+)` \| (?:CUDA|any)", section("Backends"), flags=re.MULTILINE) == list(BACKENDS)


def test_the_options_of_explain_are_its_own() -> None:
    help_text = CliRunner().invoke(explain, ["--help"]).output
    for option in set(re.findall(r"`(--\w+)", section("Where it looks"))):
        assert option in help_text


def test_the_picture_of_normalizers_can_be_made_anew(tmp_path: Path) -> None:
    script = runpy.run_path(str(DOCS / "images" / "normalizers.py"))
    load_installed()
    assert set(script["ORDER"]) == {entry.name for entry in entries("normalizer") if entry.package == "saccade"}
    script["draw"](tmp_path / "made.svg")
    for picture in (tmp_path / "made.svg", *(DOCS / "images").glob("*.[sp][vn]g")):
        assert picture.stat().st_size < 60_000


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", TEXT):
        assert (DOCS / target).exists(), target
