"""The parts that a job file chooses by name: Saccade's own, and other people's.

    @register("normalizer", "softmax")
    class Softmax(Normalizer): ...

A module registers its classes where they are defined; importing it is all that it takes. Which modules of other
packages are imported is decided elsewhere (``saccade.plugins.discovery``): this file knows names and classes only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

Kind = Literal["score", "normalizer", "mask", "position", "block", "model"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Class = TypeVar("Class", bound=type)


class RegistryError(ValueError):
    """A name that isn't there or is taken, or an option that its class doesn't have; told to the job's author."""


@dataclass(frozen=True)
class Entry:
    """A class that can be chosen by name.

    Attributes:
        kind: what it is a part of.
        name: how a job file calls it.
        cls: the class.
    """

    kind: Kind
    name: str
    cls: type

    @property
    def package(self) -> str:
        """The top-level package that defines it."""
        return self.cls.__module__.partition(".")[0]

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The constructor's arguments."""
        parameters = inspect.signature(self.cls).parameters
        hidden = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return {name: p for name, p in parameters.items() if p.kind not in hidden}


_ENTRIES: dict[tuple[Kind, str], Entry] = {}


def register(kind: Kind, name: str) -> Callable[[Class], Class]:
    """Make the decorated class available under ``name``; RegistryError if the name is another class's."""

    def add(cls: Class) -> Class:
        entry = Entry(kind, name, cls)
        taken = _ENTRIES.get((kind, name))
        if taken and (taken.cls.__module__, taken.cls.__qualname__) != (cls.__module__, cls.__qualname__):
            raise RegistryError(
                f"the {kind} {name!r} of {entry.package} ({cls.__module__}.{cls.__qualname__}) has a name that "
                f"{taken.package} uses already ({taken.cls.__module__}.{taken.cls.__qualname__}): rename one of them"
            )
        _ENTRIES[kind, name] = entry
        return cls

    return add


def entries(kind: Kind | None = None) -> list[Entry]:
    """All entries, or those of one kind, in the order of kind and name."""
    found = [entry for entry in _ENTRIES.values() if kind in (None, entry.kind)]
    return sorted(found, key=lambda entry: (KINDS.index(entry.kind), entry.name))


def entry(kind: Kind, name: str) -> Entry:
    """The entry called ``name``; RegistryError lists those there are."""
    if (kind, name) not in _ENTRIES:
        names = ", ".join(e.name for e in entries(kind))
        raise RegistryError(f"no {kind} {name!r}: choose one of {names}, or add the plug-in that brings it")
    return _ENTRIES[kind, name]


@dataclass(frozen=True)
class Choice:
    """A class chosen by name, with its options; made by a job file, built once for every layer.

    Attributes:
        name: see ``register``.
        options: keyword arguments of its constructor.
    """

    name: str
    options: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash(self.name)  # options are a mapping, which has none

    @staticmethod
    def of(name: str, **options: Any) -> Choice:
        """A choice written in code."""
        return Choice(name, options)

    def build(self, kind: Kind, **supplied: Any) -> Any:
        """Make the object.

        Args:
            kind: what is chosen.
            supplied: what the layer knows (``dim``, ``heads``, …); each goes to constructors that name it, where the
                options don't set it.

        Raises:
            RegistryError: no such name, or an option that its constructor doesn't take.
        """
        found = entry(kind, self.name)
        unknown = [name for name in self.options if name not in found.parameters]
        if unknown:
            takes = [name for name in found.parameters if name not in supplied]
            raise RegistryError(
                f"{kind} {self.name}: no option {', '.join(map(repr, unknown))}; "
                + (f"it takes {', '.join(takes)}" if takes else "it takes none")
            )
        given = {name: value for name, value in supplied.items() if name in found.parameters}
        return found.cls(**given | dict(self.options))
