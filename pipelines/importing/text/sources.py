"""Which files of a source hold rows, and of which split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.folder import list_files
from saccade.pipelines.importing.format import option
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.parts import Division, part_of
from saccade.pipelines.importing.reject import Reject


@dataclass(frozen=True)
class TextOptions(Division):
    """Options of every format with texts."""

    encoding: Literal["utf-8", "latin-1", "cp1252"] = option("utf-8", "Of the files.")


@dataclass(frozen=True)
class TextFile:
    """A file with rows.

    Attributes:
        path: where it is.
        part: the split that it is named after, if any.
        size: in bytes.
    """

    path: Path
    part: str | None
    size: int


def find_text_files(
    source: Path, wanted: Callable[[str], bool], options: Division, intake: Intake, needed: str
) -> list[TextFile]:
    """The files that ``wanted`` takes by their names: ``source`` itself, or those in the folder.

    Where some are named after splits (``train.csv``, ``test/part-1.csv``), the others are rejected.

    Raises:
        UserError: there are none, or rows are to be held back for a split that is there.
    """
    if source.is_file() and wanted(source.name):
        return [TextFile(source, None, source.stat().st_size)]
    if source.is_file():
        raise UserError(f"{source}: is none of {needed}")
    found = [TextFile(source / name, part_of(name), size) for name, size in list_files(source).items() if wanted(name)]
    if not found:
        raise UserError(f"{source}: holds no file of {needed}")
    if any(file.part for file in found):
        for file in found:
            if not file.part:
                intake(Reject(str(file.path), 0, "is named after no split, but others are (train, valid, test)", ""))
        found = [file for file in found if file.part]
    options.check(str(source), {file.part for file in found if file.part})
    return found
