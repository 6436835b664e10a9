"""Which split a row goes to: what the source says by names, else a share of the rows by a hash of each one's name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.format import option

_PART = re.compile(r"(train|training|valid|validation|val|dev|test|testing|t10k)(?![a-z])", re.IGNORECASE)


def part_of(name: str) -> str | None:
    """The split that a file or folder is named after: ``train.csv``, ``dev-clean``, ``val2017``, ``test_2016.en``."""
    match = _PART.match(name)
    if match is None:
        return None
    first = match[1].lower()
    return "train" if first.startswith("train") else "test" if first.startswith("t") else "valid"


def part_folders(source: str, names: Iterable[str]) -> dict[str, str]:
    """The folders directly in ``source`` that are splits, and which; empty where none is.

    Args:
        source: shown in messages.
        names: the files, relative to it.

    Raises:
        UserError: there are such folders and others beside them, so that ``train`` might as well be a class.
    """
    folders = {name.split("/")[0] for name in names if "/" in name}
    parts = {folder: part for folder in sorted(folders) if (part := part_of(folder))}
    others = sorted(folders - parts.keys())
    if parts and others:
        raise UserError(
            f"{source}: {next(iter(parts))}/ looks like a split, but {others[0]}/ beside it doesn't: "
            "put all into train/, valid/ and test/, or import one of them"
        )
    return parts


@dataclass(frozen=True)
class Division:
    """Options of every format that can hold rows back. What they hold back is taken from training rows only.

    The hash is of the row's name (a file's path in the source, a text itself), so that a row stays where it is when
    others are added, and equal texts are never on both sides.
    """

    valid: float = option(0.0, "Share of the rows that become the split valid, where the source has none.")
    test: float = option(0.0, "Share of the rows that become the split test, where the source has none.")
    seed: int = option(0, "Of the hash that chooses them; another seed, another choice.")

    def __post_init__(self) -> None:
        for name in ("valid", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}, but must be a share: 0 <= {name} < 1")
        if self.valid + self.test >= 1:
            raise UserError(f"--valid {self.valid} and --test {self.test} leave no row to train on")

    def check(self, source: str, parts: Collection[str]) -> None:
        """Refuse to hold back rows for a split that the source has.

        Raises:
            UserError: it has that split.
        """
        for name in ("valid", "test"):
            if getattr(self, name) and name in parts:
                raise UserError(f"{source}: has a {name} split of its own: leave out --{name}")

    def split(self, part: str | None, key: str) -> str:
        """The split of a row that the source has in ``part``."""
        if part in ("valid", "test"):
            return part
        drawn = int.from_bytes(self.hash(key)) / 2**64
        return "test" if drawn < self.test else "valid" if drawn < self.test + self.valid else "train"

    def hash(self, key: str) -> bytes:
        """Eight bytes that depend on the seed and the key alone; sorting by them mixes what is named alike."""
        text = f"{self.seed}:{key}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(text, digest_size=8).digest()
