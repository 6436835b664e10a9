import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from saccade.pipelines.checkpoint.manifest import DamagedCheckpoint
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import newest_good
from saccade.pipelines.errors import UserError

PIECE = "tables/items/rows-0-6_columns-0-4.safetensors"
NETWORK = "network/part-0-of-1.safetensors"
MANIFEST = "manifest.json"


def truncate(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    file.write_bytes(content)


def change_a_number(file: Path) -> None:
    """Damage that leaves the manifest valid JSON."""
    text = file.read_text()
    assert '"step": 2,' in text
    file.write_text(text.replace('"step": 2,', '"step": 3,'))


def empty(file: Path) -> None:
    file.write_bytes(b"")


def put_a_folder_there(file: Path) -> None:
    file.unlink()
    file.mkdir()


CASES = [
    (PIECE, truncate, "bytes instead of"),
    (PIECE, flip_a_bit, "hash differs"),
    (PIECE, empty, "0 bytes instead of"),
    (PIECE, Path.unlink, "missing"),
    (PIECE, put_a_folder_there, "bytes instead of"),
    (NETWORK, truncate, "bytes instead of"),
    (NETWORK, flip_a_bit, "hash differs"),
    (NETWORK, empty, "0 bytes instead of"),
    (NETWORK, Path.unlink, "missing"),
    (MANIFEST, truncate, "cut off or not JSON"),
    (MANIFEST, flip_a_bit, "hash differs|cut off or not JSON"),
    (MANIFEST, change_a_number, "hash differs"),
    (MANIFEST, empty, "cut off or not JSON"),
    (MANIFEST, Path.unlink, "missing"),
    (MANIFEST, put_a_folder_there, "can't be read, Is a directory"),
]


@pytest.mark.parametrize(("file", "damage", "reason"), CASES, ids=[f"{d.__name__}-{Path(f).name}" for f, d, _ in CASES])
def test_damage_is_named_and_the_newest_good_one_taken(
    tmp_path: Path, save_step: Callable[[Path, int], Path], file: str, damage: Callable[[Path], None], reason: str
) -> None:
    good, bad = save_step(tmp_path, 1), save_step(tmp_path, 2)
    warnings: list[str] = []
    assert newest_good(tmp_path, warnings.append) == bad
    assert warnings == []

    damage(bad / file)
    with pytest.raises(DamagedCheckpoint, match=reason) as caught:
        CheckpointReader(bad).verify()
    assert caught.value.file == file
    assert newest_good(tmp_path, warnings.append) == good
    assert len(warnings) == 1
    assert warnings[0].startswith(f"checkpoint {bad} is damaged ({file}: ")
    assert warnings[0].endswith("falling back to step-00000001")
    assert bad.is_dir()


def test_every_bit_of_the_manifest_counts(tmp_path: Path, save_step: Callable[[Path, int], Path]) -> None:
    path = save_step(tmp_path, 1)
    manifest = CheckpointReader(path).manifest
    file = path / MANIFEST
    content = file.read_bytes()
    for position in range(0, len(content), 7):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        file.write_bytes(changed)
        # A bit in the white space between tokens may be harmless; then nothing may be read differently.
        with contextlib.suppress(DamagedCheckpoint):
            assert CheckpointReader(path).manifest == manifest


def test_damage_met_while_reading_is_named(tmp_path: Path, save_step: Callable[[Path, int], Path]) -> None:
    path = save_step(tmp_path, 1)
    truncate(path / PIECE)
    (path / NETWORK).unlink()
    reader = CheckpointReader(path)
    with pytest.raises(DamagedCheckpoint, match=PIECE):
        reader.table("items", "weight")
    with pytest.raises(DamagedCheckpoint, match=NETWORK):
        _ = reader.network["weight/linear.weight"]


def test_all_damage_is_listed(tmp_path: Path, save_step: Callable[[Path, int], Path]) -> None:
    path = save_step(tmp_path, 1)
    reader = CheckpointReader(path)
    read: list[int] = []
    assert reader.damage(read.append) == {}
    assert sum(read) == sum(entry.bytes for entry in reader.manifest.files.values())
    truncate(path / NETWORK)
    flip_a_bit(path / PIECE)
    found = reader.damage()
    assert found.keys() == {NETWORK, PIECE}
    assert found[PIECE] == "hash differs"
    assert "bytes instead of" in found[NETWORK]


@pytest.mark.parametrize(("file", "damage", "reason"), CASES, ids=[f"{d.__name__}-{Path(f).name}" for f, d, _ in CASES])
def test_none_good_stops_and_deletes_nothing(
    tmp_path: Path, save_step: Callable[[Path, int], Path], file: str, damage: Callable[[Path], None], reason: str
) -> None:
    paths = [save_step(tmp_path, step) for step in (1, 2)]
    flip_a_bit(paths[0] / PIECE)
    damage(paths[1] / file)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(UserError, match="every checkpoint") as caught:
        newest_good(tmp_path, lambda message: None)
    assert f"step-00000001, {PIECE}: hash differs" in str(caught.value)
    assert re.search(rf"step-00000002, {re.escape(file)}: [^;]*({reason})", str(caught.value))
    assert "\n" not in str(caught.value)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_the_fall_back_goes_past_several_kinds_of_damage(
    tmp_path: Path, save_step: Callable[[Path, int], Path]
) -> None:
    good = save_step(tmp_path, 1)
    for step, (file, damage, _) in enumerate(CASES, 2):
        if damage is not change_a_number:  # it is made for step 2
            damage(save_step(tmp_path, step) / file)
    warnings: list[str] = []
    assert newest_good(tmp_path, warnings.append) == good
    assert len(warnings) == len(CASES) - 1


def test_none_at_all(tmp_path: Path) -> None:
    assert newest_good(tmp_path, pytest.fail) is None
    assert newest_good(tmp_path / "nowhere", pytest.fail) is None
