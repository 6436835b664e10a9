"""A rank that trains a classifier for a few steps and saves a checkpoint, for tests of parity.

``classify_as_rank.py text|speech FOLDER OUTPUT ENGINE ZERO_STAGE RANK WORKERS`` reads FOLDER/data.parquet.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from saccade.models.speech.classifier import SpeechClassifier
from saccade.models.speech.log_mel import LogMel
from saccade.models.text.classifier import TextClassifier
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import Engine
from saccade.pipelines.engines.reference import ReferenceEngine
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.task import Task
from saccade.pipelines.tasks.speech_classification import SpeechClassification
from saccade.pipelines.tasks.text_classification import TextClassification
from saccade.pipelines.text.tokenizer import Tokenizer

LABELS = ("low", "middle", "high")
LANES, STEPS = 4, 8
ENCODER: dict[str, Any] = {"classes": 3, "dim": 16, "blocks": 1, "heads": 2, "hidden": 32, "dropout": 0.2}


def make_task(kind: str, folder: Path) -> Task:
    common: dict[str, Any] = {"label": "label", "labels": LABELS, "label_smoothing": 0.1}
    if kind == "text":
        return TextClassification(
            text="text",
            tokenizer=Tokenizer.load(folder / "tokenizer.json"),
            max_length=12,
            build=partial(TextClassifier, token_dropout=0.1, reach=1, max_length=12, **ENCODER),
            dim=16,
            standard_deviation=0.1,
            **common,
        )
    speech: dict[str, Any] = {
        "stacked": 2,
        "reach": 1,
        "masked_bands": 0.2,
        "masked_time": 0.2,
        "max_length": 20,
        **ENCODER,
    }
    features = partial(LogMel, 8000, mels=10, frame_ms=25.0, hop_ms=10.0)
    return SpeechClassification(
        audio="audio",
        features=features(),
        max_length=20,
        build=lambda: SpeechClassifier(features=features(), **speech),
        **common,
    )


def make_engine(task: Task, name: str, zero_stage: int) -> Engine:
    settings: dict[str, Any] = {
        "optimizer": NetworkOptimizer("adamw", 1e-3, weight_decay=0.01),
        "table_optimizers": {table.name: TableOptimizer("adagrad", 0.05) for table in task.tables},
        "seed": 7,
        "device": torch.device("cpu"),
    }
    if name == "reference":
        return ReferenceEngine(task, **settings)
    from saccade.plugins.hybrid.engine import HybridEngine
    from saccade.plugins.torchrec.plan import Sharding

    shardings: dict[str, Sharding] = {table.name: "row" for table in task.tables}
    return HybridEngine(task, lanes=LANES, zero_stage=zero_stage, shardings=shardings, **settings)


def main(kind: str, folder: Path, output: Path, engine_name: str, zero_stage: int, rank: int, workers: int) -> None:
    torch.set_num_threads(1)
    if engine_name == "hybrid":
        sizes = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": workers, "LOCAL_WORLD_SIZE": workers}
        os.environ.update({name: str(value) for name, value in sizes.items()}, DS_ACCELERATOR="cpu")
        meeting = f"file://{output}.meeting"
        torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
    collective = Collective()
    task = make_task(kind, folder)
    source = Source.open(str(folder / "data.parquet"), None, task.columns)
    engine = make_engine(task, engine_name, zero_stage)
    # A window and a budget so small that some lanes run dry before others: empty micro-batches are part of it.
    place = {"rank": collective.rank, "world_size": collective.world_size}
    reader = Reader(source, task, "train", seed=3, lanes=LANES, window=64, tokens=24, **place)
    with closing(reader.steps(0)) as steps:
        for item in islice(steps, STEPS):
            targets = int(collective.sum(torch.tensor(sum(batch.targets for batch in item.batches))))
            if targets:
                engine.step(item.batches, targets, 1.0)
    save(output, engine.state(), step=STEPS, training={}, job={}, tables=task.tables, collective=collective)
    if collective.active:
        torch.distributed.destroy_process_group()
    # Gloo's threads may still hold tensors, and then the interpreter's end aborts the process (pytorch#179291).
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], *map(int, sys.argv[5:8]))
