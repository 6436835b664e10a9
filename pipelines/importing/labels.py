"""Names of classes as numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pyarrow as pa

from saccade.pipelines.errors import UserError

_MOST = 65_536


def number_labels(names: Iterable[str], where: str) -> dict[str, int]:
    """Number classes 0, 1, … by name, or by value where all of them are whole numbers.

    Args:
        names: of the classes, any number of times each.
        where: what they were found in, shown in messages.

    Raises:
        UserError: there are so many that they can't be classes.
    """
    found: set[str] = set()
    for name in names:
        found.add(name)
        if len(found) > _MOST:
            raise UserError(f"{where}: more than {_MOST:,} different labels, such as {name[:40]!r}: is it the label?")
    numeric = all(name.isdecimal() and name.isascii() for name in found)
    ordered = sorted(found, key=lambda name: (int(name) if numeric else 0, name))
    return {name: number for number, name in enumerate(ordered)}


def with_label_names(schema: pa.Schema, labels: Iterable[str]) -> pa.Schema:
    """The schema with the classes' names, in order, where reports find them."""
    return schema.with_metadata({**(schema.metadata or {}), "label_names": json.dumps(list(labels))})
