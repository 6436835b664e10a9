"""How contestants of a benchmark take turns: each trains in a process of its own, and goes on only when it is told to.

A contestant calls :meth:`Turns.step` after each step of its own training loop, which therefore waits there whenever
another one has the machine. Needs nothing but Python, so that contestants may come from different environments.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


class Turns:
    """A contestant's end of the line: turns come in through stdin, figures go out through stdout, a line of JSON each.

    A turn is ``{"warmup": n, "steps": n}``. The steps of the warm-up use up what was prepared during the others' turns;
    then the clock runs, from the end of a step to the end of another, so that fetching data counts. The answer is
    ``{"seconds", "steps", "positions", "users"}``.
    """

    def __init__(self) -> None:
        # What libraries print must not come between: it goes to stderr.
        sys.stdout.flush()
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._turn: dict[str, int] = {}
        self._began = 0.0
        self._steps = self._positions = self._users = 0

    def ready(self, **about: Any) -> None:
        """Say that all is made, and wait for the first turn; call it before the first step."""
        self._answer(about)
        self._wait()

    def step(self, positions: int, users: int) -> None:
        """Count a step that has been taken, and wait for the next turn if it was the last one of this.

        Args:
            positions: trained targets, without padding.
            users: histories that they are from.

        Raises:
            SystemExit: there are no more turns.
        """
        self._steps += 1
        self._positions += positions
        self._users += users
        if self._steps == self._turn["warmup"]:
            self._begin()
        elif self._steps == self._turn["warmup"] + self._turn["steps"]:
            seconds = time.perf_counter() - self._began
            steps = self._turn["steps"]
            self._answer({"seconds": seconds, "steps": steps, "positions": self._positions, "users": self._users})
            self._wait()

    def _wait(self) -> None:
        line = sys.stdin.readline()
        if not line:
            raise SystemExit
        self._turn = json.loads(line)
        self._steps = 0
        self._begin()

    def _begin(self) -> None:
        self._positions = self._users = 0
        self._began = time.perf_counter()

    def _answer(self, values: dict[str, Any]) -> None:
        print(json.dumps(values), file=self._answers, flush=True)
