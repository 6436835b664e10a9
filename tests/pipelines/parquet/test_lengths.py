from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from saccade.pipelines.parquet.lengths import Lengths


@given(st.lists(st.lists(st.integers(0, 5000), max_size=20), max_size=5))
def test_summary_is_exact_and_the_histogram_complete(parts: list[list[int]]) -> None:
    lengths = Lengths()
    for part in parts:
        lengths.add(np.array(part, dtype=np.int64))
    every = sorted(length for part in parts for length in part)
    summary = lengths.summary()
    if not every:
        assert summary == {}
        return
    assert (summary["min"], summary["max"], summary["total"]) == (every[0], every[-1], sum(every))
    assert summary["p50"] == np.quantile(every, 0.5, method="inverted_cdf")
    assert summary["p90"] == np.quantile(every, 0.9, method="inverted_cdf")
    buckets = summary["histogram"]
    assert len(buckets) <= 12
    assert (buckets[0]["from"], buckets[-1]["to"]) == (every[0], every[-1])
    assert all(left["to"] + 1 == right["from"] for left, right in pairwise(buckets))
    for bucket in buckets:
        assert bucket["rows"] == sum(bucket["from"] <= length <= bucket["to"] for length in every)


def test_a_long_tail_goes_into_the_last_bucket() -> None:
    lengths = Lengths()
    lengths.add(np.array([*range(1000), 100_000]))
    assert lengths.summary()["histogram"][-1]["to"] == 100_000
    assert lengths.summary()["histogram"][0] == {"from": 0, "to": 99, "rows": 100}
