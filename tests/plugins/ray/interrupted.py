"""A driver of its own for `test_interrupt`: its workers wait for ever. Usage: interrupted.py FOLDER."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from saccade.plugins.ray.launch import launch


def wait(arguments: dict[str, Any]) -> None:
    from ray._private.state import state

    started = Path(arguments["folder"]) / f"started-{os.environ['RANK']}"
    actors = {actor["ActorClassName"] for actor in state.actor_table(None).values()}
    started.with_name("writing").write_text(" ".join(sorted(actors)))
    started.with_name("writing").rename(started)
    time.sleep(600)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    try:
        launch(
            wait,
            {"folder": str(folder)},
            workers=2,
            cpus_per_worker=1,
            device="cpu",
            storage=folder,
            max_failures=3,
        )
    except KeyboardInterrupt:
        sys.exit(130)
