import pickle
from pathlib import Path

import pytest

pytest.importorskip("ray")

from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from saccade.pipelines.errors import UserError
from saccade.plugins.ray.errors import RunFailed, WorkerError
from saccade.plugins.ray.failures import Restarts, first_cause, translate

LOGS = Path("/run/logs")


def raised(error: Exception) -> WorkerError:
    try:
        raise error
    except Exception as caught:
        return WorkerError.of(caught)


def test_a_worker_error_travels() -> None:
    error = raised(ValueError("first line\nsecond"))
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == "ValueError: first line"
    assert copy.time == error.time
    assert "raise error" in copy.details


def test_the_first_failure_is_the_cause_unless_a_process_died() -> None:
    first, second = raised(ValueError("first")), raised(RuntimeError("connection closed by peer"))
    assert first_cause({0: second, 1: first}) == (1, first)
    died = RuntimeError("A worker health check failed")
    assert first_cause({0: first, 1: died}) == (1, died)


def test_a_users_mistake_is_final_and_keeps_its_message(tmp_path: Path) -> None:
    mistake = UserError("data.path=x: no such file")
    with pytest.raises(UserError) as caught:
        Restarts(tmp_path, 3).after_exception(None, {0: raised(RuntimeError("peer")), 1: mistake})  # type: ignore[arg-type]
    assert translate(ControllerError(caught.value), LOGS) is mistake
    assert translate(WorkerGroupError("", {1: mistake}), LOGS) is mistake
    assert not (tmp_path / "log.txt").exists()


def test_other_failures_are_counted_and_told(tmp_path: Path) -> None:
    restarts = Restarts(tmp_path, 1)
    for _ in range(2):
        restarts.after_exception(None, {1: raised(ValueError("bad"))})  # type: ignore[arg-type]
    again, last = (tmp_path / "log.txt").read_text().splitlines()
    assert again.endswith("WARNING worker 1: ValueError: bad; starting the workers again (1 of 1 restarts)")
    assert last.endswith("WARNING worker 1: ValueError: bad; giving up after 1 restarts")
    failed = translate(WorkerGroupError("", {1: raised(ValueError("bad"))}), LOGS)
    assert isinstance(failed, RunFailed)
    assert str(failed) == "worker 1: ValueError: bad (its output is in /run/logs/rank-1.log)"
    assert "ValueError: bad" in failed.details
