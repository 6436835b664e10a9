"""A run's W&B Report: saved on the server when online, else given as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wandb_workspaces.expr import And, Metric
from wandb_workspaces.reports.v2.interface import (
    H1,
    CodeBlock,
    Layout,
    LinePlot,
    MarkdownBlock,
    PanelGrid,
    Report,
    RunComparer,
    Runset,
)

TITLE_LENGTH = 128  # the longest that a Report takes
WIDTH, HEIGHT = 12, 8  # a panel's; a grid is 24 wide


@dataclass(frozen=True)
class Content:
    """What the report says.

    Attributes:
        title: the heading.
        description: one line below it.
        summary: facts in Markdown.
        plots: metrics by the title of the plot that shows them.
        job: the resolved job file, YAML.
    """

    title: str
    description: str
    summary: str
    plots: Mapping[str, Sequence[str]]
    job: str


def build_report(content: Content, project: str, entity: str | None, run_id: str) -> Report:
    """The report of one W&B run, with plots of it and a comparison with the project's other runs.

    Args:
        content: what it says.
        project: the run's W&B project.
        entity: its user or team; None while offline, where nothing can be looked up.
        run_id: the run's id.
    """
    # A run set that names its project asks the server about it as soon as the report is serialised.
    place = project if entity else ""
    this_run = Runset(entity or "", place, content.title, filters=And(Metric("ID") == run_id))
    all_runs = Runset(entity or "", place, "All runs of the project")
    panels: list[Any] = [
        LinePlot(title=title, x="step", y=list(metrics), layout=_cell(index))
        for index, (title, metrics) in enumerate(content.plots.items())
    ]
    comparison = RunComparer(diff_only="split", layout=Layout(x=0, y=0, w=2 * WIDTH, h=2 * HEIGHT))
    return Report(
        project=project,
        entity=entity or "",
        title=content.title[:TITLE_LENGTH],
        description=content.description,
        width="fluid",
        blocks=[
            H1("Summary"),
            MarkdownBlock(content.summary),
            H1("Curves"),
            PanelGrid(runsets=[this_run], panels=panels),
            H1("Job"),
            CodeBlock(content.job, language="yaml"),
            H1("Compared with other runs"),
            PanelGrid(runsets=[all_runs], panels=[comparison]),
        ],
    )


def save_report(content: Content, project: str, entity: str | None, run_id: str) -> str:
    """Save the report on the W&B server and give its address. Raises what wandb raises where that fails."""
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    entity = entity or wandb.Api().default_entity
    report = build_report(content, project, entity, run_id)
    report.save()
    return str(report.url)


def report_as_json(content: Content, project: str, entity: str | None, run_id: str) -> dict[str, Any]:
    """The report as the server would be sent it, made without one."""
    model = build_report(content, project, None, run_id)._to_model()
    return {
        "title": content.title[:TITLE_LENGTH],
        "description": content.description,
        "project": project,
        "entity": entity,
        "spec": json.loads(model.spec.model_dump_json(by_alias=True, exclude_none=True)),
    }


def _cell(index: int) -> Layout:
    return Layout(x=index % 2 * WIDTH, y=index // 2 * HEIGHT, w=WIDTH, h=HEIGHT)
