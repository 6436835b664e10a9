"""The files of a source."""

from __future__ import annotations

import os
from pathlib import Path

from saccade.pipelines.errors import UserError


def list_files(source: Path) -> dict[str, int]:
    """All files in a folder at any depth and their sizes, by path relative to it, sorted.

    Hidden ones (``.DS_Store``, ``__MACOSX/``) are not among them. Links to folders are followed, each folder once.

    Raises:
        UserError: there is no such folder, or one in it can't be listed.
    """
    if not source.is_dir():
        raise UserError(f"{source}: {'is a file, but a folder is needed' if source.exists() else 'no such folder'}")
    found: dict[str, int] = {}
    seen: set[tuple[int, int]] = set()
    pending = [""]
    while pending:
        inside = pending.pop()
        try:
            about = os.stat(source / inside)
            if (about.st_dev, about.st_ino) in seen:
                continue
            seen.add((about.st_dev, about.st_ino))
            with os.scandir(source / inside) as entries:
                for entry in entries:
                    if entry.name.startswith((".", "__MACOSX")):
                        continue
                    name = f"{inside}/{entry.name}" if inside else entry.name
                    if entry.is_dir():
                        pending.append(name)
                    else:
                        # A link to nothing has no size; that it can't be read is said when it is its turn.
                        found[name] = entry.stat().st_size if os.path.exists(entry.path) else 0
        except OSError as error:
            raise UserError(f"{source / inside}: can't be listed ({error.strerror})") from error
    return dict(sorted(found.items()))


def is_text(name: str) -> bool:
    """Whether a file's name, whose bytes may be any, can be written as text."""
    return name == shown(name)


def shown(name: str) -> str:
    """A file's name as text, also where its bytes aren't UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
