"""One of two ranks that measure together: ``measure_as_rank.py FOLDER RANK`` prints what it found as JSON."""

import json
import os
import sys
from pathlib import Path

import torch

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.classification import ClassificationMetrics

folder, rank = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
metrics = ClassificationMetrics(["cat", "dog", "eel"], Collective())
for update in torch.load(folder / f"{rank}.pt"):
    metrics.update(*update)
print(json.dumps({**metrics.result(), "report": metrics.report()}), flush=True)
torch.distributed.destroy_process_group()
# Gloo's threads may still hold tensors, and then the interpreter's end aborts the process (pytorch#179291).
os._exit(0)
