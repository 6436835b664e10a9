"""From a job's parts to choices: names and options checked, before anything is built."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from torch import nn

from saccade.cluster.job.attention import Attention, Part
from saccade.cluster.job.explain import explain_value
from saccade.cluster.job.model import Model, Network, PluginModel
from saccade.cluster.parts.options import Option, options_of, supplied
from saccade.models.attention.choice import AttentionChoice
from saccade.models.attention.masks.mask import Mask
from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.attention.positions.position import Bias, Rotation, TokenPosition
from saccade.models.attention.scores.score import Score
from saccade.models.registry import Choice, Entry, Kind, RegistryError, entries, entry
from saccade.pipelines.errors import UserError

BASES: Mapping[Kind, tuple[type, ...]] = {
    "score": (Score,),
    "normalizer": (Normalizer,),
    "mask": (Mask,),
    "position": (TokenPosition, Rotation, Bias),
    "block": (nn.Module,),
    "model": (nn.Module,),
}
"""What a class of each kind must be."""

OWN_PACKAGE = "saccade"


def choose(kind: Kind, key: str, part: Part) -> Choice:
    """The choice that a part of a job stands for.

    Args:
        kind: of the part.
        key: where it stands in the job file, for messages.
        part: its name and options.

    Raises:
        UserError: no such name, or an option that is unknown, missing or of the wrong type.
    """
    found = find(kind, key, part.name)
    return Choice(part.name, checked_options(found, key, part.options))


def choose_attention(attention: Attention) -> AttentionChoice:
    """The choice that the section ``model.attention`` stands for; raises as ``choose`` does."""
    at = "model.attention"
    return AttentionChoice(
        score=choose("score", f"{at}.score", attention.score),
        normalizer=choose("normalizer", f"{at}.normalizer", attention.normalizer),
        masks=[choose("mask", f"{at}.masks.{i}", part) for i, part in enumerate(attention.masks)],
        positions=[choose("position", f"{at}.positions.{i}", part) for i, part in enumerate(attention.positions)],
        key_heads=attention.key_heads,
        backend=attention.backend,
    )


def plugin_parts(model: Model) -> list[Entry]:
    """The parts of a model that aren't Saccade's own, and the model if it isn't; they have been found before."""
    if not isinstance(model, Network):
        return []
    found = [entry("model", model.name)] if isinstance(model, PluginModel) else []
    if isinstance(model, Network):
        found += _entries("block", choose("block", "model.block", model.block))
    section = getattr(model, "attention", None)
    if not isinstance(section, Attention):
        return [one for one in found if one.package != OWN_PACKAGE]
    attention = choose_attention(section)
    found += _entries("score", attention.score) + _entries("normalizer", attention.normalizer)
    found += [one for choice in attention.masks for one in _entries("mask", choice)]
    found += [one for choice in attention.positions for one in _entries("position", choice)]
    return [one for one in found if one.package != OWN_PACKAGE]


def _entries(kind: Kind, choice: Choice) -> list[Entry]:
    """A choice's own entry, and those of the choices among its options."""
    lists = [value for value in choice.options.values() if isinstance(value, list)]
    inner = [one for values in lists for one in values if isinstance(one, Choice)]
    return [entry(kind, choice.name), *(found for one in inner for found in _entries(kind, one))]


def find(kind: Kind, key: str, name: str, own: Sequence[str] = ()) -> Entry:
    """The entry of that name.

    Args:
        kind: of the entry.
        key: for messages.
        name: what the job says.
        own: names that there are besides the registered ones.

    Raises:
        UserError: there is none, or its class isn't what the kind has to be.
    """
    try:
        found = entry(kind, name)
    except RegistryError as error:
        names = [*own, *(e.name for e in entries(kind))]
        more = f"choose one of {', '.join(names)}, or add the plug-in that brings it"
        said = f"no {kind} {name!r}: {more}" if own else str(error)
        raise UserError(f"{key}: {said}{_near(name, names)}") from None
    if not issubclass(found.cls, BASES[kind]):
        wanted = ", ".join(base.__name__ for base in BASES[kind])
        raise UserError(f"{key}: the {kind} {name} of {found.package} is no {wanted}: {found.cls.__name__} must be one")
    return found


def checked_options(found: Entry, key: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the constructor's annotations have them.

    Raises:
        UserError: an option is unknown, missing, or of the wrong type.
    """
    takes = options_of(found)
    what = f"{found.kind} {found.name}"
    if layers := [name for name in given if name in supplied(found)]:
        raise UserError(f"{key}.{layers[0]}: not an option, it comes from the rest of the job; leave it out")
    if unknown := [name for name in given if name not in takes]:
        try:  # only to have its message: no constructor gets that far
            Choice(found.name, dict.fromkeys(unknown)).build(found.kind, **dict.fromkeys(supplied(found)))
        except RegistryError as error:
            raise UserError(f"{key}: {error}{_near(unknown[0], takes)}") from None
    if missing := [name for name, option in takes.items() if option.required and name not in given]:
        raise UserError(f"{key}.{missing[0]} is missing: the {what} needs it")
    return {name: _checked(found.kind, f"{key}.{name}", takes[name], value) for name, value in given.items()}


def _checked(kind: Kind, key: str, option: Option, value: Any) -> Any:
    if not (option.holds_parts and isinstance(value, list)):
        return option.checked(key, value)
    parts = []
    for place, item in enumerate(value):
        try:
            part = Part.model_validate(item)
        except ValidationError as error:
            raise UserError(explain_value(error, f"{key}.{place}", item)) from None
        parts.append(choose(kind, f"{key}.{place}", part))
    return parts


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]}?" if near else ""
