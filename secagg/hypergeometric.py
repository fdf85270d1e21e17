"""Tails of the hypergeometric distribution, as natural logarithms.

`population` clients of which `marked` are corrupt (or online), `draws` of them seen: how many marked
ones are among the drawn? Probabilities of interest are far below the smallest float64, hence logs.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_SPREAD: Final = 40
"""Standard deviations kept on either side of the mode. What lies beyond is far less than any bound here; a
bound of it is added to every tail, so that each remains an upper bound."""


@dataclass(frozen=True, slots=True)
class Hypergeometric:
    """One distribution, tabulated where it matters.

    Args:
        low: the smallest count in the table.
        log_pmf: log P[X = low + i].
        log_rest: log of what is left out of the table, or -inf.
    """

    low: int
    log_pmf: Floats
    log_rest: float

    @classmethod
    def of(cls, population: int, marked: int, draws: int) -> "Hypergeometric":
        """Tabulates P[X = x] by the ratio of neighbouring terms, normalised by their sum."""
        smallest, largest = max(0, draws - (population - marked)), min(draws, marked)
        mode = (draws + 1) * (marked + 1) // (population + 2)
        spread = math.sqrt(draws * (marked / population) * (1 - marked / population)) + 1
        reach = math.ceil(_SPREAD * spread) + _SPREAD
        low, high = max(smallest, mode - reach), min(largest, mode + reach)
        x = np.arange(low, high, dtype=np.float64)
        steps = np.log(marked - x) + np.log(draws - x) - np.log(x + 1) - np.log(population - marked - draws + x + 1)
        log_pmf = np.concatenate(([0.0], np.cumsum(steps)))
        log_pmf -= _log_sum(log_pmf)
        # The terms are log-concave: beyond the table they fall at least as fast as between its last two.
        log_rest = -math.inf
        if low > smallest:
            log_rest = float(log_pmf[0] - math.log(math.expm1(steps[0])))
        if high < largest:
            log_rest = float(np.logaddexp(log_rest, log_pmf[-1] - math.log(math.expm1(-steps[-1]))))
        return cls(low, log_pmf, log_rest)

    def log_at_least(self, count: int) -> float:
        """Returns an upper bound of log P[X >= count]."""
        first = count - self.low
        if first <= 0:
            return 0.0
        inside = _log_sum(self.log_pmf[first:]) if first < len(self.log_pmf) else -math.inf
        return float(np.logaddexp(inside, self.log_rest))

    def log_below(self, count: int) -> float:
        """Returns an upper bound of log P[X < count]."""
        size = count - self.low
        if size <= 0:
            return self.log_rest
        return min(0.0, float(np.logaddexp(_log_sum(self.log_pmf[:size]), self.log_rest)))

    def smallest_exceeded(self, log_probability: float) -> int:
        """Returns the smallest v with log P[X > v] <= log_probability."""
        tails = np.append(np.logaddexp.accumulate(self.log_pmf[::-1])[::-1], -np.inf)
        tails = np.logaddexp(tails, self.log_rest)
        return self.low + int(np.argmax(tails <= log_probability)) - 1

    def largest_reached(self, log_probability: float) -> int:
        """Returns the largest v with log P[X < v] <= log_probability."""
        tails = np.append(-np.inf, np.logaddexp.accumulate(self.log_pmf))
        tails = np.logaddexp(tails, self.log_rest)
        return self.low + int(np.flatnonzero(tails <= log_probability)[-1])


def _log_sum(logs: Floats) -> float:
    top = float(logs.max()) if len(logs) else -math.inf
    return top if top == -math.inf else top + math.log(float(np.exp(logs - top).sum()))
