"""Recordings with the label in their names."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.pipelines.importing.imported import import_

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.speech.folder import NamePattern


def tone(samples: int = 800, rate: int = 8000, pitch: float = 440) -> np.ndarray[Any, Any]:
    return (0.5 * np.sin(np.arange(samples) * 2 * np.pi * pitch / rate)).astype(np.float32)


def record(path: Path, samples: np.ndarray[Any, Any] | None = None, rate: int = 8000, **settings: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone() if samples is None else samples, rate, **settings)


def test_what_was_recorded_is_what_is_read(tmp_path: Path) -> None:
    """16-bit samples are exact, in every lossless format."""
    exact = np.round(tone() * 32767).astype(np.int16)
    for number, ending in enumerate(("wav", "flac", "aiff")):
        record(tmp_path / f"in/{number}_george_{number}.{ending}", exact)
    done = import_("speech_folder", tmp_path / "in", tmp_path / "out")
    rows = {row["file"]: row for row in done.rows()}
    assert done.labels == ["0", "1", "2"]
    assert rows.keys() == {"0_george_0.wav", "1_george_1.flac", "2_george_2.aiff"}
    for row in rows.values():
        assert np.array_equal(np.array(row["audio"]) * 32768, exact)
        assert (row["sampling_rate"], row["speaker"], row["transcript"]) == (8000, "george", str(row["label"]))
    assert done.about["columns"]["audio"] == {
        "type": "list<element: float not null>",
        "nullable": False,
        "meaning": "samples in -1 .. 1, one channel (the mean of the file's)",
    }


def test_lossy_formats_come_close(tmp_path: Path) -> None:
    record(tmp_path / "in/yes_a_0.ogg", tone(8000))
    record(tmp_path / "in/no_a_0.mp3", tone(8000))
    for row in import_("speech_folder", tmp_path / "in", tmp_path / "out").rows():
        assert np.abs(np.array(row["audio"])[:7000] - tone(8000)[:7000]).max() < 0.1


def test_channels_are_averaged(tmp_path: Path) -> None:
    record(tmp_path / "in/a_b_c.wav", np.stack([tone(), 0 * tone()], axis=1), subtype="FLOAT")
    (row,) = import_("speech_folder", tmp_path / "in", tmp_path / "out").rows()
    assert np.allclose(row["audio"], tone() / 2)


def test_resampling_keeps_the_sound(tmp_path: Path) -> None:
    record(tmp_path / "in/a_b_c.wav", tone(48000, 48000), 48000, subtype="FLOAT")
    record(tmp_path / "in/a_b_d.wav", tone(8000, 8000), 8000, subtype="FLOAT")
    first, second = import_("speech_folder", tmp_path / "in", tmp_path / "out", rate=8000).rows()
    assert first["sampling_rate"] == second["sampling_rate"] == 8000
    assert len(first["audio"]) == len(second["audio"]) == 8000
    assert np.abs(np.array(first["audio"]) - np.array(second["audio"]))[100:-100].max() < 1e-3


def test_folders_may_be_splits_and_labels(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for label in ("yes", "no"):
            record(tmp_path / f"in/{split}/{label}/jo_nohash_1.wav")
    done = import_("speech_folder", tmp_path / "in", tmp_path / "out", name="{label}/{speaker}_nohash_{n}")
    assert done.splits == {"train": 2, "valid": 2, "test": 2}
    assert {row["transcript"]: row["label"] for row in done.rows("test")} == {"no": 0, "yes": 1}


def test_transcripts_need_no_label(tmp_path: Path) -> None:
    record(tmp_path / "in/ann-good morning.wav")
    done = import_("speech_folder", tmp_path / "in", tmp_path / "out", name="{speaker}-{transcript}")
    (row,) = done.rows()
    assert (row["speaker"], row["transcript"], "label" in row) == ("ann", "good morning", False)
    assert "label_names" not in done.about


def test_numbers_are_labels_by_value(tmp_path: Path) -> None:
    for number in (0, 2, 10):
        record(tmp_path / f"in/{number}_a_b.wav")
    assert import_("speech_folder", tmp_path / "in", tmp_path / "out").labels == ["0", "2", "10"]


def test_rows_are_mixed_and_always_the_same(tmp_path: Path) -> None:
    for number in range(40):
        record(tmp_path / f"in/{number // 20}_a_{number}.wav", tone(10))
    first = import_("speech_folder", tmp_path / "in", tmp_path / "first", valid=0.2)
    second = import_("speech_folder", tmp_path / "in", tmp_path / "second", valid=0.2)
    assert first.rows() == second.rows()
    labels = [row["label"] for row in first.rows()]
    assert labels != sorted(labels)
    record(tmp_path / "in/0_a_another.wav", tone(10))
    third = import_("speech_folder", tmp_path / "in", tmp_path / "third", valid=0.2)
    assert [row for row in third.rows() if "another" not in row["file"]] == first.rows()


def test_what_cannot_be_taken_is_named_with_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    record(folder / "a_good_0.wav")
    whole = (folder / "a_good_0.wav").read_bytes()
    record(folder / "whole.flac")
    flac = (folder / "whole.flac").read_bytes()
    (folder / "a_empty_0.wav").touch()
    (folder / "a_cut_0.wav").write_bytes(whole[:900])
    (folder / "a_cut_0.flac").write_bytes(flac[:-20])
    (folder / "a_text_0.wav").write_text("no sound")
    (folder / "a_notes_0.txt").write_text("notes")
    record(folder / "a_silent_0.wav", tone(0))
    record(folder / "a_long_0.wav", tone(9000))
    record(folder / "a_scaled_0.wav", tone() * 30000, subtype="FLOAT")
    record(folder / "a_nan_0.wav", tone() * np.float32("nan"), subtype="FLOAT")
    (folder / "a_gone_0.wav").symlink_to(folder / "nowhere.wav")
    os.mkfifo(folder / "a_pipe_0.wav")
    record(folder / "unnamed.wav")
    (folder / ".DS_Store").touch()
    done = import_("speech_folder", folder, tmp_path / "out", max_seconds=1.0)
    assert [row["file"] for row in done.rows()] == ["a_good_0.wav"]
    expected = {
        "a_empty_0.wav": "is empty",
        "a_cut_0.wav": "is cut off: it states 1,644 bytes and has 900",
        "a_cut_0.flac": "can't be decoded (flac decoder lost sync.)",
        "a_text_0.wav": "can't be decoded (Format not recognised.)",
        "a_notes_0.txt": "is no recording: its name ends in none of .wav",
        "a_silent_0.wav": "has no samples",
        "a_long_0.wav": "lasts 1.1 s, more than --max-seconds 1",
        "a_scaled_0.wav": "has samples up to 15000, but floats must be in -1..1",
        "a_nan_0.wav": "has samples up to nan, but floats must be in -1..1",
        "a_gone_0.wav": "can't be opened (No such file or directory)",
        "a_pipe_0.wav": "is no regular file",
        "unnamed.wav": "is not named like {label}_{speaker}_{index}",
        "whole.flac": "is not named like {label}_{speaker}_{index}",
    }
    assert done.reasons.keys() == expected.keys()
    for name, reason in expected.items():
        assert done.reasons[name].startswith(reason), name
    with pytest.raises(UserError, match=r"--strict stops here"):
        import_("speech_folder", folder, tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


def test_a_loud_float_file_is_cut_at_full_scale(tmp_path: Path) -> None:
    record(tmp_path / "in/a_b_c.wav", tone() * 3, subtype="FLOAT")
    (row,) = import_("speech_folder", tmp_path / "in", tmp_path / "out").rows()
    assert np.allclose(row["audio"], (tone() * 3).clip(-1, 1))


def test_names_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    record(tmp_path / "in/a_b_c.wav")
    with open(os.fsencode(tmp_path / "in") + b"/a_\xff_c.wav", "wb") as file:
        file.write((tmp_path / "in/a_b_c.wav").read_bytes())
    done = import_("speech_folder", tmp_path / "in", tmp_path / "out")
    assert len(done.rows()) == 1
    assert list(done.reasons.items()) == [("a_\\xff_c.wav", "its name isn't UTF-8")]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    record(tmp_path / "elsewhere/a_b_0.wav")
    record(tmp_path / "in/a_b_1.wav")
    (tmp_path / "in/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    assert len(import_("speech_folder", tmp_path / "in", tmp_path / "out").rows()) == 2


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("{speaker}_{index}", "has neither {label} nor {transcript}"),
        ("{label}{speaker}", "has two fields with nothing between them"),
        ("{label}_{label}", "names a field twice"),
        ("{label}_{speaker", "has a { or } that belongs to no field"),
    ],
)
def test_patterns_that_mean_nothing(pattern: str, problem: str) -> None:
    with pytest.raises(UserError, match="--name") as raised:
        NamePattern(pattern)
    assert problem in str(raised.value)


def test_there_is_one_way_to_read_a_name() -> None:
    pattern = NamePattern("{label}_{speaker}_{index}")
    assert pattern.match("deep/7_jackson_32.wav") == {"label": "7", "speaker": "jackson", "index": "32"}
    assert pattern.match("7_jackson_32_b.wav") == {"label": "7", "speaker": "jackson", "index": "32_b"}
    assert pattern.match("7_jackson.wav") == pattern.match("7__32.wav") == pattern.match("noending") == {}
    assert NamePattern("{label}/x.{speaker}").match("a/yes/x.jo.wav") == {"label": "yes", "speaker": "jo"}
    assert NamePattern("{label}_{n}").match("a" * 20000 + ".wav") == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 10}, "--rate is 10"),
        ({"max_seconds": 0.0}, "--max-seconds is 0.0"),
        ({"valid": 2.0}, "--valid is 2.0"),
    ],
)
def test_options_out_of_range(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        import_("speech_folder", tmp_path, tmp_path / "out", **options)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        import_("speech_folder", tmp_path / "nowhere", tmp_path / "out")


def test_large_recordings_make_small_row_groups(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    for number in range(6):
        record(tmp_path / f"in/{number % 2}_a_{number}.flac", np.random.default_rng(number).normal(0, 0.1, 800_000))
    done = import_("speech_folder", tmp_path / "in", tmp_path / "out")
    (file,) = done.folder.rglob("*.parquet")
    metadata = pq.read_metadata(file)
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [3, 3]
