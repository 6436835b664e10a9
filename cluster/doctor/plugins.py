"""Installed plug-ins that don't work."""

from __future__ import annotations

from saccade.cluster.doctor.finding import Finding


def broken_plugins() -> list[Finding]:
    """Those that can't be imported: nothing can be trained until they are mended or gone."""
    try:
        from saccade.plugins.discovery import load_installed
    except Exception:  # a broken torch, which has a finding of its own
        return []
    return [
        Finding(
            "problem",
            f"the plug-in {plugin.package} {plugin.version} can't be loaded: {plugin.broken}",
            f"pip uninstall {plugin.package}, or mend it",
        )
        for plugin in load_installed()
        if plugin.broken
    ]
