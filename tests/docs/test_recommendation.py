"""docs/recommendation.md: its examples are jobs, and it tells of every model, loss and way of drawing negatives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from saccade.cluster.job import NextItemJob, load_job, parse_job
from saccade.cluster.job.keys import sections_in
from saccade.cluster.job.loss import SampledSoftmax
from saccade.cluster.job.model import PluginModel

DOCS = Path(__file__).parents[2] / "docs"
JOBS = DOCS.parent / "cluster" / "jobs"
TEXT = (DOCS / "recommendation.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


def names(section: str) -> list[str]:
    """What a job may call this section."""
    kinds = sections_in(NextItemJob.model_fields[section].annotation)
    return [get_args(kind.model_fields["name"].annotation)[0] for kind in kinds if kind is not PluginModel]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_are_jobs(number: int) -> None:
    example = {"data": {"path": "x"}, **yaml.safe_load(EXAMPLES[number])}
    assert parse_job({"task": "next_item", "run": {"name": "x"}, **example})


def test_every_model_loss_and_sampling_is_in_its_table() -> None:
    samplings = get_args(SampledSoftmax.model_fields["sampling"].annotation)
    for name in [*names("model"), *names("loss"), *samplings]:
        assert re.search(rf"^\| `{name}`", TEXT, flags=re.MULTILINE), name


def test_every_job_is_there() -> None:
    named = set(re.findall(r"`(ml1m_\w+\.yaml)`", TEXT))
    assert named == {path.name for path in JOBS.glob("ml1m_*.yaml")}
    for name in named:
        assert load_job(JOBS / name).task == "next_item"


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", TEXT):
        assert (DOCS / target).exists(), target
