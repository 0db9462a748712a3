"""Random numbers that depend on the seed and on what they are for, never on the order things are made in."""

from collections.abc import Sequence
from itertools import accumulate
from random import Random


def stream(seed: int, purpose: str) -> Random:
    """A generator of its own for one purpose; the same seed and purpose give the same numbers anywhere."""
    return Random(f"{seed}:{purpose}")


def zipf(count: int, exponent: float) -> list[float]:
    """Cumulative weights of ranks 1 to `count`, as `Random.choices` takes them: few win, many trail."""
    return cumulative([1 / rank**exponent for rank in range(1, count + 1)])


def cumulative(weights: Sequence[float]) -> list[float]:
    """Running sums of `weights`, for `cum_weights`."""
    return list(accumulate(weights))
