"""Subword tokens, learned from a text column."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.source import Source

if TYPE_CHECKING:
    import tokenizers

UNKNOWN = "[UNK]"
WORD = "▁"
"""The mark before a word's first piece."""


class Tokenizer:
    """Lower-cases, splits at spaces and punctuation, and cuts words into known pieces (byte-pair encoding)."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        """Wraps a tokenizer of the ``tokenizers`` library; see :meth:`load` and :func:`fit_tokenizer`."""
        self._tokenizer = tokenizer

    @staticmethod
    def load(path: Path) -> Tokenizer:
        """Open a saved tokenizer.

        Raises:
            UserError: the file is missing or isn't a tokenizer.
        """
        library = _library()
        try:
            return Tokenizer(library.Tokenizer.from_str(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise UserError(f"{path}: the tokenizer can't be read ({error.strerror})") from None
        except Exception as error:  # the library raises bare Exception
            raise UserError(
                f"{path}: not a tokenizer ({str(error).splitlines()[0]}); delete it to fit a new one"
            ) from None

    @property
    def size(self) -> int:
        """Number of tokens; ids are 0 .. size - 1."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with anything that changes the tokens of a text."""
        return hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()[:16]

    def encode(self, texts: Jagged, max_length: int) -> Jagged:
        """UTF-8 bytes of N texts -> int64 ids of each one's first ``max_length`` tokens; an empty text has none."""
        encoded = self._tokenizer.encode_batch(_strings(texts), add_special_tokens=False)
        ids = [found.ids[:max_length] for found in encoded]
        lengths = torch.tensor([len(one) for one in ids], dtype=torch.int64)
        return Jagged(torch.tensor([i for one in ids for i in one], dtype=torch.int64), Layout(lengths))

    def pieces(self, ids: Tensor) -> list[str]:
        """Token ids ([T] int64) as people read them: a word's first piece as it is, the others behind a hyphen."""
        pieces = [self._tokenizer.id_to_token(number) or UNKNOWN for number in ids.tolist()]
        alone = (UNKNOWN, WORD)
        return [p if p in alone else p[1:] if p.startswith(WORD) else f"-{p}" for p in pieces]


def fit_tokenizer(source: Source, column: str, vocabulary: int, path: Path) -> Path:
    """Learn a tokenizer from all texts of a source and save it; the same texts give the same file.

    Reads one row group after the other and keeps word counts only.

    Args:
        source: has the string column, and only training rows.
        column: its name.
        vocabulary: the most tokens that it may have.
        path: where to write it (``tokenizer.json``).

    Returns:
        ``path``.

    Raises:
        UserError: the texts hold nothing to learn from.
    """
    library = _library()
    tokenizer = library.Tokenizer(library.models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = library.normalizers.BertNormalizer(lowercase=True)
    split = [library.pre_tokenizers.BertPreTokenizer(), library.pre_tokenizers.Metaspace()]
    tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence(split)
    tokenizer.decoder = library.decoders.Metaspace()
    # A mark before each word and no mark inside it: with one (WordPiece) the trainer numbers the pieces in the order of
    # a hash map, and every run gets another vocabulary.
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary, min_frequency=2, special_tokens=[UNKNOWN], show_progress=False, limit_alphabet=1000
    )
    tokenizer.train_from_iterator(_texts(source, column), trainer)
    if tokenizer.get_vocab_size() <= 1:
        raise UserError(f"{source.files[0]}: column {column!r} holds no text to learn a vocabulary from")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    return path


def _texts(source: Source, column: str) -> Iterator[Sequence[str]]:
    for group in source.row_groups:
        texts = source.read(group.first_row, group.first_row + group.rows).columns[column]
        assert isinstance(texts, Jagged)
        yield _strings(texts)


def _strings(texts: Jagged) -> list[str]:
    data = texts.values.numpy().tobytes()
    offsets = texts.layout.host_offsets.tolist()
    return [data[begin:end].decode(errors="replace") for begin, end in pairwise(offsets)]


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise UserError("text needs the tokenizers library: pip install 'saccade[text]'") from None
    return tokenizers
