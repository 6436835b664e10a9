"""LibriSpeech's layout."""

from pathlib import Path

import pytest
from tests.pipelines.importing.imported import import_
from tests.pipelines.importing.speech.test_speech_folder import record

from saccade.pipelines.errors import UserError


def chapter(folder: Path, speaker: int, number: int, transcripts: list[str]) -> None:
    """A chapter of one part, as it is published."""
    path = folder / str(speaker) / str(number)
    lines = []
    for index, transcript in enumerate(transcripts):
        name = f"{speaker}-{number}-{index:04}"
        record(path / f"{name}.flac", rate=16000)
        lines.append(f"{name} {transcript}\n")
    (path / f"{speaker}-{number}.trans.txt").write_text("".join(lines))


def test_parts_become_splits(tmp_path: Path) -> None:
    source = tmp_path / "LibriSpeech"
    chapter(source / "train-clean-100", 84, 121123, ["GO DO YOU HEAR", "BUT IN LESS"])
    chapter(source / "train-other-500", 20, 205, ["AND SO"])
    chapter(source / "dev-clean", 174, 50561, ["FORGOTTEN TOO"])
    chapter(source / "test-other", 367, 130732, ["LOBSTERS AND LOBSTERS"])
    (source / "LICENSE.TXT").write_text("CC BY 4.0")
    done = import_("librispeech", source, tmp_path / "out")
    assert done.splits == {"train": 3, "valid": 1, "test": 1}
    assert not done.rejects
    said = {(row["speaker"], row["transcript"], row["sampling_rate"]) for row in done.rows()}
    assert said == {("84", "GO DO YOU HEAR", 16000), ("84", "BUT IN LESS", 16000), ("20", "AND SO", 16000)}
    assert done.rows("valid")[0]["file"] == "dev-clean/174/50561/174-50561-0000.flac"


def test_one_part_alone_is_divided(tmp_path: Path) -> None:
    for number in range(20):
        chapter(tmp_path / "dev-clean", 1, number, ["ONE"])
    done = import_("librispeech", tmp_path / "dev-clean", tmp_path / "out", test=0.3)
    assert sum(done.splits.values()) == 20
    assert done.splits["test"] > 1


def test_what_does_not_fit_together_is_rejected(tmp_path: Path) -> None:
    folder = tmp_path / "in/dev-clean"
    chapter(folder, 1, 2, ["ZERO", "ONE", "TWO", "THREE"])
    (folder / "1/2/1-2-0001.flac").unlink()
    (folder / "1/2/1-2-0002.flac").write_bytes(b"fLaC, not really")
    (folder / "1/2/1-2.trans.txt").write_bytes(
        b"1-2-0000 ZERO\n1-2-0000 AGAIN\n1-2-0001 ONE\n1-2-0002 TWO\n1-2-0004\n1-2-0005 \xff\n"
    )
    done = import_("librispeech", tmp_path / "in", tmp_path / "out")
    assert [row["transcript"] for row in done.rows("valid")] == ["ZERO"]
    reasons = {(Path(reject["file"]).name, reject["line"]): reject["reason"] for reject in done.rejects}
    assert reasons == {
        ("1-2.trans.txt", 2): "its recording is missing, or another line has it as well",
        ("1-2.trans.txt", 3): "its recording is missing, or another line has it as well",
        ("1-2-0002.flac", 0): "can't be decoded (unknown error in flac decoder.)",
        ("1-2.trans.txt", 5): "has no transcript",
        ("1-2.trans.txt", 6): "has the byte 0xff, which isn't text: is it in another encoding?",
        ("1-2-0003.flac", 0): "has no line in its chapter's transcripts",
    }


def test_a_folder_without_transcripts(tmp_path: Path) -> None:
    record(tmp_path / "in/1-2-0000.flac")
    with pytest.raises(UserError, match=r"no \.trans\.txt file in it"):
        import_("librispeech", tmp_path / "in", tmp_path / "out")
