"""Which keys a job takes, found from its types: for error messages and documentation."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from saccade.cluster.job.section import Section


def key_paths(section: type[Section], prefix: str = "") -> list[str]:
    """Every dotted key under a section, of all variants that a section may have, without repeats."""
    paths: dict[str, None] = {}
    for name, field in section.model_fields.items():
        variants = sections_in(field.annotation)
        if not variants:
            paths[prefix + name] = None
        for variant in variants:
            paths.update(dict.fromkeys(key_paths(variant, f"{prefix}{name}.")))
    return list(paths)


def sections_in(annotation: Any, lists: bool = False) -> list[type[Section]]:
    """The section classes in a type: one for a section, several for a union of them, none for a plain value.

    With ``lists`` those that a list holds count too.
    """
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    if get_origin(annotation) is tuple and not lists:
        return []
    return [section for argument in get_args(annotation) for section in sections_in(argument, lists)]


def section_at(job: type[Section], path: Sequence[str], values: Any) -> type[Section]:
    """The section that ``path`` leads to; of a union's variants the one that ``name`` in ``values`` chooses.

    That is the variant of this name, else one that takes any name, else (there is no name) the first.
    """
    section, variants = job, [job]
    for key in path:
        if isinstance(values, list):  # the key is a place in it
            values = values[int(key)]
        else:
            values = values.get(key, {}) if isinstance(values, Mapping) else {}
            variants = sections_in(section.model_fields[key].annotation, lists=True)
        name = values.get("name") if isinstance(values, Mapping) else None
        named = [v for v in variants if name and name in get_args(_name_type(v))]
        of_any_name = [v for v in variants if name and _name_type(v) is str]
        section = [*named, *of_any_name, *variants][0]
    return section


def _name_type(section: type[Section]) -> Any:
    """The type of a section's name; None where it has none."""
    return section.model_fields["name"].annotation if "name" in section.model_fields else None


def nearest_keys(job: type[Section], path: Sequence[str], values: Any) -> list[str]:
    """The right keys that an unknown one may stand for, likeliest first: in its own section, or elsewhere."""
    *parents, key = path
    siblings = list(section_at(job, parents, values).model_fields)

    def close(cutoff: float) -> list[str]:
        return [".".join([*parents, match]) for match in difflib.get_close_matches(key, siblings, n=2, cutoff=cutoff)]

    elsewhere = [other for other in key_paths(job) if other.split(".")[-1] == key and other != ".".join(path)]
    return close(0.75) or elsewhere or close(0.5)
