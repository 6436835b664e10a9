"""Folders of runs as training leaves them, to make reports of."""

from __future__ import annotations

import json
import math
import random
import time
from pathlib import Path
from typing import Any

from saccade.cluster.report.attention import HeatMap, HeatMaps

JOB = """\
run: {name: demo, storage: runs, workers: 2, seed: 0}
data: {path: data/behaviour, max_length: 50}
task: next_item
model: {name: sasrec, dim: 64, blocks: 2, heads: 1}
evaluate: {every: 1, ks: [5, 10, 20], select: valid/ndcg@10}
train: {epochs: 20, micro_batches: 4, tokens: 4096, precision: fp32, log_every: 5}
"""


def write_run(folder: Path, steps: int = 1000, name: str = "demo", validation: bool = True, ended: bool = True) -> Path:
    """A ranking run of 20 epochs with two restarts; ``steps`` were logged, an evaluation every 50."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.yaml").write_text(JOB)
    _write(folder / "run.json", record(name, steps))
    generator, lines, now, seconds = random.Random(0), [], 1.77e9, 0.0
    for step in range(5, steps + 1, 5):
        now, seconds = now + 2.0, seconds + 2.0
        if step == 300:
            now += 90.0  # killed, and back
        lines.append(_training(step, now, seconds, generator))
        if validation and step % 50 == 0:
            now += 4.0
            lines.append({"step": step, "time": now, "seconds": seconds} | _ranking("valid", step, generator))
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if ended:
        metrics = (_ranking("valid", 800, generator) if validation else {}) | _ranking("test", 800, generator)
        totals = {"seconds": seconds, "events_per_second": 51234.5, "epochs": 20, "steps": steps}
        best = {"best_step": 800} if validation else {}
        _write(folder / "result.json", {"run": str(folder), "metrics": metrics, **totals, **best})
    return folder


def write_progress(folder: Path, phase: str, age: float, step: int = 500) -> None:
    """The run's last sign of life, ``age`` seconds ago."""
    progress = {"phase": phase, "step": step, "epoch": 10, "epochs": 20, "fraction": 0.5, "time": time.time() - age}
    _write(folder / "progress.json", progress)


def add_classification(folder: Path) -> list[str]:
    """Turn the run's result into that of a classification; gives the names of the labels."""
    names = ["abbreviation", "entity", "description", "human", "location", "number"]
    scores = {"precision": 0.91, "recall": 0.88, "f1-score": 0.895, "support": 83.0}
    report: dict[str, Any] = {str(index): scores for index in range(len(names))}
    report |= {
        "accuracy": 0.8925,
        "macro avg": scores | {"support": 500.0},
        "weighted avg": scores | {"support": 500.0},
    }
    result = json.loads((folder / "result.json").read_text())
    result |= {"metrics": {"valid/accuracy": 0.9, "test/accuracy": 0.8925}, "report": report, "label_names": names}
    _write(folder / "result.json", result)
    return names


def heat_map_of(row: int = 0, heads: int = 2, tokens: int = 5, names: str = "item") -> HeatMap:
    """Causal weights that fall with the distance."""
    weights = [
        [[max(0.0, 1 / (1 + i - j) - 0.1 * head) if j <= i else 0.0 for j in range(tokens)] for i in range(tokens)]
        for head in range(heads)
    ]
    called = [f"{names} {i}" for i in range(tokens)]
    return HeatMap(
        row=row,
        layer="layer 0",
        module="encoder.blocks.0.attention.attention",
        title=f"valid row {row}, layer 0; next {names} 9",
        unit="items",
        heads=list(range(heads)),
        queries=called,
        keys=called,
        weights=weights,
    )


def add_heat_maps(folder: Path, count: int = 3, names: str = "item") -> None:
    """What a run leaves of its attention."""
    (folder / "attention").mkdir()
    HeatMaps("valid", 800, [heat_map_of(row, names=names) for row in range(count)]).write(folder / "attention")


def record(name: str, steps: int) -> dict[str, Any]:
    """``run.json`` of a run on two workers that was resumed on one, and again on two."""
    packages = {"saccade": "0.1.0", "torch": "2.13.0+cpu", "torchrec": "1.8.0", "deepspeed": "0.19.8", "ray": "2.60.0"}
    plan = [
        {"table": table, "rows": rows // 2, "dim": 64, "sharding": "row", "rank": rank, "bytes": rows // 2 * 64 * 4}
        for table, rows in (("items", 200_000), ("users", 50_000))
        for rank in (0, 1)
    ]
    return {
        "name": name,
        "task": "next_item",
        "wandb_id": "k3jq8x2p",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "git_dirty": True,
        "environment": {
            "python": "3.11.7",
            "platform": "Linux-6.1-x86_64-with-glibc2.36",
            "cpu": "Some Processor 2.4 GHz",
            "cores": 2,
            "memory_gib": 23.5,
            "gpus": [],
            "packages": packages,
        },
        "data": {
            "path": "/data/behaviour",
            "files": 4,
            "rows": 120_000,
            "bytes": 48_234_123,
            "fingerprint": "5f2b9c0e7d1a44c88f0d6b7e",
            "columns": {"user_id": "int64", "history": "list<element: int64>"},
        },
        "engine": {
            "name": "hybrid",
            "zero_stage": 2,
            "device": "cpu",
            "network": {"bytes_per_rank": 123_456},
            "plan": plan,
        },
        "parameters": {"network": 102_400, "tables": 16_000_000},
        "starts": [
            {"time": f"2026-02-02T02:4{minute}:00", "step": step, "workers": workers}
            for minute, step, workers in ((0, 0, 2), (3, 300, 1), (8, 620, 2))
            if step <= steps
        ],
    }


def _training(step: int, now: float, seconds: float, generator: random.Random) -> dict[str, Any]:
    return {
        "step": step,
        "time": now,
        "seconds": seconds,
        "train/loss": None if step == 15 else 5.5 * math.exp(-step / 300) + 1.2 + generator.gauss(0, 0.12),
        "train/learning_rate": 0.001 * min(1.0, step / 100) * (0.55 + 0.45 * math.cos(step / 400)),
        "train/events_per_second": 51_000 + generator.gauss(0, 2_500),
        "train/step_seconds": 0.4 + generator.gauss(0, 0.02),
        "train/data_wait": abs(generator.gauss(0.02, 0.01)),
        "train/epoch": step / 50,
    }


def _ranking(split: str, step: int, generator: random.Random) -> dict[str, float]:
    quality = 1 - math.exp(-step / 250)
    return {
        f"{split}/{name}@{k}": top * quality * (1 + 0.3 * math.log2(k / 10)) + generator.gauss(0, 0.001)
        for name, top in (("ndcg", 0.165), ("hr", 0.29))
        for k in (5, 10, 20)
    } | {f"{split}/mrr": 0.13 * quality}


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))
