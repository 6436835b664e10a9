"""All checks together, for people and for scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from saccade.cluster.doctor import devices, extensions, machine, packages, plugins, services
from saccade.cluster.doctor.finding import Facts, Finding

CHECKS = (
    packages.missing_packages,
    packages.both_fbgemm,
    packages.mismatched_versions,
    packages.mismatched_builds,
    devices.broken_torch,
    devices.unused_gpu,
    plugins.broken_plugins,
    extensions.stale_locks,
    extensions.unbuilt_op,
    services.silent_ray,
    machine.little_space,
)
"""Each gives what it finds wrong; nothing, where all is well."""


@dataclass(frozen=True)
class Diagnosis:
    """What there is, by topic, and what is wrong."""

    facts: Mapping[str, Facts]
    findings: Sequence[Finding]

    @property
    def level(self) -> str:
        """The worst finding's level; ``ok`` without any."""
        levels = {finding.level for finding in self.findings}
        return next((level for level in ("problem", "warning") if level in levels), "ok")

    @property
    def has_problem(self) -> bool:
        """Whether something won't work."""
        return self.level == "problem"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        facts = {topic: dict(values) for topic, values in self.facts.items()}
        return {"level": self.level, **facts, "findings": [asdict(finding) for finding in self.findings]}

    def as_text(self) -> str:
        """Lines for people: facts by topic, then findings with the way to mend them."""
        width = max(len(name) for values in self.facts.values() for name in values)
        lines = []
        for topic, values in self.facts.items():
            lines += [topic, *(f"  {name:<{width}}  {value}" for name, value in values.items()), ""]
        for finding in self.findings:
            lines += [f"{finding.level}: {finding.what}", f"  mend: {finding.mend}"]
        return "\n".join(lines + ([] if self.findings else ["ok: nothing is wrong"]))


def diagnose() -> Diagnosis:
    """Look at this machine. Takes a second or two, for importing torch."""
    facts = {
        "packages": packages.versions(),
        "devices": {**devices.devices(), **extensions.comm_op()},
        "attention": devices.attention_backends(),
        "services": services.services(),
        "machine": machine.machine(),
    }
    return Diagnosis(facts, [finding for check in CHECKS for finding in check()])
