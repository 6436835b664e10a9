"""The plug-ins and jobs of the documentation work as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from saccade.cluster.job import parse_job
from saccade.cluster.job.yaml_text import parse_yaml
from saccade.cluster.parts.check import check_parts
from saccade.models.registry import entries

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "plugins.md").read_text()


def test_the_example_of_the_page_of_jobs() -> None:
    (model,) = re.findall(r"^```yaml\n(model:.*?)^```", (DOCS / "jobs.md").read_text(), re.DOTALL | re.MULTILINE)
    check_parts(parse_job(parse_yaml(f"task: next_item\ndata: {{path: x}}\n{model}")))


def test_the_page_of_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
    Path("my_attention.py").write_text(code)
    jobs = [parse_job(parse_yaml(text)) for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)]
    assert len(jobs) == 2
    for job in jobs:
        check_parts(job)
    names = set(re.findall(r'^@register\("\w+", "(\w+)"\)', PAGE, re.MULTILINE))
    assert names == {entry.name for entry in entries() if entry.package == "my_attention"}
    bent = {**jobs[0].model_dump(mode="json"), "model": {"attention": {"score": "bent"}}}
    check_parts(parse_job(bent))
