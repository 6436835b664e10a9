"""Which of a run's numbers are drawn, and over what."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.cluster.report.charts import Chart, Points, draw
from saccade.cluster.report.run import Run

TITLES = {
    "train/loss": "training loss",
    "train/learning_rate": "learning rate",
    "train/events_per_second": "throughput, events a second",
    "train/step_seconds": "seconds a step",
    "train/gradient_norm": "norm of the gradient",
    "train/overflows": "steps skipped for an overflow of fp16",
    "train/data_wait": "share of a step spent waiting for data",
}
NOT_DRAWN = {"train/epoch"}
FROM_ZERO = {
    "train/learning_rate",
    "train/events_per_second",
    "train/step_seconds",
    "train/gradient_norm",
    "train/overflows",
    "train/data_wait",
}


@dataclass(frozen=True)
class Drawing:
    """A chart of the page: its title and its ``<svg>``, and how wide it is in pixels where it doesn't fill a column."""

    title: str
    svg: str
    width: int | None = None


def curves(run: Run) -> list[Drawing]:
    """The loss, each family of validation metrics over steps and over time, then what else was logged in training."""
    starts = run.record.get("starts") or []
    restarts = [float(start.get("step") or 0) for start in starts[1:]]
    charts = [_over_steps(run, name, restarts) for name in training_metrics(run)]
    position = 1 if charts and charts[0].title == TITLES["train/loss"] else 0
    charts[position:position] = _validation(run, restarts)
    drawn = [chart for chart in charts if any(chart.lines.values())]
    return [Drawing(chart.title, draw(chart, f"chart{index}")) for index, chart in enumerate(drawn)]


def training_metrics(run: Run) -> list[str]:
    """The names of what was logged in training steps, the loss first."""
    names = dict.fromkeys(key for line in run.history for key in line if key.startswith("train/"))
    order = list(TITLES)
    return sorted(
        (name for name in names if name not in NOT_DRAWN),
        key=lambda name: order.index(name) if name in TITLES else len(order),
    )


def validation_families(run: Run) -> dict[str, list[str]]:
    """Validation metrics by kind: those at several cut-offs (``valid/ndcg@5``, ``@10``) belong in one picture."""
    families: dict[str, list[str]] = {}
    for name in dict.fromkeys(key for line in run.evaluations for key in line if key.startswith("valid/")):
        families.setdefault(name.partition("@")[0], []).append(name)
    return families


def _over_steps(run: Run, name: str, restarts: list[float]) -> Chart:
    return Chart(
        title=TITLES.get(name, name),
        x_label="step",
        lines={name: _points(run, name, "step", 1)},
        from_zero=name in FROM_ZERO,
        smooth=name == "train/loss",
        restarts=restarts,
    )


def _validation(run: Run, restarts: list[float]) -> list[Chart]:
    unit, scale = _time_unit(run.seconds or 0.0)
    restart_seconds = [_seconds_at(run, step) / scale for step in restarts]
    best_step = (run.result or {}).get("best_step")
    best_seconds = next((line["seconds"] / scale for line in run.evaluations if line["step"] == best_step), None)
    charts = []
    for family, members in validation_families(run).items():
        by_step = {name.removeprefix("valid/"): _points(run, name, "step", 1) for name in members}
        by_time = {name.removeprefix("valid/"): _points(run, name, "seconds", scale) for name in members}
        charts.append(Chart(f"{family} by step", "step", by_step, restarts=restarts, best=best_step))
        charts.append(Chart(f"{family} by training time", unit, by_time, restarts=restart_seconds, best=best_seconds))
    return charts


def _points(run: Run, name: str, over: str, scale: float) -> Points:
    return [(line[over] / scale, float(line[name])) for line in run.history if line.get(name) is not None]


def _seconds_at(run: Run, step: float) -> float:
    return max((float(line["seconds"]) for line in run.history if line["step"] <= step), default=0.0)


def _time_unit(seconds: float) -> tuple[str, float]:
    if seconds < 180:
        return "seconds of training", 1.0
    if seconds < 3 * 3600:
        return "minutes of training", 60.0
    return "hours of training", 3600.0
