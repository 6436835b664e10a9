"""Tokens learned from a text column."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.text.tokenizer import Tokenizer, fit_tokenizer

WORDS = ["abbey", "ability", "able", "label", "table", "stable", "unstable", "Ábel", "house", "mouse", "moose", "goose"]


def open_texts(folder: Path, texts: list[str]) -> Source:
    pq.write_table(pa.table({"text": texts}), folder / "texts.parquet", row_group_size=7)
    return Source.open(str(folder / "texts.parquet"), None, [Column("text", "string")])


def many_texts() -> list[str]:
    torch.manual_seed(0)
    return [" ".join(WORDS[i] for i in torch.randint(0, len(WORDS), (5,)).tolist()) + "?" for _ in range(100)]


def as_bytes(texts: list[str]) -> Jagged:
    return Jagged.pack([torch.tensor(list(text.encode()), dtype=torch.uint8) for text in texts])


def test_the_same_texts_give_the_same_file_in_every_process(tmp_path: Path) -> None:
    source = open_texts(tmp_path, many_texts())
    here = fit_tokenizer(source, "text", 60, tmp_path / "a" / "tokenizer.json")
    script = (
        "import sys; from pathlib import Path; from saccade.pipelines.parquet.schema import Column;"
        "from saccade.pipelines.parquet.source import Source;"
        "from saccade.pipelines.text.tokenizer import fit_tokenizer;"
        "source = Source.open(sys.argv[1], None, [Column('text', 'string')]);"
        "fit_tokenizer(source, 'text', 60, Path(sys.argv[2]))"
    )
    there = tmp_path / "b.json"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "texts.parquet"), str(there)], check=True, timeout=120)
    assert here.read_bytes() == there.read_bytes()
    assert Tokenizer.load(here).fingerprint == Tokenizer.load(there).fingerprint


def test_ids_lie_in_the_vocabulary_and_texts_are_cut(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(fit_tokenizer(open_texts(tmp_path, many_texts()), "text", 60, tmp_path / "t.json"))
    assert tokenizer.size <= 60
    texts = ["stable table", "", "☃ unheard-of zebras", "able"]
    tokens = tokenizer.encode(as_bytes(texts), max_length=100)
    assert tokens.values.dtype == torch.int64
    assert tokens.values.min() >= 0
    assert tokens.values.max() < tokenizer.size
    assert tokens.layout.lengths[1] == 0
    cut = tokenizer.encode(as_bytes(texts), max_length=2)
    assert [one.tolist() for one in cut.unpack()] == [one[:2].tolist() for one in tokens.unpack()]


def test_case_accents_and_punctuation_make_no_new_words(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(fit_tokenizer(open_texts(tmp_path, many_texts()), "text", 200, tmp_path / "t.json"))
    one, other, apart = tokenizer.encode(as_bytes(["Abel's table?", "ÁBEL'S TABLE?", "abel ' s table ?"]), 50).unpack()
    assert one.tolist() == other.tolist() == apart.tolist()


def test_no_texts_give_no_tokens(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(fit_tokenizer(open_texts(tmp_path, many_texts()), "text", 60, tmp_path / "t.json"))
    nothing = Jagged.pack([torch.zeros(0, dtype=torch.uint8)]).take(torch.zeros(0, dtype=torch.int64))
    tokens = tokenizer.encode(nothing, 10)
    assert len(tokens) == 0
    assert tokens.values.dtype == torch.int64


def test_texts_without_a_word_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="column 'text' holds no text"):
        fit_tokenizer(open_texts(tmp_path, ["", "  "]), "text", 60, tmp_path / "t.json")


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        Tokenizer.load(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text('{"model": 1}')
    with pytest.raises(UserError, match="not a tokenizer"):
        Tokenizer.load(tmp_path / "broken.json")


def test_pieces_read_as_words(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(fit_tokenizer(open_texts(tmp_path, many_texts()), "text", 60, tmp_path / "t.json"))
    text = "Unstable tables, ☃?"
    pieces = tokenizer.pieces(tokenizer.encode(as_bytes([text]), max_length=100).values)
    words = " ".join(pieces).replace(" -", "").split()
    assert words[0] == "unstable"
    assert words[1] == "tables"
    assert words[-1] == "?"
    assert "[UNK]" in pieces
    assert tokenizer.pieces(torch.zeros(0, dtype=torch.int64)) == []
