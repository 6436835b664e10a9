"""All parts that a job can name, and where they come from."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from saccade.cluster.job.model import Model
from saccade.cluster.parts.choose import OWN_PACKAGE, plugin_parts
from saccade.cluster.parts.options import Option, options_of
from saccade.models.registry import Entry, entries
from saccade.plugins.discovery import Installed, load_installed


@dataclass(frozen=True)
class Listed:
    """A part as people see it.

    Attributes:
        entry: of the registry.
        package: what pip calls the package that defines it; its module's name where it belongs to none.
        version: of the package; None where it belongs to none.
    """

    entry: Entry
    package: str
    version: str | None

    @property
    def options(self) -> list[Option]:
        """What a job file may set."""
        return list(options_of(self.entry).values())

    @property
    def signature(self) -> str:
        """The options with their types and defaults, in one line."""
        return ", ".join(map(str, self.options))

    @property
    def description(self) -> str:
        """The first line of its docstring; of the class's own, not of one that it inherits."""
        text = inspect.cleandoc(self.entry.cls.__dict__.get("__doc__") or "")
        return text.partition("\n")[0].strip()

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "kind": self.entry.kind,
            "name": self.entry.name,
            "package": self.package,
            "version": self.version,
            "class": f"{self.entry.cls.__module__}.{self.entry.cls.__qualname__}",
            "signature": self.signature,
            "options": [
                {"name": option.name, "type": option.type_name, "required": option.required}
                | ({} if option.required else {"default": option.default})
                for option in self.options
            ],
            "description": self.description,
        }


def all_parts() -> list[Listed]:
    """Every registered part but those of packages that are broken, by kind and name."""
    broken = {plugin.value.partition(":")[0].partition(".")[0] for plugin in broken_plugins()}
    return [_listed(entry) for entry in entries() if entry.package not in broken]


def broken_plugins() -> list[Installed]:
    """The installed plug-ins that can't be imported."""
    return [plugin for plugin in load_installed() if plugin.broken]


def plugin_packages(model: Model) -> dict[str, str | None]:
    """The packages besides Saccade that a model's parts come from, with their versions; they have been found before."""
    parts = [_listed(entry) for entry in plugin_parts(model)]
    return {part.package: part.version for part in parts}


def _listed(entry: Entry) -> Listed:
    package = entry.package if entry.package == OWN_PACKAGE else _distribution_names().get(entry.package, [None])[0]
    if package is None:
        return Listed(entry, entry.cls.__module__, None)
    try:
        return Listed(entry, package, version(package))
    except PackageNotFoundError:  # Saccade itself, run from its folder
        return Listed(entry, package, None)


@cache
def _distribution_names() -> dict[str, list[str]]:
    return dict(packages_distributions())
