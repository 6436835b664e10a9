"""Lines, each one accounted for."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.text.lines import LONGEST, numbered_lines, problem_of


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"))))
def test_only_line_feeds_end_lines(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes("".join(f"{text}\n" for text in texts).encode())
    expected = [text.removeprefix("\ufeff") if number == 1 else text for number, text in enumerate(texts, 1)]
    assert [text for _, text in numbered_lines(path)] == expected


def test_packed_files_and_progress(tmp_path: Path) -> None:
    (tmp_path / "x.txt.gz").write_bytes(gzip.compress(b"one\r\ntwo\n\nfour"))
    read: list[int] = []
    assert list(numbered_lines(tmp_path / "x.txt.gz", advance=read.append)) == [
        (1, "one"),
        (2, "two"),
        (3, ""),
        (4, "four"),
    ]
    assert sum(read) == (tmp_path / "x.txt.gz").stat().st_size


def test_lines_that_are_no_text_are_known(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"caf\xe9\nok\na\0b\n" + b"x" * (3 * LONGEST) + b"\nlast\n")
    lines = list(numbered_lines(tmp_path / "x.txt"))
    assert [number for number, _ in lines] == [1, 2, 3, 4, 5]
    assert [problem_of(text) for _, text in lines] == [
        "has the byte 0xe9, which isn't text: is it in another encoding?",
        "",
        "has a NUL character: is it text?",
        "is longer than 1,048,576 bytes",
        "",
    ]
    assert next(numbered_lines(tmp_path / "x.txt", encoding="latin-1")) == (1, "café")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfea\0", "is UTF-16: convert it with `iconv -f utf-16 -t utf-8`"),
        (gzip.compress(b"one\n" * 10_000)[:-10], "can't be read after line"),
        (b"no gzip", "can't be read after line 0"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / ("x.txt" if content.startswith(b"\xff") else "x.txt.gz")
    path.write_bytes(content)
    with pytest.raises(UserError, match=str(path)) as raised:
        list(numbered_lines(path))
    assert message in str(raised.value)
