"""Numbers as people read them."""

from __future__ import annotations

from typing import Any

NOTHING = "–"


def number(value: Any) -> str:
    """A count, a measure or a text: ``12,345``, ``0.1526``, ``2.5e-05``."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if value == int(value) and abs(value) < 1e15:
            return f"{int(value):,}"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(number, value)) or NOTHING
    return str(value)


def metric(value: Any) -> str:
    """A metric to four decimals, so that columns line up."""
    if not isinstance(value, float) or abs(value) >= 1000:
        return number(value)
    return f"{value:.4f}" if abs(value) >= 0.001 or value == 0 else f"{value:.2e}"


def size(count: Any) -> str:
    """Bytes: ``12.3 MiB``."""
    if count is None:
        return NOTHING
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def duration(seconds: Any) -> str:
    """Seconds: ``12.3 s``, ``4 min 5 s``, ``2 h 3 min``."""
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def compact(value: float) -> str:
    """A short label for an axis: ``15k``, ``1.2M``, ``0.05``."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{suffix}"
    return f"{value:g}"
