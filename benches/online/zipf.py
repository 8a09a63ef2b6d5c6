"""Keys by Zipf's law: the key of rank r is asked for as often as 1 / r says."""

from __future__ import annotations

import random
from bisect import bisect
from itertools import accumulate

SEED = 13


def draws(keys: int, count: int) -> list[int]:
    """Returns keys below `keys`, drawn by Zipf's law; which are popular is random, too."""
    seeded = random.Random(SEED)
    weights = list(accumulate(1 / rank for rank in range(1, keys + 1)))
    popular = list(range(keys))
    seeded.shuffle(popular)
    return [popular[bisect(weights, seeded.random() * weights[-1])] for _ in range(count)]
