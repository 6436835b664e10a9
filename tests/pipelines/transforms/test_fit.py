"""What is learned from training rows: against numpy, in a pass for each level of dependence, in any cut."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import pstdev

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.filter import Condition
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.transforms import quantiles as quantiles_module
from saccade.pipelines.transforms.bucketise import Bucketise
from saccade.pipelines.transforms.chain import Chain, Step
from saccade.pipelines.transforms.fill import Fill
from saccade.pipelines.transforms.fit import Unfitted, fit
from saccade.pipelines.transforms.log import Log
from saccade.pipelines.transforms.quantiles import Quantiles
from saccade.pipelines.transforms.standardise import Moments, Standardise

NUMBERS = st.lists(st.none() | st.floats(-1e3, 1e3), min_size=1, max_size=40)


@given(st.lists(NUMBERS, min_size=1, max_size=4))
@example([[205.00335304076987] * 2, [205.00335304076987] * 3])
def test_mean_and_deviation(chunks: list[list[float | None]]) -> None:
    values = [value for chunk in chunks for value in chunk if value is not None]
    moments = Moments()
    for chunk in chunks:
        moments.add(pa.array([chunk], pa.list_(pa.float64())))
    if not values:
        with pytest.raises(UserError, match="no number to find the mean of"):
            moments.result()
        return
    (found,) = moments.result().to_pylist()
    assert found["mean"] == pytest.approx(np.mean(values), abs=1e-9)
    deviation = pstdev(values)  # by fractions: exactly 0 for equal numbers
    if deviation == 0:
        assert found["deviation"] == 1.0
    elif deviation > 1e-9:
        assert found["deviation"] == pytest.approx(deviation, rel=1e-6, abs=1e-9)


def test_large_numbers_keep_their_deviation() -> None:
    moments = Moments()
    for first in (0.0, 2.0):
        moments.add(pa.array([1e9 + first, 1e9 + first + 1]))
    assert moments.result().to_pylist() == [{"mean": 1e9 + 1.5, "deviation": pytest.approx(np.std([0, 1, 2, 3]))}]


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=60), st.integers(2, 8), st.integers(1, 60))
def test_quantiles_cut_into_equal_parts(values: list[int], ranges: int, cut: int) -> None:
    """No range has more rows than its share, unless one value alone has."""
    quantiles = Quantiles(ranges)
    for first in range(0, len(values), cut):
        quantiles.add(pa.array(values[first : first + cut]))
    boundaries = quantiles.result()["boundary"].to_pylist()
    assert boundaries == sorted(set(boundaries))
    assert len(boundaries) < ranges
    (buckets,) = Bucketise("x", "y", tuple(boundaries))(pa.array(values))
    most = max(np.unique_counts(values).counts)
    assert max(np.bincount(np.asarray(buckets))) <= len(values) / ranges + most


def test_quantiles_of_more_values_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantiles_module, "MOST", 2000)
    values = np.random.default_rng(0).permutation(50_000).astype(float)
    quantiles = Quantiles(10)
    for chunk in np.split(values, 100):
        quantiles.add(pa.array(chunk))
        assert len(quantiles._values) <= 2000
    found = quantiles.result()["boundary"].to_numpy()
    assert np.abs(found / 5000 - np.arange(1, 10)).max() < 0.1  # hundredths of the rows


def write(folder: Path, table: pa.Table, rows: int) -> Path:
    (folder / "train").mkdir(parents=True)
    half = len(table) // 2
    for number, part in enumerate([table.slice(0, half), table.slice(half)]):
        pq.write_table(part, folder / "train" / f"part-{number}.parquet", row_group_size=rows)
    return folder


def price_steps() -> list[Step | Unfitted]:
    """log(price) in place, standardised; and its quantiles by what was standardised: two levels."""
    return [
        Step("fill", Fill("price", "price", 0)),
        Step("log", Log("price", "log")),
        Unfitted("standardise", "log", "scaled", Moments, lambda s: Standardise("log", "scaled", **s.to_pylist()[0])),
        Unfitted("price", "price", "range", partial(Quantiles, 3), partial(ranges_of, "price")),
        Unfitted("again", "scaled", "scaled", partial(Quantiles, 4), partial(ranges_of, "scaled")),
    ]


def ranges_of(column: str, state: pa.Table) -> Bucketise:
    return Bucketise(column, "range" if column == "price" else column, tuple(state["boundary"].to_pylist()))


@pytest.mark.parametrize("rows", [3, 1000])
def test_two_levels_take_two_passes(tmp_path: Path, rows: int) -> None:
    prices = [None if number % 10 == 0 else float(number) for number in range(100)]
    table = pa.table({"price": prices, "country": ["DE", "FR"] * 50, "other": [["never", "read"]] * 100})
    folder, passes = write(tmp_path, table, rows), list[Sequence[str]]()

    def open_rows(chain: Chain) -> Source:
        passes.append([step.name for step in chain.steps])
        return Source.open(str(folder), "train", [], filter=[Condition("country", "==", "FR")], prepare=chain)

    learned = fit(price_steps(), open_rows)
    assert passes == [
        ["fill", "log", "standardise", "price"],
        ["fill", "log", "standardise", "price", "again"],
    ]
    assert sorted(learned) == [2, 3, 4]
    kept = np.log1p([price or 0 for price in prices[1::2]])
    assert learned[2]["mean"][0].as_py() == pytest.approx(kept.mean())
    assert len(learned[4]) == 3


def test_mistakes_name_the_file_and_the_transform(tmp_path: Path) -> None:
    folder = write(tmp_path, pa.table({"price": ["dear", "cheap"]}), 10)
    with pytest.raises(UserError, match=r"part-0.parquet: standardise: column 'price': numbers are needed, but"):
        fit(
            [Unfitted("standardise", "price", "price", Moments, lambda state: Log("price", "price"))],
            lambda chain: Source.open(str(folder), "train", [], prepare=chain),
        )
    with pytest.raises(UserError, match=r"part-0.parquet: log: no column 'prize' \(did you mean 'price'\?\)"):
        fit(
            [Step("log", Log("prize", "x")), Unfitted("s", "x", "x", Moments, lambda state: Log("x", "x"))],
            lambda chain: Source.open(str(folder), "train", [], prepare=chain),
        )
