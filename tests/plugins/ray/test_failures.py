import pickle
from pathlib import Path

import pytest

pytest.importorskip("ray")

from ray.train.v2.api.exceptions import ControllerError

from saccade.pipelines.errors import UserError
from saccade.pipelines.training.stop import Stopped
from saccade.plugins.ray.errors import RunFailed, WorkerError
from saccade.plugins.ray.failures import first_cause, translate
from saccade.plugins.ray.group import Group


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
        Group(tmp_path, 3).failed({0: raised(RuntimeError("peer")), 1: mistake})
    assert translate(ControllerError(caught.value)) is mistake
    assert not (tmp_path / "log.txt").exists()


def test_other_failures_are_counted_and_told(tmp_path: Path) -> None:
    group = Group(tmp_path, 1)
    group.failed({1: raised(ValueError("bad"))})
    with pytest.raises(RunFailed) as caught:
        group.failed({1: raised(ValueError("bad"))})
    again, last = (tmp_path / "log.txt").read_text().splitlines()
    assert again.endswith("WARNING worker 1: ValueError: bad; starting the workers again (1 of 1 restarts)")
    assert last.endswith("WARNING worker 1: ValueError: bad; giving up after 1 restarts")
    travelled = pickle.loads(pickle.dumps(ControllerError(caught.value)))
    failed = translate(travelled)
    assert isinstance(failed, RunFailed)
    assert str(failed) == f"worker 1: ValueError: bad (its output is in {tmp_path / 'logs' / 'rank-1.log'})"
    assert "ValueError: bad" in failed.details


def test_workers_that_were_warned_start_again_uncounted(tmp_path: Path) -> None:
    group = Group(tmp_path, 0)
    group.failed({0: Stopped(), 1: Stopped()})
    group.failed({0: Stopped(), 1: RuntimeError("The actor died because its node died")})
    assert (tmp_path / "log.txt").read_text().count("stopped and saved: starting the workers again") == 2


@pytest.mark.parametrize("error", [Stopped(), RuntimeError("The actor died")])
def test_a_stop_that_was_asked_for_is_final(tmp_path: Path, error: Exception) -> None:
    (tmp_path / "stop").touch()
    with pytest.raises(Stopped) as caught:
        Group(tmp_path, 3).failed({1: error})
    assert isinstance(translate(ControllerError(caught.value)), KeyboardInterrupt)
