"""Real Ray Train runs: two gloo workers on this machine."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from saccade.pipelines.errors import UserError
from saccade.plugins.ray.errors import RunFailed
from saccade.plugins.ray.launch import launch

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


@pytest.fixture(scope="module", autouse=True)
def functions_travel_by_value() -> None:
    """Workers can't import this file."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])


def run(function: Any, folder: Path, max_failures: int = 0) -> None:
    launch(
        function,
        {"folder": str(folder)},
        workers=2,
        cpus_per_worker=1,
        device="cpu",
        storage=folder,
        max_failures=max_failures,
    )


def sum_of_ranks() -> float:
    import torch
    import torch.distributed as dist

    ranks = torch.tensor([dist.get_rank() + 1.0])
    dist.all_reduce(ranks)
    return ranks.item()


def rank() -> int:
    return int(os.environ["RANK"])


def attempts(folder: Path) -> list[str]:
    """Lines that rank 0 wrote, one a call."""
    return (folder / "attempts").read_text().splitlines()


def write_attempt(folder: Path) -> None:
    if rank() == 0:
        with (folder / "attempts").open("a") as file:
            file.write(f"{os.getpid()}\n")


def reduce_and_write(arguments: dict[str, Any]) -> None:
    import torch

    print("printed by", rank())
    os.write(2, f"from below Python {rank()}\n".encode())
    facts = [sum_of_ranks(), torch.get_num_threads(), os.getcwd(), os.environ["DS_ACCELERATOR"]]
    (Path(arguments["folder"]) / f"facts-{rank()}").write_text(repr(facts))


def test_workers_reduce_and_write(tmp_path: Path) -> None:
    run(reduce_and_write, tmp_path)
    for each in (0, 1):
        assert (tmp_path / f"facts-{each}").read_text() == repr([3.0, 1, os.getcwd(), "cpu"])
        log = (tmp_path / "logs" / f"rank-{each}.log").read_text()
        assert f"printed by {each}\n" in log
        assert f"from below Python {each}\n" in log
        assert "Warning" not in log
    assert not list((tmp_path / "ray").iterdir())


def die_once(arguments: dict[str, Any]) -> None:
    folder = Path(arguments["folder"])
    write_attempt(folder)
    sum_of_ranks()
    if rank() == 1 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    sum_of_ranks()
    (folder / f"finished-{rank()}").touch()


def test_a_killed_worker_is_restarted(tmp_path: Path) -> None:
    run(die_once, tmp_path, max_failures=1)
    assert len(attempts(tmp_path)) == 2
    assert (tmp_path / "finished-0").exists()
    assert (tmp_path / "finished-1").exists()
    [line] = [line for line in (tmp_path / "log.txt").read_text().splitlines() if "waiting for" not in line]
    assert "WARNING worker 1: its process died; starting the workers again (1 of 1 restarts)" in line


def mistake_on_rank_1(arguments: dict[str, Any]) -> None:
    write_attempt(Path(arguments["folder"]))
    if rank() == 1:
        (Path(arguments["folder"]) / "raised").touch()
        raise UserError("data.path=x: no such file")
    sum_of_ranks()  # waits for rank 1, which never comes


def test_a_users_mistake_comes_back_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="^data.path=x: no such file$"):
        run(mistake_on_rank_1, tmp_path, max_failures=3)
    assert time.time() - (tmp_path / "raised").stat().st_mtime < 60  # long before the collective times out
    assert len(attempts(tmp_path)) == 1
    assert (tmp_path / "logs" / "rank-1.log").read_text().endswith("error: data.path=x: no such file\n")


def bug_on_rank_0(arguments: dict[str, Any]) -> None:
    write_attempt(Path(arguments["folder"]))
    sum_of_ranks()
    if rank() == 0:
        raise ZeroDivisionError("loss has no targets\nsecond line")
    sum_of_ranks()


def test_a_bug_ends_the_run_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as caught:
        run(bug_on_rank_0, tmp_path)
    log = tmp_path / "logs" / "rank-0.log"
    assert str(caught.value) == f"worker 0: ZeroDivisionError: loss has no targets (its output is in {log})"
    assert "in bug_on_rank_0" in caught.value.details
    assert len(attempts(tmp_path)) == 1
    assert "WARNING worker 0: ZeroDivisionError: loss has no targets; giving up" in (tmp_path / "log.txt").read_text()
