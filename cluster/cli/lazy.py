"""A command group that imports a command's module when the command is asked for, not to list it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click


@dataclass(frozen=True)
class Lazy:
    """A command that isn't imported yet.

    Attributes:
        module: the module that defines it.
        name: its name in there.
        help: the first line of its help, to be listed without importing it.
    """

    module: str
    name: str
    help: str

    def load(self) -> click.Command:
        """Import the command."""
        command: click.Command = getattr(import_module(self.module), self.name)
        return command


class LazyGroup(click.Group):
    """A group of lazy commands and of others, listed in the given order."""

    def __init__(self, name: str, commands: Mapping[str, Lazy | click.Command], **settings: Any) -> None:
        super().__init__(name, **settings)
        self.entries = dict(commands)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names, in order."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and give one command."""
        entry = self.entries.get(cmd_name)
        return entry.load() if isinstance(entry, Lazy) else entry

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from what is known without importing them."""
        rows = [(name, (entry.help or "").splitlines()[0]) for name, entry in self.entries.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a mistyped one is an error that names the nearest."""
        if args and args[0] not in self.entries and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.entries, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f": choose one of {', '.join(self.entries)}"
            ctx.fail(f"no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)
