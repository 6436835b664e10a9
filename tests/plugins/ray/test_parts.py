"""Parts shared out among Ray workers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.plugins.ray import parts as work

from saccade.pipelines.errors import UserError
from saccade.plugins.ray.errors import RunFailed
from saccade.plugins.ray.parts import Prepare, run_parts

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


def do(prepare: Prepare, folder: Path, parts: list[int], deaths: int = 2) -> dict[int, int]:
    found: dict[int, int] = {}
    run_parts(
        prepare,
        str(folder),
        parts,
        workers=2,
        cpus_per_worker=1,
        device="cpu",
        max_failures=deaths,
        done=found.__setitem__,
    )
    return found


def test_a_part_whose_worker_was_killed_is_done_again(tmp_path: Path) -> None:
    assert do(work.prepare, tmp_path, [0, 1, 2, 3, 4, 5]) == {part: part * 10 for part in range(6)}
    done = {part: (tmp_path / f"part-{part}").read_text().splitlines() for part in range(6)}
    assert [len(done[part]) for part in range(6)] == [1, 1, 1, 2, 1, 1]
    assert len(list(tmp_path.glob("set-up-*"))) == 3  # two workers, and one in the place of the dead one


def test_a_part_that_kills_its_workers_ends_it(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="part 1: its worker's process died, now 2 times: giving up"):
        do(work.always_dies, tmp_path, [0, 1], deaths=1)


def test_errors_come_back(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not what it should be"):
        do(work.mistaken, tmp_path, [0])
    with pytest.raises(RunFailed, match="ZeroDivisionError: a bug") as raised:
        do(work.broken, tmp_path, [0])
    assert "in broken" in raised.value.details


def test_nothing_to_do(tmp_path: Path) -> None:
    assert do(work.prepare, tmp_path, []) == {}
