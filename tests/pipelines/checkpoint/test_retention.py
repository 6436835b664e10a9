import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from saccade.pipelines.checkpoint.retention import checkpoints, clean, newest_good, prune

Save = Callable[[Path, int], Path]


def steps(folder: Path) -> list[int]:
    return [int(path.name.removeprefix("step-")) for path in checkpoints(folder)]


def test_listed_by_step_not_by_name(tmp_path: Path, save_step: Save) -> None:
    for step in (100_000_000, 5, 99_999_999):
        save_step(tmp_path, step)
    (tmp_path / "step-00000006.writing").mkdir()
    (tmp_path / "step-00000007").write_text("not a folder")
    (tmp_path / "notes").mkdir()
    assert steps(tmp_path) == [5, 99_999_999, 100_000_000]


def test_keeps_the_last_and_the_best(tmp_path: Path, save_step: Save) -> None:
    for step in (1, 2, 3, 4, 5):
        save_step(tmp_path, step)
    prune(tmp_path, keep_last=2, best=[2, 77])
    assert steps(tmp_path) == [2, 4, 5]
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(ValueError, match="at least 1"):
        prune(tmp_path, keep_last=0)


def test_a_damaged_newer_one_never_pushes_out_a_good_one(tmp_path: Path, save_step: Save) -> None:
    save_step(tmp_path, 100)
    damaged = save_step(tmp_path, 300)
    (damaged / "manifest.json").unlink()
    assert newest_good(tmp_path, lambda message: None) == tmp_path / "step-00000100"
    save_step(tmp_path, 200)
    prune(tmp_path, keep_last=1, saved=200)
    assert steps(tmp_path) == [200, 300]
    save_step(tmp_path, 400)
    prune(tmp_path, keep_last=1, saved=400)
    assert steps(tmp_path) == [400]


def test_a_damaged_one_in_between_does_not_count(tmp_path: Path, save_step: Save) -> None:
    # 300 was damaged when the run resumed from 200; 250 and then 350 were saved after that.
    for step in (100, 200, 300):
        save_step(tmp_path, step)
    (tmp_path / "step-00000300" / "network" / "part-0-of-1.safetensors").write_bytes(b"")
    save_step(tmp_path, 250)
    prune(tmp_path, keep_last=2, saved=250)
    assert steps(tmp_path) == [200, 250, 300]
    save_step(tmp_path, 350)
    prune(tmp_path, keep_last=2, saved=350)
    assert steps(tmp_path) == [250, 300, 350]
    save_step(tmp_path, 400)
    prune(tmp_path, keep_last=2, saved=400)
    assert steps(tmp_path) == [350, 400]


def test_clean_finishes_what_was_interrupted(tmp_path: Path, save_step: Save) -> None:
    saved = save_step(tmp_path / "elsewhere", 1)
    for name in (
        "step-00000001.deleting",
        "step-00000002.writing",
        "step-00000003.replaced",  # stopped between the two renames: the old one is all there is
        "step-00000004.replaced",  # stopped after them
        "step-00000004",
    ):
        shutil.copytree(saved, tmp_path / "checkpoints" / name)
    clean(tmp_path / "checkpoints")
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"step-00000003", "step-00000004"}


def test_saving_removes_leftovers(tmp_path: Path, save_step: Save) -> None:
    save_step(tmp_path, 1).rename(tmp_path / "step-00000001.writing")
    assert newest_good(tmp_path, pytest.fail) is None
    save_step(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]
