"""The Examples section of a command's help."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """An epilog that lists command lines as they are (a backspace character keeps click from wrapping them)."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
