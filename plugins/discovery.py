"""Other people's parts: importing the packages and modules that register them (``saccade.models.registry``).

An installed package says what to import by an entry point of the group ``saccade.plugins``; a job names modules of the
directory that it is trained in. Nothing is imported before it is asked for, and then once a process.
"""

from __future__ import annotations

import difflib
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module, invalidate_caches
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from saccade.models import registry
from saccade.pipelines.errors import UserError

GROUP = "saccade.plugins"
OWN = ("scores", "normalizers", "masks", "positions", "hstu", "ligr", "block")


@dataclass(frozen=True)
class Installed:
    """An installed package that brings parts.

    Attributes:
        name: of the entry point.
        value: what it names, a module or ``module:function``.
        package: how pip calls the package.
        version: of the package.
        broken: why it couldn't be imported; None where it could.
    """

    name: str
    value: str
    package: str
    version: str
    broken: str | None


def load_plugins(modules: Sequence[str], directories: Sequence[Path]) -> None:
    """Import all installed plug-ins and a job's modules.

    Args:
        modules: the job's ``plugins``.
        directories: where its modules are looked for, besides among the installed packages.

    Raises:
        UserError: one of them can't be imported, or brings a name that is taken.
    """
    for plugin in load_installed():
        if plugin.broken:
            raise UserError(
                f"the installed plug-in {plugin.package} {plugin.version} can't be loaded: {plugin.broken}: "
                f"mend it, or remove it with `pip uninstall {plugin.package}`"
            )
    for module in modules:
        load_module(module, directories)


@cache
def load_installed() -> tuple[Installed, ...]:
    """Import Saccade's own parts, then every installed plug-in; one that fails is told of in the result."""
    for module in OWN:  # first, so that it is never they that find a name taken
        import_module(f"saccade.models.attention.{module}")
    points = sorted(entry_points(group=GROUP), key=lambda point: (_package(point), point.name))
    return tuple(Installed(point.name, point.value, *_package(point), broken=_load(point)) for point in points)


def load_module(name: str, directories: Sequence[Path]) -> None:
    """Import a module that a job names, from the first of the directories that has it, or an installed one.

    Raises:
        UserError: it isn't there, can't be imported, isn't the one that is meant, or brings a name that is taken.
    """
    for path in map(str, directories):
        if path not in sys.path:
            sys.path.append(path)  # at the end: nothing there may stand in for what is installed
    invalidate_caches()
    looked = ", ".join(map(str, directories))
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise UserError(f"plugins: {name} can't be imported: {say(error, name)}") from None
        raise UserError(
            f"plugins: there is no module {name} in {looked}, nor is one installed{_near(name, directories)}"
        ) from None
    except (Exception, SystemExit) as error:
        raise UserError(f"plugins: {name} can't be imported: {say(error, name)}") from None
    _check_place(name, module, directories)


def _check_place(name: str, module: ModuleType, directories: Sequence[Path]) -> None:
    """See that the module is the one of the directories, if they have one."""
    file = getattr(module, "__file__", None)
    if file is None:
        places = [Path(place) for place in getattr(module, "__path__", [])]
        inside = ", ".join(sorted(f"{name}.{path.stem}" for place in places for path in place.glob("*.py")))
        hint = f"name one of its modules ({inside})" if inside else "there is no module in it"
        raise UserError(f"plugins: {name} is a folder without an __init__.py: {hint}")
    top = name.partition(".")[0]
    meant = next((d for d in directories if (d / f"{top}.py").is_file() or (d / top / "__init__.py").is_file()), None)
    if meant is not None and meant.resolve() not in Path(file).resolve().parents:
        raise UserError(f"plugins: {name} of {meant} is hidden by {file}, which has the same name: rename it")


def _near(name: str, directories: Sequence[Path]) -> str:
    """A hint at the module that may be meant."""
    there = [path.stem for directory in directories for path in directory.glob("*.py")]
    near = difflib.get_close_matches(name, there, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _package(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else (point.name, "")


def _load(point: EntryPoint) -> str | None:
    """Why an entry point doesn't load, or None once it has."""
    try:
        loaded = point.load()
        if not isinstance(loaded, ModuleType):
            loaded()
    except (Exception, SystemExit) as error:
        return say(error, point.module)
    return None


def say(error: BaseException, module: str) -> str:
    """An exception in a line, with the place in the plug-in's own code that it came from."""
    if isinstance(error, registry.RegistryError):
        return str(error)
    said = str(error.msg if isinstance(error, SyntaxError) else error).strip().splitlines()
    place = (error.filename, error.lineno) if isinstance(error, SyntaxError) else _place(error, module)
    where = f" ({place[0]}:{place[1]})" if place else ""
    return f"{type(error).__name__}{': ' if said else ''}{said[0] if said else ''}{where}"


def _place(error: BaseException, module: str) -> tuple[str, int | None] | None:
    """File and line of the last call in ``module``'s package, else of the last one that isn't the import system's."""
    system = ("<frozen", __file__, str(Path(import_module.__code__.co_filename).parent))
    calls = [call for call in traceback.extract_tb(error.__traceback__) if not call.filename.startswith(system)]
    spec = find_spec(module.partition(".")[0])
    folders = tuple(f"{folder}/" for folder in spec.submodule_search_locations or ()) if spec else ()
    own = [call for call in calls if spec and (call.filename == spec.origin or call.filename.startswith(folders))]
    return next(((call.filename, call.lineno) for call in reversed(own or calls)), None)
