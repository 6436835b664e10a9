"""DeepSpeed's communication op: where it is built, and which lock is stale."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from saccade.plugins.deepspeed import comm_op


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of the lock file, in a folder of the test's own."""
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    return comm_op.op_folder() / "lock"


def test_no_lock(lock: Path) -> None:
    assert comm_op.stale_lock() is None
    assert not comm_op.is_built()


def test_the_lock_of_a_running_build_is_not_stale(lock: Path) -> None:
    handle = os.open(lock, os.O_CREAT | os.O_EXCL)
    try:
        assert comm_op.stale_lock() is None
    finally:
        os.close(handle)
    assert comm_op.stale_lock() == lock


def test_settings_of_the_user_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cuda")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", "/somewhere")
    comm_op.prepare_environment()
    assert os.environ["DS_ACCELERATOR"] == "cuda"
    assert os.environ["TORCH_EXTENSIONS_DIR"] == "/somewhere"


@pytest.mark.skipif(not Path(sys.executable).with_name("ninja").exists(), reason="no ninja beside this interpreter")
def test_ninja_is_found_without_an_activated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    comm_op.prepare_environment()
    assert shutil.which("ninja")
