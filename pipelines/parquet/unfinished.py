"""The mark of a folder whose files aren't all there yet: a part of a data set must not be trained on as if it were all.

It is for writers on file systems where a finished folder can't be renamed into place.
"""

from __future__ import annotations

from saccade.pipelines.errors import UserError

UNFINISHED = "_UNFINISHED"


def refuse_unfinished(name: str, folder: str) -> None:
    """Look at the name of a file that lies in or below a folder.

    Raises:
        UserError: it is the mark.
    """
    if name == UNFINISHED:
        raise UserError(
            f"{folder}: is unfinished (it has a file {UNFINISHED}): a write was cut short, or is going on: "
            "wait for it, or write the folder again"
        )
