"""Contestants of a benchmark that take turns: the end of the line that gives them out (`turns.py` is theirs)."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

WARMUP = 4  # steps; Saccade's reader is up to three ahead when a turn begins


@dataclass(eq=False)
class Contestant:
    """Processes that train at the same time when it is their turn.

    Attributes:
        name: for people.
        processes: one, or several.
        together: whether the processes are ranks of one training.
        steps: of a turn.
        about: what it says of its environment.
        rates: positions a second, of each turn.
        users: a step, of each turn.
    """

    name: str
    processes: Sequence[subprocess.Popen[str]]
    together: bool = False
    steps: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    users: list[float] = field(default_factory=list)

    def wait(self) -> dict[str, Any]:
        """Wait until all processes have made their models; returns what they say of their environment."""
        answers = [answer(process) for process in self.processes]
        return answers[0]

    def turn(self, steps: int) -> float:
        """Train so many steps after the warm-up, and note how fast; returns the seconds."""
        for process in self.processes:
            assert process.stdin is not None
            print(json.dumps({"warmup": WARMUP, "steps": steps}), file=process.stdin, flush=True)
        answers = [answer(process) for process in self.processes]
        longest = max(one["seconds"] for one in answers)
        self.rates.append(sum(one["positions"] / (longest if self.together else one["seconds"]) for one in answers))
        users = sum(one["users"] / one["steps"] for one in answers)
        self.users.append(users if self.together else users / len(answers))
        return float(longest)

    def calibrate(self, seconds: float) -> None:
        """Find out how many steps a turn has, by turns that don't count: a cold one, and longer and longer ones."""
        steps = 2
        self.turn(steps)
        while (took := self.turn(steps)) < seconds / 4:
            steps *= 2
        self.steps = max(2, round(steps * seconds / took))
        self.rates, self.users = [], []

    @property
    def rate(self) -> float:
        """The median over the turns."""
        return statistics.median(self.rates)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a contestant's process says next."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"a contestant ended with {process.wait()}: {process.args}")
    found: dict[str, Any] = json.loads(line)
    return found


def end(process: subprocess.Popen[str]) -> None:
    """Let it leave: it does when there are no more turns. Killed in the middle of a start it might leave a lock."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def take_turns(contestants: Sequence[Contestant], rounds: int, seconds: float) -> None:
    """Let each train once a round, in one order and then in the other."""
    for contestant in contestants:
        contestant.about = contestant.wait()
    for contestant in contestants:
        contestant.calibrate(seconds)
    for number in range(rounds):
        for contestant in contestants if number % 2 == 0 else contestants[::-1]:
            contestant.turn(contestant.steps)


@dataclass(frozen=True)
class Comparison:
    """One contestant against another, and what is asked of it: at least so many times as fast; None for nothing."""

    ours: Contestant
    theirs: Contestant
    asked: float | None

    @property
    def ratios(self) -> list[float]:
        """Of each round."""
        return [a / b for a, b in zip(self.ours.rates, self.theirs.rates, strict=True)]
