r"""Renyi divergences of shifted Skellam noise, evaluated numerically and rounded upwards.

Let p be the Skellam distribution of variance mu, p(x) = e^-mu I_x(mu), and

    d(k) = D_alpha(p(. - k) || p) = log(S) / (alpha - 1),   S = sum over x of p(x - k)^alpha p(x)^(1 - alpha).

p is symmetric, so d(-k) = d(k), and the noise of different coordinates is independent. An integer vector v costs the
sum of d(|v_i|) over its coordinates, which is at most

    |v|_2^2  *  max over 1 <= k <= |v|_2 of d(k) / k^2,

for every real alpha > 1. The published bound (Agarwal, Kairouz, Liu 2021) is larger by O(1/mu), and by far for small mu
or large alpha. The maximum was at k = 1 wherever we looked; that is no proof, so it is evaluated.

Where the sum is taken. Let t(x) = log p(x) - log p(x+1); it increases, and t(-1 - x) = -t(x). From x to x + 1 the
logarithm of a term changes by

    (alpha - 1) t(x) - alpha t(x - k),

which is positive for x < k. The terms rise to a peak between k and alpha k, near the x where (alpha - 1) asinh(x / mu)
equals alpha asinh((x - k) / mu), and fall beyond it. A window about that peak is summed; one about 0 may miss nearly
all of the sum. What a window leaves out is bounded by geometric series, and added. For x >= 0

    asinh((x + 1/2) / mu) <= t(x) <= asinh((x + 1) / mu),

the first by Amos 1974; the second because e^t(x) - e^-t(x+1) = 2 (x + 1) / mu, and t(x+1) >= t(x). Put into
the change above, both sides give bounds that fall with x from k on: what holds at a border of the window holds beyond.

Rounding. t is the logarithm of 1 + u, where u itself comes from the continued fraction of the Bessel ratios, evaluated
downwards, where it is stable. Sums of t are taken in two parts, the first of which adds up exactly. What remains are
some units in the last place; the result is raised by 2**-36 of itself. Where S is near 1, S - 1 is summed, with the
terms p(x) (e^(alpha L) - 1 - alpha (e^L - 1)) and L = log p(x - k) - log p(x): none is negative.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.events import Skellam
from dp.float_events import ignoring

__all__ = [
    "LARGEST_ORDER_TIMES_SHIFT",
    "LARGEST_SHIFT",
    "LARGEST_VARIANCE",
    "numerical_skellam_rdp",
]

_Array = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]

LARGEST_VARIANCE: Final = 10**4
"""Central variances up to here; more noise is at least as private, so its bound is the one of this variance."""

LARGEST_SHIFT: Final = 1024
"""L2 sensitivities up to here: 512 for zero-out, where replace-one has twice as much."""

LARGEST_ORDER_TIMES_SHIFT: Final = 2**18
"""The peak of the sum is below alpha k, and the table of t has to reach beyond it."""

_SMALLEST_VARIANCE: Final = 2.0**-20
"""Below it no bound is of use."""

_SMALLEST_ORDER: Final = 1 + 2.0**-6
"""Smaller orders get the divergence of this one, as it rises with the order: nearer to 1 digits cancel."""

_RAISE: Final = 1 + 2.0**-36

_LEFT_OUT: Final = 2.0**-44
"""A window that leaves out more of the sum than this part is made wider."""

_NEAR_ONE: Final = 0.1
"""For log S up to here S - 1 is summed."""

_STANDARD_DEVIATIONS: Final = 9.5
"""Half of the first window: e^-45 of a normal distribution are outside."""

_CHUNK: Final = 2**15
"""Terms summed at once: the temporaries stay in a core's cache."""

_EXACT_PARTS: Final = 2.0**28
"""2**20 values of t, each below 32, add up to less than 2**53 of these parts: floats hold the sums exactly."""


@ignoring("under")
def numerical_skellam_rdp(orders: _Array, event: Skellam) -> _Array:
    """Returns this module's bound on the Renyi divergences of an event, where there is one.

    Args:
        orders: alphas, at least 1, float64, shape (n,).
        event: the noise and the L2 sensitivity; the L1 sensitivity does not matter here.

    Returns:
        Upper bounds, shape (n,), float64: infinity where the L2 sensitivity is above 1024, or the order times it above
        2**18. Only the published bound is left there.

    Guarantees:
        Does not rise with the variance (but by rounding, a relative 1e-12), and where there is a bound does not depend
        on it.

    Cost:
        For one order some 10 ns, times the L2 sensitivity, times 20 standard deviations of the noise: 2 ms for a
        sensitivity of 100 and a variance of 10**4. The last few hundred are kept.
    """
    largest = math.isqrt(event.squared_sensitivity)
    variance = _rounded_down(min(event.variance, Fraction(LARGEST_VARIANCE)))
    bounds = np.full(len(orders), math.inf)
    if largest > LARGEST_SHIFT or variance < _SMALLEST_VARIANCE:
        return bounds
    for i in np.flatnonzero(orders * largest <= LARGEST_ORDER_TIMES_SHIFT):
        order, squared = float(orders[i]), event.squared_sensitivity
        # The shift by 1 alone takes little time, and may be infinite already.
        if squared * _worst_rate(order, variance, 1) < math.inf:
            bounds[i] = squared * _worst_rate(order, variance, largest)
    return bounds


@lru_cache(maxsize=512)
def _worst_rate(order: float, variance: float, largest: int) -> float:
    """Returns the maximum of d(k) / k^2 for k from 1 to `largest`."""
    shifts = np.arange(1, largest + 1)
    return float((_divergences(order, variance, shifts) / (shifts * shifts)).max())


def _rounded_down(variance: Fraction | int) -> float:
    # Less noise is less private.
    number = float(variance)
    return number if number <= variance else math.nextafter(number, 0.0)


def _divergences(order: float, variance: float, shifts: _Integers) -> _Array:
    """Returns d(k) for each of the shifts, which ascend, rounded upwards."""
    order = max(order, _SMALLEST_ORDER)
    # A normal distribution of this variance has this log S.
    near_one = order * (order - 1) * shifts * shifts / (2 * variance) < _NEAR_ONE
    log_sums = [_log_sums(_Terms(order, variance, mode), shifts[near_one == mode]) for mode in (True, False)]
    return np.concatenate(log_sums) * (_RAISE / (order - 1))


@dataclass(frozen=True, slots=True)
class _Terms:
    """The terms of S, or of S - 1 if `near_one`, for one order and variance."""

    order: float
    variance: float
    near_one: bool


@ignoring("under")
def _log_sums(terms: _Terms, shifts: _Integers) -> _Array:
    """Returns log S, rounded upwards but for the last digits, for each shift."""
    result = np.empty(len(shifts))
    first, last = _windows(terms, shifts)
    todo = np.arange(len(shifts))
    while len(todo):
        # A row may be as long as the longest beside it.
        reach = np.maximum(last, shifts - first)[todo].max() + (last - first)[todo].max()
        table = _table(terms.variance, 1 << int(reach).bit_length())
        left_out = np.empty(len(todo))
        for rows in _chunks(first[todo], last[todo]):
            part = todo[rows]
            k, start, width = shifts[part], first[part], int((last - first)[part].max()) + 1
            loss = table.rows(0, start, width) - table.rows(0, start - k, width)
            loss += table.rows(1, start, width) - table.rows(1, start - k, width)
            window = _Window(k, start, start + width - 1, loss, table.rows(2, start, width))
            add_up = _add_up_less_one if terms.near_one else _add_up
            result[part], left_out[rows] = add_up(terms, window)
        todo = todo[left_out > _LEFT_OUT]
        wider = (last - first)[todo] // 4
        first[todo] -= wider
        last[todo] += wider
    return result


def _windows(terms: _Terms, shifts: _Integers) -> tuple[_Integers, _Integers]:
    """Returns the first and last x of each shift's window."""
    alpha, mu = terms.order, terms.variance
    low, high = shifts.astype(float), alpha * shifts
    while (high - low).max(initial=0.0) > 1:
        x = (low + high) / 2
        rises = (alpha - 1) * np.arcsinh(x / mu) > alpha * np.arcsinh((x - shifts) / mu)
        low, high = np.where(rises, x, low), np.where(rises, high, x)
    curvature = alpha / np.hypot(mu, low - shifts) - (alpha - 1) / np.hypot(mu, low)
    half = _STANDARD_DEVIATIONS / np.sqrt(curvature) + 16
    first, last = np.floor(low - half), np.ceil(high + half)
    if terms.near_one:
        # S - 1 has terms about 0 too.
        first = np.minimum(first, -np.ceil(_STANDARD_DEVIATIONS * math.sqrt(mu) + 16))
    return first.astype(np.int64), last.astype(np.int64)


def _chunks(first: _Integers, last: _Integers) -> Iterator[slice]:
    """Returns slices of rows that are summed together."""
    width = int((last - first).max()) + 1
    step = max(1, _CHUNK // width)
    for start in range(0, len(first), step):
        yield slice(start, start + step)


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """Rows of terms: for each the shift, the first and last x, and for each x the loss L(x) and -log p(x)."""

    shift: _Integers
    first: _Integers
    last: _Integers
    loss: _Array
    minus_log: _Array


def _add_up(terms: _Terms, window: _Window) -> tuple[_Array, _Array]:
    """Returns log S for each row, and which part of S was left out of the row and bounded."""
    logs = window.loss
    logs *= terms.order
    logs -= window.minus_log
    peak = logs.max(axis=1)
    logs -= peak[:, None]
    outside = _outside(terms, window, logs[:, 0], logs[:, -1])
    inside = np.exp(logs, out=logs).sum(axis=1)
    return peak + np.log(inside + outside), outside / inside


def _add_up_less_one(terms: _Terms, window: _Window) -> tuple[_Array, _Array]:
    """As `_add_up`, by way of S - 1; what was left out is a part of that."""
    alpha, mu, loss, log_p = terms.order, terms.variance, window.loss, -window.minus_log
    inside = (np.exp(log_p) * (np.expm1(alpha * loss) - alpha * np.expm1(loss))).sum(axis=1)
    outside = _outside(terms, window, *(log_p + alpha * loss)[:, [0, -1]].T)
    # A term is at most p(x) e^(alpha L) + (alpha - 1) p(x). Windows start below 0 here.
    for border, edge in ((-window.first, log_p[:, 0]), (window.last, log_p[:, -1])):
        outside += (alpha - 1) * np.exp(edge) * _geometric(np.arcsinh((border + 0.5) / mu))
    return np.log1p(inside + outside), outside / inside


def _outside(terms: _Terms, window: _Window, log_first: _Array, log_last: _Array) -> _Array:
    """Returns a bound on the terms p(x) e^(alpha L) outside of each row, given the logarithms of its two at the ends.

    Infinity says that the row ends too early for the bounds of the module's docstring.
    """
    alpha, mu, k = terms.order, terms.variance, window.shift
    first, last = window.first, window.last
    fall = alpha * np.arcsinh((last - k + 0.5) / mu) - (alpha - 1) * np.arcsinh((last + 1) / mu)
    above = _geometric(fall)
    # At and below 0 a step to the left multiplies a term by at most e^-t(k - x).
    below = _geometric(np.arcsinh((k - np.minimum(first, 0) + 0.5) / mu))
    # From 0 to the first x of a row that starts above it, terms rise: each is at most the first.
    rises = (alpha - 1) * np.arcsinh((first - 0.5) / mu) >= alpha * np.arcsinh((first - k) / mu)
    below = np.where(first <= 0, below, np.where((first <= k) | rises, first + below, math.inf))
    # A factor that underflows proves nothing about one that is infinite.
    proved = np.isfinite(above) & np.isfinite(below)
    return np.where(proved, np.exp(log_last), 1.0) * above + np.where(proved, np.exp(log_first), 1.0) * below


def _geometric(fall: _Array) -> _Array:
    """Returns e^-fall + e^-2fall + ..., infinity if that does not fall."""
    with np.errstate(over="ignore", divide="ignore"):
        series: _Array = np.where(fall > 0, 1 / np.expm1(np.maximum(fall, 0.0)), math.inf)
    return series


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """log p(0) - log p(x) as the sum of two columns, and -log p(x) as the third, for x from -top to top."""

    columns: tuple[_Array, _Array, _Array]
    top: int

    def rows(self, column: int, start: _Integers, width: int) -> _Array:
        """Returns one row of that many values for each x to start from."""
        rows: _Array = np.lib.stride_tricks.sliding_window_view(self.columns[column], width)[start + self.top]
        return rows


@lru_cache(maxsize=4)
@ignoring("under")
def _table(variance: float, size: int) -> _Table:
    """Returns the table for all |x| up to `size`, and some more."""
    # The ratios forget their start within some standard deviations, a guess of which is exact for large x.
    top = size + 64 + int(12 * math.sqrt(variance))
    excess = [0.0] * top
    # e^t(x) = 1 + u(x) and e^t(x) - e^-t(x+1) = 2 (x + 1) / mu give u(x) from u(x + 1).
    u = math.expm1(math.asinh((top + 0.5) / variance))
    for x in range(top - 1, -1, -1):
        u = 2 * (x + 1) / variance - u / (1 + u)
        excess[x] = u
    steps = np.log1p(excess)
    parts = np.rint(steps * _EXACT_PARTS) / _EXACT_PARTS
    whole, rest = (np.concatenate(([0.0], np.cumsum(column))) for column in (parts, steps - parts))
    # What the table leaves out makes p larger than it is, by less than its last digit.
    at_zero = math.log(1 + 2 * float(np.exp(-(whole + rest))[1:].sum()))
    whole, rest, minus_log = (
        np.concatenate((column[:0:-1], column)) for column in (whole, rest, whole + (rest + at_zero))
    )
    return _Table((whole, rest, minus_log), top)
