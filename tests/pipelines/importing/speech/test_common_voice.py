"""Common Voice's layout."""

from pathlib import Path

import pytest
from tests.pipelines.importing.imported import import_
from tests.pipelines.importing.speech.test_speech_folder import record, tone

from saccade.pipelines.errors import UserError

HEADER = "client_id\tpath\tsentence_id\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\n"


def write_list(path: Path, clips: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"speaker{n}\t{clip}\t{n}\t{sentence}\t2\t0\t\t\t\ten\n" for n, (clip, sentence) in enumerate(clips.items())
    ]
    path.write_text(HEADER + "".join(rows))


def test_lists_become_splits(tmp_path: Path) -> None:
    source = tmp_path / "en"
    for name, split in (("train", "train"), ("dev", "valid"), ("test", "test")):
        write_list(source / f"{name}.tsv", {f"{split}_1.mp3": f'"{split}" she said', f"{split}_2.mp3": "Two."})
        record(source / f"clips/{split}_1.mp3", tone(16000), 32000)
        record(source / f"clips/{split}_2.mp3", tone(16000), 32000)
    done = import_("common_voice", source, tmp_path / "out", rate=16000)
    assert done.splits == {"train": 2, "valid": 2, "test": 2}
    first = done.rows("valid")[0]
    assert (first["transcript"], first["speaker"], first["file"]) == (
        '"valid" she said',
        "speaker0",
        "clips/valid_1.mp3",
    )
    assert first["sampling_rate"] == 16000
    assert abs(len(first["audio"]) - 8000) <= 1


def test_validated_alone_is_divided(tmp_path: Path) -> None:
    write_list(tmp_path / "in/validated.tsv", {f"{n}.wav": "One." for n in range(20)})
    for n in range(20):
        record(tmp_path / f"in/clips/{n}.wav")
    done = import_("common_voice", tmp_path / "in", tmp_path / "out", valid=0.2)
    assert done.splits["train"] + done.splits["valid"] == 20


def test_clips_and_lines_that_are_missing(tmp_path: Path) -> None:
    write_list(tmp_path / "in/train.tsv", {"1": "No ending.", "gone.mp3": "Gone.", "../x.mp3": "Out.", "2.mp3": " "})
    with (tmp_path / "in/train.tsv").open("a") as file:
        file.write("speaker\tshort.mp3\n")
    record(tmp_path / "in/clips/1.mp3", tone(4000))
    done = import_("common_voice", tmp_path / "in", tmp_path / "out")
    assert [row["transcript"] for row in done.rows()] == ["No ending."]
    reasons = [(reject["line"], reject["reason"]) for reject in done.rejects]
    assert (4, "has no sentence") not in reasons
    assert len(reasons) == 4
    assert (0, "can't be opened (No such file or directory)") in reasons
    assert (5, "has no sentence") in reasons


def test_a_folder_that_is_no_language(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    with pytest.raises(UserError, match=r"name the folder of one language"):
        import_("common_voice", tmp_path, tmp_path / "out")
