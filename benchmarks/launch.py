"""How long a start takes: from the launch, Ray included, to the function on two workers, and to the launch's end.

By turns with Ray Train's own trainer and with Saccade's, which starts fewer processes of Ray's; each in a process of
its own. What the processors do meanwhile is counted for the whole machine: run it on a quiet one.

    python benchmarks/launch.py
    python benchmarks/launch.py --rounds 5 --json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def work(arguments: dict[str, Any]) -> None:
    """What the workers do."""
    (Path(arguments["folder"]) / os.environ["RANK"]).write_text(str(time.time()))


def use_rays_own_trainer() -> None:
    """In this process, let launches do without Saccade's trainer."""
    from ray.train.torch import TorchTrainer

    from saccade.plugins.ray import trainer

    class Plain(TorchTrainer):  # type: ignore[misc]  # ray has no types here
        def __init__(self, *, alone: bool, **options: Any) -> None:
            super().__init__(**options)

        def _register_sigint_handler(self, controller: object) -> None:
            pass

    trainer.Trainer = Plain  # type: ignore[misc,assignment]


def busy() -> float:
    """Seconds that this machine's processors have been at work."""
    _, user, nice, system, *_ = Path("/proc/stat").read_text().split(maxsplit=4)
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def start_once() -> None:
    """Launch, and print the seconds to the function, to the end, and of the processors."""
    from saccade.plugins.ray.launch import launch

    with tempfile.TemporaryDirectory() as name:
        began, busy_before = time.time(), busy()
        launch(work, {"folder": name}, workers=2, cpus_per_worker=1, device="cpu", storage=Path(name), max_failures=0)
        ended, used = time.time(), busy() - busy_before
        started = max(float((Path(name) / str(rank)).read_text()) for rank in range(2))
    print(json.dumps([started - began, ended - began, used]))


def main() -> None:
    """Take turns and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--once", choices=["ray", "saccade"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        if options.once == "ray":
            use_rays_own_trainer()
        start_once()
        return

    seconds: dict[str, list[list[float]]] = {"ray": [], "saccade": []}
    for _ in range(options.rounds):
        for name, found in seconds.items():
            command = [sys.executable, __file__, "--once", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    medians = {name: [statistics.median(each) for each in zip(*found, strict=True)] for name, found in seconds.items()}
    if options.json:
        print(json.dumps({"median": medians, "rounds": seconds}))
        return
    print(f"{'trainer':<10}{'to the function':>18}{'to the end':>14}{'CPU':>8}   (s, medians of {options.rounds})")
    for name, (function, end, used) in medians.items():
        print(f"{name:<10}{function:>18.1f}{end:>14.1f}{used:>8.1f}")


if __name__ == "__main__":
    main()
