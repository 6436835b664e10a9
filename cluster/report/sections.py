"""A run as sections of a page: words, numbers and charts, without their looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from saccade.cluster.report.attention import FILE, FOLDER
from saccade.cluster.report.curves import Drawing, curves
from saccade.cluster.report.pictures import draw_heat_map
from saccade.cluster.report.run import Run, is_evaluation
from saccade.cluster.report.text import duration, metric, number, size

PICTURES = 24
"""Heat maps that the page shows at most; each takes some 40 kB of it."""


@dataclass(frozen=True)
class Tile:
    """One number of the headline."""

    label: str
    value: str


@dataclass(frozen=True)
class Table:
    """Rows of text; the first ``texts`` columns are words, the rest numbers. The last ``totals`` rows are sums."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1
    totals: int = 0


@dataclass(frozen=True)
class Section:
    """One part of the page. ``notes`` say what is missing or how to read it; ``folded`` texts open at a click.

    ``charts`` fill columns of one width; ``pictures`` have their own.
    """

    title: str
    notes: Sequence[str] = ()
    charts: Sequence[Drawing] = ()
    pictures: Sequence[Drawing] = ()
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    folded: Sequence[tuple[str, str]] = ()


def headline(run: Run) -> list[Tile]:
    """The few numbers that matter most: metrics of the test split (or of the validation), loss, speed, time."""
    names = [name for name in run.metrics if name.startswith("test/")] or list(run.metrics)
    names.sort(
        key=lambda name: name.partition("/")[2] != run.selected
    )  # the selected one first, the others as they are
    tiles = [Tile(name, metric(run.metrics[name])) for name in names[:3]]
    losses = [line["train/loss"] for line in run.history if line.get("train/loss") is not None]
    if losses:
        tiles.append(Tile("train/loss", metric(float(losses[-1]))))
    speed = _events_per_second(run)
    if speed is not None:
        tiles.append(Tile("events a second", f"{speed:,.0f}"))
    if run.seconds is not None:
        tiles.append(Tile("training time", duration(run.seconds)))
    return tiles


def sections(run: Run) -> list[Section]:
    """All parts of the page, in order."""
    return [
        _curves(run),
        _metrics(run),
        *_ranking(run),
        *_classification(run),
        *_attention(run),
        _data(run),
        _model(run),
        _time(run),
        Section("Job", folded=[("The resolved job file", run.job_text)]),
        _environment(run),
    ]


def _curves(run: Run) -> Section:
    if not run.history:
        return Section("Curves", notes=["No step has been logged yet."])
    notes = []
    if not run.evaluations:
        notes.append("This run has logged no validation, so there are no validation curves.")
    if len(run.record.get("starts") or []) > 1:
        notes.append("Dotted lines: the run was resumed there.")
    if run.evaluations and (run.result or {}).get("best_step") is not None:
        notes.append("Ring: the best evaluation.")
    return Section("Curves", notes=notes, charts=curves(run))


def _metrics(run: Run) -> Section:
    notes, tables = [], []
    values = run.metrics
    splits = [split for split in ("valid", "test") if any(key.startswith(split + "/") for key in values)]
    names = list(dict.fromkeys(key.partition("/")[2] for key in values if key.partition("/")[0] in splits))
    if names:
        heads = ["metric", *(_split_title(run, split) for split in splits)]
        rows = [[name, *(metric(values.get(f"{split}/{name}")) for split in splits)] for name in names]
        tables.append(Table("", heads, rows))
    if not run.result:
        notes.append("There is no result.json: the run has not ended, so the test split was not evaluated.")
    if not run.evaluations:
        notes.append("No validation metrics were logged.")
    if len(run.evaluations) > 1:
        logged = list(dict.fromkeys(key for line in run.evaluations for key in line if key.startswith("valid/")))
        heads = ["step", "training time", *logged]
        rows = [
            [number(line["step"]), duration(line.get("seconds")), *(metric(line.get(key)) for key in logged)]
            for line in run.evaluations
        ]
        tables.append(Table("Every evaluation", heads, rows, texts=0))
    return Section("Metrics", notes=notes, tables=tables)


def _ranking(run: Run) -> list[Section]:
    """Bootstrap intervals and slices, of the split that was measured at the end."""
    result = run.result or {}
    intervals, slices = result.get("ci") or {}, result.get("slices") or {}
    split = "test" if any(name.startswith("test/") for name in run.metrics) else "valid"
    tables = []
    if intervals:
        rows = [
            [name, metric(run.metrics.get(f"{split}/{name}")), metric(low), metric(high)]
            for name, (low, high) in intervals.items()
        ]
        tables.append(Table("95 % bootstrap intervals over users", ["metric", split, "from", "to"], rows))
    for by, found in slices.items():
        names = list(dict.fromkeys(name for values in found.values() for name in values))
        rows = [[part, *(metric(values.get(name)) for name in names)] for part, values in found.items()]
        tables.append(Table(f"By {by.replace('_', ' ')}", ["", *names], rows))
    return [Section(f"Slices and intervals, {split}", tables=tables)] if tables else []


def _split_title(run: Run, split: str) -> str:
    if split == "valid" and not run.result and run.evaluations:
        return f"valid, at step {number(run.evaluations[-1]['step'])}"
    return split


def _classification(run: Run) -> list[Section]:
    """scikit-learn's report: a row a label, then the averages; accuracy has a single value."""
    report = (run.result or {}).get("report")
    if not isinstance(report, dict):
        return []
    names = {str(index): str(name) for index, name in enumerate((run.result or {}).get("label_names") or [])}
    rows = []
    for key, values in report.items():
        label = names.get(str(key), str(key))
        if isinstance(values, dict):
            scores = [metric(values.get(score)) for score in ("precision", "recall", "f1-score")]
            rows.append([label, *scores, number(values.get("support"))])
        else:
            rows.append([label, "", "", metric(values), ""])
    table = Table("", ["label", "precision", "recall", "F1", "rows"], rows)
    return [Section("Classification report", tables=[table])]


def _attention(run: Run) -> list[Section]:
    """Heat maps of a few rows, where the run or `saccade explain` has left some."""
    found = run.attention
    if found is None or not found.maps:
        return []
    notes = [
        f"A few rows of the {found.split} split, with the checkpoint at step {number(found.step)}. Each row of a "
        "picture is a query, each column a key. Full colour is the head's largest weight, which stands above it; "
        "colour goes with the square root of the weight, and weights below zero are orange."
    ]
    if len(found.maps) > PICTURES:
        notes.append(f"{len(found.maps) - PICTURES} more are in {FOLDER}/{FILE} in the run's folder.")
    pictures = [draw_heat_map(one, f"map{index}") for index, one in enumerate(found.maps[:PICTURES])]
    return [Section("Attention", notes=notes, pictures=pictures)]


def _data(run: Run) -> Section:
    data = run.record.get("data") or {}
    if not data:
        return Section("Data", notes=["run.json says nothing about the data."])
    facts = [
        ("path", number(data.get("path"))),
        ("files", number(data.get("files"))),
        ("rows", number(data.get("rows"))),
        ("size", size(data.get("bytes"))),
        ("fingerprint", number(data.get("fingerprint"))),
    ]
    facts += [(key, number(value)) for key, value in data.items() if key not in _DATA_KEYS]
    columns = [[str(name), str(kind)] for name, kind in (data.get("columns") or {}).items()]
    return Section("Data", facts=facts, tables=[Table("", ["column", "type"], columns, texts=2)] if columns else [])


_DATA_KEYS = ("path", "files", "rows", "bytes", "fingerprint", "columns")


def _model(run: Run) -> Section:
    parameters = run.record.get("parameters") or {}
    engine = dict(run.record.get("engine") or {})
    plan = engine.pop("plan", None) or []
    facts = [(f"parameters, {part}", number(count)) for part, count in parameters.items()]
    facts += [(f"engine, {key}", value) for key, value in _flat(engine)]
    if not plan:
        note = "No table plan was recorded: the model has no embedding tables, or the run had not started."
        return Section("Model and engine", notes=[note], facts=facts)
    rows = [
        [*(number(row.get(key)) for key in ("table", "sharding", "rank", "rows", "dim")), size(row.get("bytes"))]
        for row in plan
    ]
    ranks: dict[str, int] = {}
    for row in plan:
        ranks[number(row.get("rank"))] = ranks.get(number(row.get("rank")), 0) + int(row.get("bytes") or 0)
    totals = [["all tables", "", rank, "", "", size(total)] for rank, total in ranks.items()] if len(plan) > 1 else []
    heads = ["table", "sharding", "rank", "rows", "dim", "size"]
    table = Table("Tables, as they lie on the ranks", heads, rows + totals, texts=2, totals=len(totals))
    return Section("Model and engine", facts=facts, tables=[table])


def _time(run: Run) -> Section:
    facts = [("training", duration(run.seconds))]
    if run.history:
        logged = float(run.history[-1]["time"]) - float(run.history[0]["time"])
        facts.append(("first to last logged step, by the clock", duration(logged)))
    evaluating = _evaluation_seconds(run)
    if evaluating is not None:
        facts.append((f"of it, {len(run.evaluations)} evaluations", duration(evaluating)))
    facts.append(("steps", number(run.step)))
    for key in ("epochs", "best_step"):
        if (run.result or {}).get(key) is not None:
            facts.append((key.replace("_", " "), number((run.result or {})[key])))
    facts.append(("events a second", number(_events_per_second(run))))
    if (run.result or {}).get("data_wait") is not None:
        facts.append(("share of the time spent waiting for data", f"{(run.result or {})['data_wait']:.1%}"))
    starts = run.record.get("starts") or []
    rows = [
        ["resumed" if index else "start", *(number(start.get(key)) for key in ("time", "step", "workers"))]
        for index, start in enumerate(starts)
    ]
    table = Table("Starts", ["", "time", "from step", "workers"], rows, texts=2)
    return Section("Time", facts=facts, tables=[table] if rows else [])


def _environment(run: Run) -> Section:
    environment = dict(run.record.get("environment") or {})
    if not environment:
        return Section("Environment", notes=["run.json says nothing about the machine."])
    packages = environment.pop("packages", None) or {}
    facts = _flat(environment)
    rows = [[str(name), str(version)] for name, version in packages.items()]
    return Section(
        "Environment", facts=facts, tables=[Table("", ["package", "version"], rows, texts=2)] if rows else []
    )


def _flat(values: dict[str, Any]) -> list[tuple[str, str]]:
    facts = []
    for key, value in values.items():
        if isinstance(value, dict):
            facts += [(f"{key}, {inner}", text) for inner, text in _flat(value)]
        else:
            facts.append((str(key).replace("_", " "), number(value)))
    return facts


def _events_per_second(run: Run) -> float | None:
    if run.result and run.result.get("events_per_second") is not None:
        return float(run.result["events_per_second"])
    values = sorted(line["train/events_per_second"] for line in run.history if line.get("train/events_per_second"))
    return float(values[len(values) // 2]) if values else None


def _evaluation_seconds(run: Run) -> float | None:
    """Clock time from the line before each evaluation to its own, less the training between them."""
    total = 0.0
    for before, line in pairwise(run.history):
        if is_evaluation(line):
            total += max(0.0, (line["time"] - before["time"]) - (line["seconds"] - before["seconds"]))
    return total if run.evaluations else None
