"""What a user named with ``--output``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from saccade.pipelines.errors import UserError


@contextlib.contextmanager
def writing(output: Path) -> Iterator[None]:
    """For a block that writes there.

    Raises:
        UserError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"--output {output}: can't be written ({error.strerror or error})") from None
