"""The file that keeps what heat maps show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cluster.report.folders import heat_map_of

from saccade.cluster.report.attention import HeatMap, HeatMaps
from saccade.pipelines.errors import UserError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = HeatMaps("valid", 120, [heat_map_of(row=3), heat_map_of(row=4, heads=1)])
    (tmp_path / "attention").mkdir()
    written.write(tmp_path / "attention")
    assert HeatMaps.read(tmp_path) == written


def test_a_run_without_any(tmp_path: Path) -> None:
    assert HeatMaps.read(tmp_path) is None


def test_weights_that_are_no_numbers_become_null(tmp_path: Path) -> None:
    (tmp_path / "attention").mkdir()
    broken = replace(heat_map_of(tokens=1, heads=1), weights=[[[float("nan")]]])
    HeatMaps("valid", 1, [broken]).write(tmp_path / "attention")
    found = HeatMaps.read(tmp_path)
    assert found is not None
    assert found.maps[0].weights == [[[None]]]


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: "{",
        lambda values: json.dumps([]),
        lambda values: json.dumps({"maps": []}),
        lambda values: json.dumps(values | {"maps": [{"row": 1}]}),
        lambda values: json.dumps(values | {"maps": [values["maps"][0] | {"queries": ["one"]}]}),
        lambda values: json.dumps(values | {"maps": [values["maps"][0] | {"heads": [0]}]}),
        lambda values: json.dumps(values | {"maps": [values["maps"][0] | {"weights": 3}]}),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, damage: object) -> None:
    (tmp_path / "attention").mkdir()
    path = HeatMaps("valid", 1, [heat_map_of()]).write(tmp_path / "attention")
    path.write_text(damage(json.loads(path.read_text())))  # type: ignore[operator]
    with pytest.raises(UserError, match=r"heat_maps\.json is damaged: write it anew with `saccade explain"):
        HeatMaps.read(tmp_path)


def test_a_heat_map_draws_itself() -> None:
    one: HeatMap = heat_map_of(heads=3)
    assert len(one.draw("title").axes) == 3
