"""Lines of a text file, each one accounted for.

A line ends at a line feed and at nothing else: Python's own notion of lines (``str.splitlines``) also takes separators
that occur inside sentences, and parallel files would fall out of step.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, cast

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.media import message_of

Encoding = Literal["utf-8", "latin-1", "cp1252"]

LONGEST = 2**20
"""Bytes of a line; what is longer is hardly text, and would be held in memory as a whole."""

_UNDECODED = re.compile("[\udc80-\udcff]")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def numbered_lines(
    path: Path, *, encoding: Encoding = "utf-8", advance: Callable[[int], None] = lambda count: None
) -> Iterator[tuple[int, str]]:
    """All lines of a file, ``.gz`` or not, with their numbers from 1 and without their ends.

    Bytes that can't be decoded and lines beyond LONGEST are let through in a form that :func:`problem_of` knows.

    Args:
        path: the file.
        encoding: of its text.
        advance: is told of bytes that were read.

    Raises:
        UserError: it can't be opened, read or unpacked, or is UTF-16.
    """
    number, told = 0, 0
    try:
        with path.open("rb") as raw:
            file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if path.name.lower().endswith(".gz") else raw
            while line := file.readline(LONGEST + 1):
                number += 1
                if number == 1 and line.startswith(_UTF_16):
                    raise UserError(f"{path}: is UTF-16: convert it with `iconv -f utf-16 -t utf-8`")
                text = line.decode(encoding, "surrogateescape")
                while len(line) > LONGEST and not line.endswith(b"\n"):
                    line = file.readline(LONGEST + 1)
                yield number, (text.removeprefix("\ufeff") if number == 1 else text).rstrip("\r\n")
                if (position := raw.tell()) != told:
                    advance(position - told)
                    told = position
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: can't be read after line {number:,} ({message_of(error)})") from error


def problem_of(*texts: str) -> str:
    """Why a line, or the fields of a row, can't be taken; empty where they can."""
    for text in texts:
        if len(text) > LONGEST - 2:
            return f"is longer than {LONGEST:,} bytes"
        if "\0" in text:
            return "has a NUL character: is it text?"
        if not text.isascii() and (match := _UNDECODED.search(text)):
            return f"has the byte 0x{ord(match[0]) - 0xDC00:x}, which isn't text: is it in another encoding?"
    return ""
