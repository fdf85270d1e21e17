"""Tails of the hypergeometric distribution, as natural logarithms.

`population` clients of which `marked` are corrupt (or vanish), `draws` of them seen: how many marked ones are among
the drawn? Probabilities of interest are far below the smallest float64, hence logarithms. A tail that is reported is
never smaller than the truth, and one that is used to rule a choice out is never larger.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ROUNDING: Final = 1e-7
"""What rounding may do to one of these logarithms. lgamma(2**20) is 1.4e7 and good to a few units in the last place:
the nine in a term err by 2e-8 together."""

_REACH: Final = 25.0
"""Terms are summed one by one until they have fallen by a factor e**25, then bounded by a geometric series."""

_LONGEST: Final = 4096
"""The most terms of a sum: 16 standard deviations of the widest distribution here, 2**20 of which half are marked."""

_FLOOR_REACH: Final = 3.0
"""A floor counts terms until they have fallen by about e**3: what it leaves out is a twentieth."""


def log_choose(total: int, *, chosen: int) -> float:
    """Returns log(total choose chosen), for 0 <= chosen <= total."""
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def log_geometric_sum(slope: float, count: int) -> float:
    """Returns the log of 1 + r + ... + r**(count - 1), for log r = slope, at most 0."""
    if slope == 0:
        return math.log(count)
    return math.log(math.expm1(count * slope) / math.expm1(slope)) if slope > -math.inf else 0.0


def last_positive(surplus_and_slope: Callable[[int], tuple[float, float]], *, guess: int, low: int, high: int) -> int:
    """Returns a whole number in low + 1 .. high whose surplus is positive, close to the largest, or else `low`.

    Args:
        surplus_and_slope: a falling, concave function, and by how much it falls per step about there.
        guess: where to begin.
        low: returned where nothing above it is positive.
        high: the largest answer.
    """
    place = min(max(guess, low + 1), high)
    if place <= low:
        return low
    surplus, slope = surplus_and_slope(place)
    ahead = min(high, place + int(surplus / slope)) if surplus > 0 else place
    if ahead > place:
        best, place = place, ahead
        surplus, slope = surplus_and_slope(place)
    else:
        best = place if surplus > 0 else low
    # Newton's method from the right of a concave function's root does not overstep it, but for the rounding up.
    while surplus <= 0:
        place -= max(1, math.ceil(-surplus / slope))
        if place <= best:
            return best
        surplus, slope = surplus_and_slope(place)
    return place


@dataclass(frozen=True, slots=True)
class Hypergeometric:
    """X, the number of marked ones among those drawn.

    Args:
        population: all there are.
        marked: how many of them count, 0 to population.
        draws: how many are drawn, 0 to population.
    """

    population: int
    marked: int
    draws: int

    @property
    def smallest(self) -> int:
        """The smallest count that can occur."""
        return max(0, self.draws - (self.population - self.marked))

    @property
    def largest(self) -> int:
        """The largest count that can occur."""
        return min(self.draws, self.marked)

    @property
    def mode(self) -> int:
        """The likeliest count; beyond it, each is less likely than the one before."""
        return (self.draws + 1) * (self.marked + 1) // (self.population + 2)

    def log_pmf(self, count: int) -> float:
        """Returns log P[X = count], good to `ROUNDING`."""
        if not self.smallest <= count <= self.largest:
            return -math.inf
        log_factorial, others, unmarked = math.lgamma, self.draws - count, self.population - self.marked
        return (
            log_factorial(self.marked + 1)
            - log_factorial(count + 1)
            - log_factorial(self.marked - count + 1)
            + log_factorial(unmarked + 1)
            - log_factorial(others + 1)
            - log_factorial(unmarked - others + 1)
            - log_factorial(self.population + 1)
            + log_factorial(self.draws + 1)
            + log_factorial(self.population - self.draws + 1)
        )

    def ratio(self, count: int) -> float:
        """Returns P[X = count + 1] / P[X = count]; it falls as the count grows."""
        left = self.population - self.marked - self.draws
        return (self.marked - count) * (self.draws - count) / ((count + 1) * (left + count + 1))

    def log_tail(self, count: int) -> float:
        """Returns an upper bound of log P[X >= count]: 0 up to the mode, and beyond it sharp to `ROUNDING`."""
        if count > self.largest:
            return -math.inf
        if count <= self.mode:
            return 0.0
        terms, rest = self.falling(count)
        return min(0.0, self.log_pmf(count) + math.log(float(terms.sum()) + rest) + ROUNDING)

    def log_tail_floor(self, count: int) -> float:
        """Returns a lower bound of log P[X >= count] in constant time, a tenth too small where the tail is small."""
        if count > self.largest:
            return -math.inf
        if count <= self.mode:
            return self.log_pmf(self.mode) - ROUNDING
        more = min(self.largest - count, math.ceil(_FLOOR_REACH / self.slope(count)))
        # The ratios fall: up to there none is smaller than the last.
        rest = log_geometric_sum(-self.slope(count + more - 1), more + 1) if more else 0.0
        return self.log_pmf(count) + rest - 2 * ROUNDING

    def slope(self, count: int) -> float:
        """Returns by how much the log of the pmf falls from `count`, above the mode, to the next."""
        ratio = self.ratio(count)
        return -math.log(ratio) if ratio > 0 else math.inf

    def falling(self, count: int) -> tuple[Floats, float]:
        """Returns P[X = count + i] / P[X = count] for i = 0, 1, ..., and a bound of the sum of those that follow.

        Args:
            count: above the mode.
        """
        more = min(self.largest - count, _LONGEST, math.ceil(min(_REACH / self.slope(count), _LONGEST)))
        x = np.arange(count, count + more, dtype=np.float64)
        left = self.population - self.marked - self.draws
        ratios = (self.marked - x) * (self.draws - x) / ((x + 1) * (left + x + 1))
        terms = np.concatenate(([1.0], np.cumprod(ratios)))
        # The ratios fall, so what follows falls at least as fast as a geometric series.
        next_ratio = self.ratio(count + more)
        return terms, float(terms[-1]) * next_ratio / (1 - next_ratio)

    def quantile(self, log_probability: float) -> int:
        """Returns the smallest v with log P[X > v] <= log_probability, which is below 0, as far as `log_tail` shows."""
        low, high = self.mode - 1, self.largest
        while high - low > 1:
            middle = (low + high) // 2
            if self.log_tail(middle + 1) <= log_probability:
                high = middle
            else:
                low = middle
        return high

    def quantile_floor(self, log_probability: float, guess: int) -> int:
        """Returns a lower bound of `quantile`, in a few constant-time steps from a good guess."""

        def surplus_and_slope(count: int) -> tuple[float, float]:
            return self.log_tail_floor(count) - log_probability, self.slope(count)

        return last_positive(surplus_and_slope, guess=guess, low=min(self.mode, self.largest), high=self.largest)


class QuantileWalk:
    """The quantile of `Hypergeometric` as one more is drawn at a time, each step in constant time.

    It may be too small by rounding where a tail misses the probability by less than a millionth, never too large.
    """

    _LENIENCE: Final = 1 + 1e-6

    def __init__(self, population: int, *, marked: int, draws: int, log_probability: float) -> None:
        """Begins at `draws` drawn ones, with not all marked and a probability below 1 / population."""
        start = Hypergeometric(population, marked, draws)
        self._population, self._marked, self._draws = population, marked, draws
        self.quantile = start.quantile(log_probability)
        # Both in units of the probability asked for, whatever its size: P[X > quantile] and P[X = quantile].
        self._tail = math.exp(start.log_tail(self.quantile + 1) - log_probability)
        self._point = math.exp(start.log_pmf(self.quantile) - log_probability)

    def advance(self, draws: int) -> int:
        """Draws until there are `draws`, at most population - 1, and returns the quantile."""
        population, marked = self._population, self._marked
        unmarked = population - marked
        k, v, tail, point = self._draws, self.quantile, self._tail, self._point
        while k < draws:
            # The next one is marked: those with v have v + 1. Then P[X = v] for k + 1.
            tail += point * (marked - v) / (population - k)
            point *= (k + 1) * (unmarked - k + v) / ((k + 1 - v) * (population - k))
            k += 1
            # With one more drawn, the quantile grows by one at most. It is above the smallest count that can occur:
            # while one of the population is not drawn, it is an unmarked one with probability 1 / population or more.
            if tail > self._LENIENCE:
                point *= (marked - v) * (k - v) / ((v + 1) * (unmarked - k + v + 1))
                v += 1
                tail = tail - point if v < min(k, marked) else 0.0
        self._draws, self.quantile, self._tail, self._point = k, v, tail, point
        return v
