"""From interactions to histories: nothing is lost, time order is stable, the k-core is one, and parts don't show."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.pipelines.importing.history_import import contents, import_file

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.run import Settings

Event = tuple[str, str, int, int]

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "ü", "10", "9"]),
        st.sampled_from(["x", "y", "z", "1", "2", "3", "w"]),
        st.integers(0, 5),  # times, many of them equal
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=60,
)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(file: Path, events: list[Event]) -> Path:
    file.write_text("user_id,item_id,t,r\n" + "".join(f"{u},{i},{t},{r}\n" for u, i, t, r in events))
    return file


def by_user(events: list[Event]) -> dict[str, list[str]]:
    """Sorted by time; Python's sort is stable."""
    found: dict[str, list[str]] = {}
    for user, item, *_ in sorted(events, key=lambda event: event[2]):
        found.setdefault(user, []).append(item)
    return found


def core(events: list[Event], min_user: int, min_item: int) -> list[Event]:
    while True:
        users, items = Counter(e[0] for e in events), Counter(e[1] for e in events)
        kept = [e for e in events if users[e[0]] >= min_user and items[e[1]] >= min_item]
        if len(kept) == len(events):
            return kept
        events = kept


def as_text(histories: dict[object, list[object]]) -> dict[str, list[str]]:
    return {str(user): [str(item) for item in items] for user, items in histories.items()}


@FEW
@given(EVENTS, st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 7, 1000]))
def test_histories_are_those_of_the_core_in_stable_order_of_time(
    tmp_path: Path, events: list[Event], min_user: int, min_item: int, partition_rows: int
) -> None:
    source = write(tmp_path / "events.csv", events)
    expected = core(events, min_user, min_item)
    options = {"time": "t", "min_user": min_user, "min_item": min_item}
    how = Settings(overwrite=True, partition_rows=partition_rows)
    if not expected:
        with pytest.raises(UserError, match="no interaction is left"):
            import_file("csv", source, tmp_path / "out", how, **options)
        return
    found = import_file("csv", source, tmp_path / "out", how, **options)
    assert as_text(found.histories()) == by_user(expected)
    statistics = found.statistics
    assert statistics["rows_read"] == len(events)
    assert statistics["rare"] == len(events) - len(expected)
    assert statistics["users"] == len({e[0] for e in expected})
    assert statistics["items"] == len({e[1] for e in expected})
    assert [row["user_id"] for row in found.rows()] == list(range(1, statistics["users"] + 1))
    counts = Counter(item for row in found.rows() for item in row["history"])
    assert sorted(counts) == list(range(1, statistics["items"] + 1))
    assert [counts[item] for item in sorted(counts)] == sorted(counts.values(), reverse=True)


@FEW
@given(EVENTS, st.sampled_from(["first", "last"]))
def test_of_duplicates_the_first_or_the_last_in_time_stays(tmp_path: Path, events: list[Event], which: str) -> None:
    source = write(tmp_path / "events.csv", events)
    found = import_file("csv", source, tmp_path / "out", Settings(overwrite=True), time="t", duplicates=which)
    for user, items in by_user(events).items():
        ordered = items if which == "first" else items[::-1]
        unique = list(dict.fromkeys(ordered))
        assert as_text(found.histories())[user] == (unique if which == "first" else unique[::-1])
    assert found.statistics["duplicates"] == len(events) - found.statistics["interactions"]


def test_blocks_and_parts_dont_show(tmp_path: Path) -> None:
    events = [(f"u{n * 7 % 23}", f"i{n * n % 31}", n * 13 % 17, n % 5 + 1) for n in range(500)]
    source = write(tmp_path / "events.csv", events)
    made = [
        contents(
            import_file(
                "csv",
                source,
                tmp_path / f"{block}-{part}",
                Settings(block_size=block, partition_rows=part, rows_per_file=7, row_group_size=3),
                time="t",
                rating="r",
                min_user=3,
                min_item=3,
            ).folder
        )
        for block, part in ((1 << 20, 1 << 20), (50, 1 << 20), (1 << 20, 10), (777, 100))
    ]
    assert all(one == made[0] for one in made)
    assert sum(name.startswith("train/") for name in made[0]) > 2


def test_ratings_and_times_stay_with_their_items(tmp_path: Path) -> None:
    source = write(tmp_path / "events.csv", [("a", "x", 3, 5), ("a", "y", 1, 4), ("b", "x", 2, 1), ("a", "x", 2, 3)])
    found = import_file("csv", source, tmp_path / "out", time="t", rating="r", positive=3)
    assert found.histories() == {"a": ["y", "x", "x"]}
    assert found.rows()[0]["timestamps"] == [1, 2, 3]
    assert found.rows()[0]["ratings"] == [4.0, 3.0, 5.0]
    assert found.statistics["below_positive"] == 1


def test_integers_keep_their_order_and_text_that_looks_like_them_stays_text(tmp_path: Path) -> None:
    numbers = write(tmp_path / "numbers.csv", [("10", "2", 0, 1), ("9", "3", 0, 1), ("9", "10", 1, 1)])
    found = import_file("csv", numbers, tmp_path / "numbers", item_order="value")
    assert list(found.histories()) == [9, 10]
    assert [row["history"] for row in found.rows()] == [[2, 3], [1]]
    text = write(tmp_path / "text.csv", [("010", "2", 0, 1), ("9", "3", 0, 1)])
    assert list(import_file("csv", text, tmp_path / "text").histories()) == ["010", "9"]


def test_nothing_is_rated_high_enough(tmp_path: Path) -> None:
    source = write(tmp_path / "events.csv", [("a", "x", 3, 2)])
    with pytest.raises(UserError, match="rated at least 3"):
        import_file("csv", source, tmp_path / "out", rating="r", positive=3.0)
    assert not (tmp_path / "out").exists()
