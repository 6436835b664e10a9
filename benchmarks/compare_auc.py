"""By how much one click model's AUC is above another's, with the interval that its users leave.

    saccade predict runs/ml100k_din --data DATA --output din.parquet
    saccade predict runs/ml100k_mean_pooling --data DATA --output mean.parquet
    python benchmarks/compare_auc.py DATA/test din.parquet mean.parquet

Both are measured on the same resamples of users (a paired bootstrap): what makes a resample hard or easy for both is no
part of the difference's interval.
"""

from __future__ import annotations

import argparse

import numpy as np
import pyarrow.parquet as pq

from saccade.pipelines.metrics.auc import PairCounts, weighted_mean
from saccade.pipelines.metrics.bootstrap import intervals


def main() -> None:
    """Print AUC and GAUC of both, and the differences with their 95 % intervals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the folder of the rows that were predicted, in that order")
    parser.add_argument("one", help="probabilities of `saccade predict`")
    parser.add_argument("other", help="those of the model that it is compared with")
    parser.add_argument("--label", default="label")
    parser.add_argument("--user", default="user_id")
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    rows = pq.read_table(arguments.data, columns=[arguments.label, arguments.user])
    labels = rows[arguments.label].to_numpy()
    users, unit = np.unique(rows[arguments.user].to_numpy(), return_inverse=True)
    pairs = []
    for path in (arguments.one, arguments.other):
        scores = pq.read_table(path)["probability"].to_numpy()
        pairs.append((PairCounts(scores, labels, np.zeros_like(unit), 1), PairCounts(scores, labels, unit, len(users))))
    sizes = np.bincount(unit, minlength=len(users)).astype(np.float64)
    within = [by_user.areas() for _, by_user in pairs]

    def measure(counts: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, float]:
        auc = [float(together.areas(counts[unit])[0]) for together, _ in pairs]
        gauc = [weighted_mean(areas, sizes * counts) for areas in within]
        return {"auc": auc[0] - auc[1], "gauc": gauc[0] - gauc[1]}

    found = measure(np.ones(len(users)))
    for metric, (low, high) in intervals(measure, len(users), arguments.resamples, 0).items():
        print(f"{metric}: {found[metric]:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}")


if __name__ == "__main__":
    main()
