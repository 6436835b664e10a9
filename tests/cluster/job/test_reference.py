"""docs/jobs.md has every key as it is."""

from pathlib import Path

from saccade.cluster.job.job import TASKS
from saccade.cluster.job.keys import key_paths
from saccade.cluster.job.reference import reference, write

DOCS = Path(__file__).parents[3] / "docs" / "jobs.md"


def test_docs_are_up_to_date(tmp_path: Path) -> None:
    copy = tmp_path / "jobs.md"
    copy.write_text(DOCS.read_text())
    write(copy)
    assert copy.read_text() == DOCS.read_text(), "run: python -m saccade.cluster.job.reference docs/jobs.md"


def test_every_key_is_in_the_reference() -> None:
    text = reference()
    for job in TASKS.values():
        for key in key_paths(job):
            assert key == "task" or f"| `{key}` |" in text
