"""The latent structure behind synthetic histories: clusters of items and a Markov chain over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# How likely a user is to stay in a cluster, and to go on to each of its favourite next ones.
TRANSITIONS = (0.45, 0.3, 0.15, 0.1)
# The j-th most popular item of a cluster weighs 1 / j**SKEW.
SKEW = 1.5


@dataclass(frozen=True, eq=False)
class World:
    """What drives every history. Shapes: C clusters, F next clusters of each, S places of a cluster.

    Attributes:
        items: [C, S] the item's id at each place of a cluster, the most popular first; 0 where a cluster is shorter.
        weights: [C, S] popularity inside the cluster; 0 where there is no item.
        sizes: [C] items of each cluster.
        following: [C, F] the clusters that may follow, itself first.
        probabilities: [F] of each of them.
    """

    items: Integers
    weights: Floats
    sizes: Integers
    following: Integers
    probabilities: Floats

    @staticmethod
    def make(items: int, clusters: int, seed: int) -> World:
        """Deal items 1..``items`` at random to ``clusters`` clusters of equal size (up to one)."""
        random = np.random.default_rng([seed, 0])
        sizes = np.full(clusters, items // clusters)
        sizes[: items % clusters] += 1
        there = np.arange(sizes.max()) < sizes[:, None]
        ids = np.zeros(there.shape, dtype=np.int64)
        ids[there] = random.permutation(items) + 1
        weights = np.where(there, np.arange(1, sizes.max() + 1) ** -SKEW, 0.0)
        ways = min(len(TRANSITIONS), clusters)
        # Each cluster is followed by others at its own seeded distances, all different.
        steps = np.stack([random.permutation(clusters - 1)[: ways - 1] + 1 for _ in range(clusters)])
        steps = np.concatenate([np.zeros((clusters, 1), dtype=np.int64), steps], axis=1)
        following = (np.arange(clusters)[:, None] + steps) % clusters
        probabilities = np.array(TRANSITIONS[:ways])
        return World(ids, weights, sizes, following, probabilities / probabilities.sum())

    def choices(self, cluster: Integers, left: Integers) -> tuple[Integers, Floats]:
        """Where users go from their last item's cluster.

        A cluster with nothing left that the user hasn't seen can't be chosen. A user who has seen all of the clusters
        that may follow goes to the first one, by number after the last, that has something left.

        Args:
            cluster: [U] of each user's last item.
            left: [U, C] unseen items of each cluster; some are left for every user.

        Returns:
            [U, F] clusters and [U, F] their probabilities.
        """
        following = self.following[cluster]
        chances = self.probabilities * (np.take_along_axis(left, following, axis=1) > 0)
        total = chances.sum(axis=1)
        for user in np.flatnonzero(total == 0):
            ahead = (cluster[user] + np.arange(len(self.sizes))) % len(self.sizes)
            following[user, 0] = ahead[np.argmax(left[user, ahead] > 0)]
            chances[user, 0] = total[user] = 1.0
        return following, chances / total[:, None]

    def next_item(self, following: Integers, chances: Floats, seen: npt.NDArray[np.bool_]) -> Floats:
        """The exact distribution of each user's next item over the places of the clusters that may follow.

        Args:
            following: [U, F] clusters.
            chances: [U, F] their probabilities.
            seen: [U, C, S] places of items in the user's history.

        Returns:
            [U, F, S], summing to 1 for each user.
        """
        users = np.arange(len(seen))[:, None]
        weights = self.weights[following] * ~seen[users, following]
        total = weights.sum(axis=2, keepdims=True)
        share = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
        distribution: Floats = chances[:, :, None] * share
        return distribution
