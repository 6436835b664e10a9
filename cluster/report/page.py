"""The report as one HTML file that needs nothing but itself."""

from __future__ import annotations

import time
from pathlib import Path

import jinja2

from saccade.cluster.report.run import Run, load_run
from saccade.cluster.report.sections import headline, sections
from saccade.cluster.report.text import number
from saccade.pipelines.errors import UserError
from saccade.pipelines.records.record import replace_text


def write_report(run: Path, output: Path | None = None) -> Path:
    """Write a run's page from the run's own files.

    Args:
        run: the run's folder; the run may still be going, or have been stopped.
        output: the file to write; None for ``report.html`` in the run's folder.

    Returns:
        The file.

    Raises:
        UserError: ``run`` isn't the folder of a run, or the output can't be written.
    """
    output = output or run / "report.html"
    page = render(load_run(run))
    try:
        replace_text(output, page)
    except OSError as error:
        raise UserError(f"can't write the report to {output}: {error.strerror}") from error
    return output


def render(run: Run) -> str:
    """The page's HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(
        run=run,
        status=_status(run),
        subtitle=_subtitle(run),
        tiles=headline(run),
        sections=sections(run),
        written=time.strftime("%Y-%m-%d %H:%M"),
    )


def _status(run: Run) -> str:
    at = f"at step {number(run.step)}"
    return {
        "complete": "complete",
        "running": f"running, {at}",
        "stopped": f"stopped {at}",
        "failed": f"failed {at}",
    }[run.state]


def _subtitle(run: Run) -> list[tuple[str, str]]:
    commit = run.record.get("git_commit")
    changed = " + changes" if run.record.get("git_dirty") else ""
    workers = (run.record.get("starts") or [{}])[-1].get("workers")
    return [
        (label, value)
        for label, value in (
            ("task", str(run.record.get("task") or "")),
            ("workers", str(workers or "")),
            ("commit", f"{commit[:10]}{changed}" if commit else ""),
            ("wandb run", str(run.record.get("wandb_id") or "")),
        )
        if value
    ]
