from __future__ import annotations

import json
import logging
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import wandb
from wandb.proto import wandb_internal_pb2 as pb

from saccade.pipelines.errors import UserError
from saccade.pipelines.records.tracker import Tracker
from saccade.plugins.wandb import tracker as tracker_module
from saccade.plugins.wandb.mode import choose_mode
from saccade.plugins.wandb.tracker import WandbTracker

KEY = "a" * 40
DEAD_SERVER = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without W&B settings, whatever this one has, and a W&B service of the test's own."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_SILENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    yield
    wandb.teardown()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("saccade")]


def records(path: Path) -> list[pb.Record]:
    """The records of a run that has finished; W&B's service may write them a moment after ``finish`` returned."""
    end = time.monotonic() + 20
    while not (found := list(parse(path.read_bytes()))) or not found[-1].HasField("exit"):
        assert time.monotonic() < end, f"the run's last record is missing: {found}"
        time.sleep(0.05)
    return found


def parse(data: bytes) -> Iterator[pb.Record]:
    """The records of a ``.wandb`` file: a LevelDB log (7-byte header; blocks of 32 KiB; crc, length, type, bytes)."""
    position, parts = 7, b""
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last of several
            record = pb.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def items(pairs: Any) -> dict[str, Any]:
    return {pair.key or "/".join(pair.nested_key): json.loads(pair.value_json) for pair in pairs}


def start(folder: Path, mode: str = "offline") -> WandbTracker:
    job = {"model": {"name": "sasrec", "dim": 64}, "train": {"epochs": 2}}
    record = {"git_commit": "abc", "data": {"fingerprint": "f00d"}}
    return WandbTracker.start(folder, "run12345", "demo", job, record, mode, group="tests", tags=["small"])


def test_an_offline_run_and_its_restart_are_one_run_with_global_steps(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for steps in ((10, 20), (20, 30)):
        tracker: Tracker = start(tmp_path)
        for step in steps:
            tracker.log(step, {"train/loss": 1 / step})
        tracker.log(steps[-1], {"valid/ndcg@10": 0.2})
        tracker.finish({"run": "runs/demo", "metrics": {"test/ndcg@10": 0.25}, "seconds": 3.0, "report": {"a": {}}})
        time.sleep(1.1 - time.time() % 1)  # wandb names a start by its second

    files = sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2
    for file, steps in zip(files, ((10, 20), (20, 30)), strict=True):
        content = list(records(file))
        run = next(record.run for record in content if record.HasField("run"))
        assert (run.run_id, run.display_name, run.run_group, list(run.tags)) == (
            "run12345",
            "demo",
            "tests",
            ["small"],
        )
        config = items(run.config.update)
        assert config["model"] == {"name": "sasrec", "dim": 64}
        assert config["record"]["data"]["fingerprint"] == "f00d"
        history = [items(record.history.item) for record in content if record.HasField("history")]
        assert [line["step"] for line in history] == [*steps, steps[-1]]
        assert history[0]["train/loss"] == 1 / steps[0]
        assert history[-1]["valid/ndcg@10"] == 0.2
        metrics = {
            record.metric.glob_name or record.metric.name: record.metric
            for record in content
            if record.HasField("metric")
        }
        assert metrics["*"].step_metric == "step"
        summary: dict[str, Any] = {}
        for record in content:
            summary |= items(record.summary.update) if record.HasField("summary") else {}
        assert summary["test/ndcg@10"] == 0.25
        assert summary["seconds"] == 3.0
    assert capfd.readouterr() == ("", "")


def test_a_crash_of_wandb_warns_once_and_training_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = set(psutil.Process().children(recursive=True))
    tracker = start(tmp_path)
    tracker.log(1, {"train/loss": 1.0})
    service = set(psutil.Process().children(recursive=True)) - before
    for process in service:
        process.kill()
    psutil.wait_procs(list(service), timeout=10)
    with caplog.at_level(logging.WARNING):
        deadline = time.monotonic() + 10
        while tracker.mode != "disabled" and time.monotonic() < deadline:
            tracker.log(2, {"train/loss": 1.0})
        tracker.log(3, {"train/loss": 1.0})
        tracker.finish({"metrics": {}})
    (message,) = warnings(caplog)
    assert "the run goes on without it" in message


def test_an_unreachable_server_falls_back_to_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", DEAD_SERVER)
    monkeypatch.setattr(tracker_module, "INIT_TIMEOUT", 1.0)
    with caplog.at_level(logging.WARNING):
        tracker = start(tmp_path, "online")
        tracker.log(1, {"train/loss": 1.0})
        tracker.finish({"metrics": {}})
    assert tracker.mode == "offline"
    (message,) = warnings(caplog)
    assert "can't go online" in message
    assert capfd.readouterr().out == ""
    assert any(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_pictures_are_kept_offline(tmp_path: Path) -> None:
    from PIL import Image

    for number in (0, 1):
        Image.new("RGB", (20 + number, 10)).save(tmp_path / f"{number}.png")
    tracker = start(tmp_path / "run")
    tracker.show(7, {f"attention/row-{number}": tmp_path / f"{number}.png" for number in (0, 1)})
    tracker.show(7, {})
    tracker.finish({"metrics": {}})
    (file,) = (tmp_path / "run").glob("wandb/offline-run-*/*.wandb")
    (line,) = [items(record.history.item) for record in records(file) if record.HasField("history")]
    assert line["step"] == 7
    for number in (0, 1):
        image = {name: line[f"attention/row-{number}/{name}"] for name in ("_type", "width", "height", "path")}
        assert (image["_type"], image["width"], image["height"]) == ("image-file", 20 + number, 10)
        assert (file.parent / "files" / image["path"]).is_file()


def test_a_picture_that_is_not_there_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = start(tmp_path)
    with caplog.at_level(logging.WARNING):
        tracker.show(1, {"attention/row-0": tmp_path / "none.png"})
        tracker.finish({"metrics": {}})
    (message,) = warnings(caplog)
    assert "the run goes on without it" in message


def test_disabled_writes_nothing(tmp_path: Path) -> None:
    tracker = start(tmp_path, "disabled")
    tracker.log(1, {"train/loss": 1.0})
    tracker.show(1, {"attention/row-0": tmp_path / "none.png"})
    tracker.finish({"metrics": {}})
    assert list(tmp_path.iterdir()) == []


def test_auto_is_offline_without_a_key_and_online_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_mode("auto") == "offline"
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {KEY}\n")
    assert choose_mode("auto") == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert choose_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert choose_mode("auto") == "online"


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_the_environment_decides_auto_and_the_job_decides_the_rest(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", mode)
    assert choose_mode("auto") == mode
    assert choose_mode("online") == "online"


def test_online_without_a_key_is_the_users_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"wandb\.mode is 'online', but no W&B API key"):
        start(tmp_path, "online")
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(UserError, match="WANDB_MODE is 'online', but no W&B API key"):
        start(tmp_path, "auto")
    with pytest.raises(UserError, match=r"wandb\.mode is 'sometimes'"):
        start(tmp_path, "sometimes")
