"""A data set's description as text for a terminal."""

from __future__ import annotations

from typing import Any

_BAR = 40
_SHORT_TEXT = 32  # names and codes, whose lengths tell nothing


def render(description: dict[str, Any]) -> str:
    """What ``describe`` found: for each split a line, a table of columns, and histograms of lengths.

    Lengths are elements of lists, and bytes of text.
    """
    blocks = [description["path"]]
    for name, split in description["splits"].items():
        blocks.append(_split(name, split))
    return "\n\n".join(blocks)


def _split(name: str, split: dict[str, Any]) -> str:
    lines = [
        f"{name}: {_count(split['rows'], 'row')} in {_count(split['files'], 'file')}, "
        f"{_count(split['row_groups'], 'row group')}, {size(split['compressed_bytes'])} "
        f"({size(split['uncompressed_bytes'])} uncompressed)"
    ]
    header = ["column", "type", "nulls", "min", "max", "length: min", "mean", "p50", "p90", "p99", "max"]
    rows = [header]
    for column, found in split["columns"].items():
        lengths = found.get("lengths") or {}
        rows.append(
            [column, _short(found["type"]), str(found["nulls"]), _value(found["min"]), _value(found["max"])]
            + [_value(lengths.get(key)) for key in ("min", "mean", "p50", "p90", "p99", "max")]
        )
    if not any(found.get("lengths") for found in split["columns"].values()):
        rows = [row[:5] for row in rows]
    lines += _table(rows)
    for alike in _alike(split["columns"]):
        lines += _histogram(alike, split["columns"][alike[0]]["lengths"])
    return "\n".join(lines)


def _alike(columns: dict[str, Any]) -> list[list[str]]:
    """The columns whose lengths are worth a picture, those with the same lengths together."""
    groups: dict[str, list[str]] = {}
    for name, found in columns.items():
        lengths = found.get("lengths")
        if lengths and ("list" in found["type"] or lengths["max"] > _SHORT_TEXT):
            groups.setdefault(str(lengths), []).append(name)
    return list(groups.values())


def _table(rows: list[list[str]]) -> list[str]:
    """Columns padded to their widest cell: names and types to the left, numbers to the right."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    lines.insert(1, "  " + "  ".join("-" * width for width in widths))
    return lines


def _histogram(columns: list[str], lengths: dict[str, Any]) -> list[str]:
    buckets = lengths["histogram"]
    if len(buckets) < 2:  # nothing to compare
        return []
    labels = [_range(bucket["from"], bucket["to"]) for bucket in buckets]
    most = max(bucket["rows"] for bucket in buckets)
    width = max(map(len, labels))
    lines = ["", f"  length of {', '.join(columns)} ({lengths['total']:,} in all)"]
    for label, bucket in zip(labels, buckets, strict=True):
        bar = "█" * max(round(_BAR * bucket["rows"] / most), 1 if bucket["rows"] else 0)
        lines.append(f"  {label.rjust(width)}  {bar} {bucket['rows']:,}")
    return lines


def _range(first: int, last: int) -> str:
    return f"{first:,}" if first == last else f"{first:,}–{last:,}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


def _short(type_: str) -> str:
    """Arrow's name of a type without the parts that are always the same."""
    return type_.replace("element: ", "").replace("item: ", "").replace(" not null", "")


def size(count: int) -> str:
    """A number of bytes in the unit that fits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024  # type: ignore[assignment]
    return f"{count:.1f} TiB"
