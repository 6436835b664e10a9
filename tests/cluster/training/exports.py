"""Networks built from exports as docs/checkpoints.md says, without the code that wrote them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tests.cluster.training.program import read
from torch import Tensor, nn

from saccade.cluster.job import load_job
from saccade.cluster.training.tasks import make_task
from saccade.pipelines.batch import Batch
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.seeds import generator
from saccade.pipelines.task import Task

DOCS = Path(__file__).parents[3] / "docs" / "checkpoints.md"


class Export:
    """An exported network and its tables, asked with the rows that the run's own job makes."""

    def __init__(self, run: Path, exported: Path) -> None:
        """``run`` says how rows are made; everything else is from ``exported``."""
        names: dict[str, Any] = {}
        script = DOCS.read_text().split("<!-- A test runs this script. -->\n```python\n")[1]
        exec(script.split("tensors = load_file")[0], names)
        self.tensors: Mapping[str, Tensor] = load_file(exported / "model.safetensors")
        classes = re.findall(r'"class": "([^"]+)"', (exported / "model.json").read_text())
        assert classes
        assert all(name.startswith("saccade.models.") for name in classes)
        self.network: nn.Module = names["build"](read(exported / "model.json")["network"]).eval()
        weights = {name[8:]: value for name, value in self.tensors.items() if name.startswith("network/")}
        self.network.load_state_dict(weights)
        self.task: Task = make_task(load_job(run / "job.yaml"), read(run / "run.json")["facts"], run / "artifacts")

    def batch(self, data: Path, rows: int) -> Batch:
        """The first rows of some data, to be predicted."""
        examples = Source.open(str(data), None, self.task.columns).read(0, rows)
        return self.task.collate(self.task.encode(examples, "predict"), "predict", generator(0))

    @torch.no_grad()
    def output(self, batch: Batch) -> Tensor:
        """The network's."""
        tables = {f: self.tensors[f"tables/{table.name}"] for table in self.task.tables for f in table.features}
        return self.task.forward(self.network, {f: tables[f][ids] for f, ids in batch.lookups.items()}, batch)
