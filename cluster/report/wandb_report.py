"""A run's report on Weights & Biases."""

from __future__ import annotations

from pathlib import Path

from saccade.cluster.report.curves import TITLES, training_metrics, validation_families
from saccade.cluster.report.run import Run, load_run
from saccade.cluster.report.sections import headline
from saccade.cluster.report.text import number, size
from saccade.pipelines.errors import UserError
from saccade.pipelines.records.record import write_json
from saccade.plugins.wandb.mode import choose_mode


def publish_report(run: Path) -> str:
    """Save a run's W&B Report, or write it to ``wandb_report.json`` in the run's folder when offline.

    Online means the same as for tracking: by the job's ``wandb.mode``, and with ``auto`` by WANDB_MODE and the API key.

    Args:
        run: the run's folder.

    Returns:
        The report's address when online, else the path of the file.

    Raises:
        UserError: ``run`` isn't the folder of a run, it has no W&B id, or the server can't be used.
    """
    loaded = load_run(run)
    run_id = loaded.record.get("wandb_id")
    if not run_id:
        raise UserError(f"{run / 'run.json'} has no wandb_id: the run was not tracked by wandb")
    job = loaded.job.get("wandb") or {}
    project, entity = str(job.get("project") or "saccade"), job.get("entity")
    online = choose_mode(str(job.get("mode") or "auto")) == "online"

    from saccade.plugins.wandb.report import Content, report_as_json, save_report

    content = Content(
        title=loaded.name,
        description=f"{loaded.record.get('task', '')} · {loaded.state} at step {number(loaded.step)}",
        summary=_summary(loaded),
        plots=_plots(loaded),
        job=loaded.job_text,
    )
    if online:
        try:
            return save_report(content, project, entity, str(run_id))
        except Exception as error:  # wandb raises many kinds, its own and those of its transport
            reason = " ".join(str(error).split())
            raise UserError(
                f"W&B did not take the report ({reason}): WANDB_MODE=offline writes it to a file"
            ) from error
    path = run / "wandb_report.json"
    write_json(path, report_as_json(content, project, entity, str(run_id)))
    return str(path)


def _plots(run: Run) -> dict[str, list[str]]:
    names = training_metrics(run)
    loss = {TITLES[name]: [name] for name in names if name == "train/loss"}
    return loss | validation_families(run) | {TITLES.get(name, name): [name] for name in names if name != "train/loss"}


def _summary(run: Run) -> str:
    data = run.record.get("data") or {}
    facts = [(f"**{tile.label}**", f"**{tile.value}**") for tile in headline(run)]
    facts += [
        ("commit", number(run.record.get("git_commit"))),
        ("data", f"{data.get('path', '')} ({number(data.get('rows'))} rows, {size(data.get('bytes'))})"),
        ("data fingerprint", number(data.get("fingerprint"))),
    ]
    facts += [(f"parameters, {part}", number(count)) for part, count in (run.record.get("parameters") or {}).items()]
    rows = [f"| {label} | {value.replace('|', '/')} |" for label, value in facts]
    return "\n".join(["| | |", "|---|---|", *rows])
