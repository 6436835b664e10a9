"""Histories of some users, drawn from a world, with the best ranking of their last two items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from saccade.pipelines.synthesize.world import Floats, Integers, World

SHORTEST = 5
K = 10
_SPREAD = 0.7  # of the logarithm of lengths
_CELLS = 2**25  # bytes of one user's and item's "seen" flags in a chunk, which sets how many users it has
_DISCOUNTS = 1 / np.log2(np.arange(2, K + 2))


@dataclass(frozen=True, eq=False)
class Chunk:
    """Histories of users with consecutive numbers.

    Attributes:
        lengths: [U] items of each history.
        values: [sum of lengths] item ids, in time order, user by user.
        ndcg, hit: [U, 2] what the best ranking's top 10 gets for the (second last, last) item, given all before it.
        expected_ndcg, expected_hit: [U, 2] the same, averaged over all items that might have come there.
    """

    lengths: Integers
    values: Integers
    ndcg: Floats
    hit: Floats
    expected_ndcg: Floats
    expected_hit: Floats


def users_in_chunk(items: int) -> int:
    """How many users are drawn at once; it depends on nothing else, so that a seed always gives the same data."""
    return max(1, min(4096, _CELLS // items))


def draw_chunk(world: World, users: int, mean_length: float, seed: int, number: int) -> Chunk:
    """Draw the histories of chunk ``number``; each has its own stream of random numbers."""
    random = np.random.default_rng([seed, 1, number])
    clusters, places = world.items.shape
    items = int(world.sizes.sum())
    lengths = _lengths(random, users, mean_length, items)
    # The longest first, so that those still going on are always the first ones.
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    drawn = np.zeros((users, int(ordered[0])), dtype=np.int64)
    scores = np.zeros((4, users, 2))
    seen = np.zeros((users, clusters, places), dtype=bool)
    left = np.tile(world.sizes, (users, 1))
    last = np.zeros(users, dtype=np.int64)
    for step in range(int(ordered[0])):
        going = int(np.searchsorted(-ordered, -step))  # lengths > step
        rows = np.arange(going)
        if step == 0:
            following = random.integers(0, clusters, (going, 1))
            chances = np.ones((going, 1))
        else:
            following, chances = world.choices(last[:going], left[:going])
        distribution = world.next_item(following, chances, seen[:going])
        way, place = _choose(random, distribution)
        cluster = following[rows, way]
        for split in (0, 1):  # the step of the second last item, and of the last
            ending = np.flatnonzero(ordered[:going] == step + 2 - split)
            if len(ending):
                scores[:, ending, split] = _score(distribution[ending], way[ending], place[ending])
        drawn[:going, step] = world.items[cluster, place]
        seen[rows, cluster, place] = True
        left[rows, cluster] -= 1
        last[:going] = cluster
    back = np.argsort(order)
    values = drawn[back][np.arange(drawn.shape[1]) < lengths[:, None]]
    return Chunk(lengths, values, *scores[:, back])


def _lengths(random: np.random.Generator, users: int, mean: float, items: int) -> Integers:
    """Log-normal beyond the shortest, with the given mean; nobody sees more than all items."""
    beyond = np.exp(random.normal(-(_SPREAD**2) / 2, _SPREAD, users)) * (mean - SHORTEST)
    return np.minimum(SHORTEST + np.rint(beyond).astype(np.int64), items)


def _choose(random: np.random.Generator, distribution: Floats) -> tuple[Integers, Integers]:
    """One (way, place) a user, drawn from [U, F, S]."""
    cumulated = distribution.reshape(len(distribution), -1).cumsum(axis=1)
    threshold = random.random(len(distribution)) * cumulated[:, -1]
    # Strictly above, so that no impossible item is chosen even where the threshold is 0.
    chosen = (cumulated > threshold[:, None]).argmax(axis=1)
    return np.divmod(chosen, distribution.shape[2])


def _score(distribution: Floats, way: Integers, place: Integers) -> npt.NDArray[np.float64]:
    """[4, U]: NDCG@10 and HR@10 of the item that came, and both in expectation; ties count against the ranking."""
    users = np.arange(len(distribution))
    target = distribution[users, way, place]
    flat = distribution.reshape(len(distribution), -1)
    rank = (flat >= target[:, None]).sum(axis=1) - 1
    ndcg = np.where(rank < K, 1 / np.log2(rank + 2), 0.0)
    best = -np.sort(-flat, axis=1)[:, :K]
    return np.stack([ndcg, rank < K, best @ _DISCOUNTS[: best.shape[1]], best.sum(axis=1)])
