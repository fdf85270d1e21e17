"""Two disjoint runs of clients, each with many corrupt ones: the joint tail behind the condition *uncuttable*.

The order on the ring is random, so the first run holds a hypergeometric number x of the corrupt ones, and the second
is drawn from the clients and the corrupt ones that are left. The probability is the sum over x >= w of P[X = x] T(x),
where T(x) = P[the second run holds w or more].
"""

import math
from typing import Final

import numpy as np

from secagg.graph.hypergeometric import ROUNDING, Floats, Hypergeometric, last_positive, log_geometric_sum

_SPAN: Final = 3.0
"""The floor sums over x until P[X = x] T(x) has fallen by about e**3."""


def log_two_windows(population: int, *, marked: int, window: int, needed: int) -> float:
    """Returns an upper bound of log P[two given disjoint windows hold `needed` marked ones each].

    Sharp to `ROUNDING` where `needed` is beyond what a window is likeliest to hold, else 0.

    Args:
        population: clients on the ring.
        marked: the corrupt ones among them.
        window: clients in each window, at most half of the population.
        needed: w.
    """
    if needed > window or 2 * needed > marked:
        return -math.inf
    first, second = _windows(population, marked, window, needed)
    if needed <= max(first.mode, second.mode):
        return 0.0
    terms, rest = first.falling(needed)
    log_second = second.log_tail(needed)
    left = _tail_left(second, needed, len(terms), log_second)
    # T falls, so what follows the terms is weighted with its last value at most.
    weighted = float(terms @ left) + rest * float(left[-1])
    return min(0.0, first.log_pmf(needed) + log_second + math.log(weighted) + 2 * ROUNDING)


def needed_floor(population: int, *, marked: int, window: int, log_probability: float, guess: int) -> int:
    """Returns a lower bound of the smallest w for which the two windows stay within that probability.

    Takes a few constant-time steps from a good guess.
    """

    def surplus_and_slope(needed: int) -> tuple[float, float]:
        floor, slope = _log_floor(population, marked, window, needed)
        return floor - log_probability, slope

    high = min(window, marked // 2)
    likeliest = Hypergeometric(population, marked, window).mode
    return last_positive(surplus_and_slope, guess=guess, low=min(likeliest, high), high=high) + 1


def _windows(population: int, marked: int, window: int, count: int) -> tuple[Hypergeometric, Hypergeometric]:
    """Returns what the first window holds, and the second one where the first holds `count`."""
    return Hypergeometric(population, marked, window), Hypergeometric(population - window, marked - count, window)


def _tail_left(second: Hypergeometric, needed: int, size: int, log_second: float) -> Floats:
    """Returns T(x) / T(w) for x = w, w + 1, ..., `size` of them, never too small.

    One marked client less lowers the tail by P[it is in the window and exactly w - 1 of the others are].
    """
    clients, marked, window = second.population, second.marked, second.draws
    shown = min(size, marked - needed + 1)
    lowered = Hypergeometric(clients - 1, marked - 1, window - 1).log_pmf(needed - 1) + math.log(window / clients)
    fewer = np.arange(max(shown - 2, 0), dtype=np.float64)
    # The same for each one less again, by the ratio of the two pmfs.
    left = marked - 1 - fewer
    unmarked = clients - marked + fewer + 1
    ratios = (left - needed + 1) / left * unmarked / (unmarked - window + needed)
    falls = math.exp(lowered - log_second) * np.cumsum(np.concatenate(([1.0], np.cumprod(ratios))))
    tails = np.zeros(size)
    tails[0] = 1.0
    tails[1:shown] = np.maximum(1.0 - falls[: shown - 1], 0.0)
    return tails


def _log_floor(population: int, marked: int, window: int, needed: int) -> tuple[float, float]:
    """Returns a lower bound of the same, and by about how much it falls from `needed` to the next.

    P[X = x] is log-concave, and so is T: it is the distribution function of where the w-th smallest of the second
    window's places falls among all places, and the probabilities of that are products of two log-concave binomials.
    """
    first, second = _windows(population, marked, window, needed)
    per_needed = second.slope(needed) if needed > second.mode else 0.0
    per_marked = per_needed * window / (population - window)
    per_first = first.slope(needed) + per_marked
    last = min(window, marked - needed, needed + math.ceil(min(_SPAN / per_first, window)))
    log_floor = first.log_pmf(needed) + second.log_tail_floor(needed)
    if last > needed:
        log_last = first.log_pmf(last) + _windows(population, marked, window, last)[1].log_tail_floor(needed)
        # Log-concave terms lie above the chord between two of them, which is a geometric series.
        slope = min(0.0, (log_last - log_floor) / (last - needed))
        log_floor += log_geometric_sum(slope, last - needed + 1)
    return log_floor - 2 * ROUNDING, per_first + per_needed
