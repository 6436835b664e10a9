"""A driver of its own for `test_elastic`: its workers count steps and save where they are asked to. Usage: FOLDER.

It joins the cluster at RAY_ADDRESS. Rank 0 appends what happens to FOLDER/events: "began STEP WORKERS" at each call and
"saved STEP" at each stop; FOLDER/step is the last step that was taken.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from saccade.pipelines.records.progress import Progress
from saccade.pipelines.training.stop import Stop, Stopped
from saccade.plugins.ray.launch import launch


def step(arguments: dict[str, Any]) -> None:
    import torch
    import torch.distributed as dist

    folder = Path(arguments["folder"])
    first = dist.get_rank() == 0
    progress, stop = Progress(folder if first else None), Stop(folder if first else None)
    saved = int((folder / "saved").read_text()) if (folder / "saved").exists() else 0
    note(folder, first, f"began {saved} {dist.get_world_size()}")
    (folder / f"process-{dist.get_rank()}").write_text(str(os.getpid()))
    taken = saved
    while True:
        asked = torch.tensor([float(stop.requested())])
        dist.all_reduce(asked)
        if asked.item():
            if first:
                (folder / "saved").write_text(str(taken))
            note(folder, first, f"saved {taken}")
            raise Stopped(f"stopped at step {taken}")
        taken += 1
        time.sleep(0.02)
        if first:
            (folder / "step").write_text(str(taken))
        progress.update(phase="training", step=taken)


def note(folder: Path, first: bool, text: str) -> None:
    if first:
        with (folder / "events").open("a") as file:
            file.write(text + "\n")


def announce(workers: int) -> str:
    return f"{workers} workers start"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    try:
        launch(
            step,
            {"folder": str(folder)},
            workers=(1, 2),
            cpus_per_worker=1,
            device="cpu",
            storage=folder,
            max_failures=0,
            stops=True,
            announce=announce,
        )
    except KeyboardInterrupt:
        sys.exit(130)
