"""Logarithms of binomial coefficients, accurate in every digit, for the sums over integer orders."""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["log_binomials"]

_ROWS_KEPT: Final = 256
"""A search for the best order asks for the same few rows again and again; the longest has 80 kB."""


@lru_cache(maxsize=_ROWS_KEPT)
def log_binomials(n: int) -> npt.NDArray[np.float64]:
    """Returns log C(n, k) for k = 0..n, shape (n + 1,), read-only.

    A cumulative sum of log((n - k + 1)/k). Differences of log-gamma lose five digits at n = 3000. What each addition
    rounds off is found exactly (Knuth's two-sum: `accumulate` adds from left to right) and added at the end.
    """
    k = np.arange(1, n + 1, dtype=np.float64)
    steps = np.log((n - k + 1) / k)
    after = np.add.accumulate(steps)
    before = np.concatenate(([0.0], after[:-1]))
    gained = after - before
    lost = (before - (after - gained)) + (steps - gained)
    row = np.concatenate(([0.0], after + np.add.accumulate(lost)))
    # C(n, k) = C(n, n - k): the first half has seen the fewer additions.
    half = n // 2 + 1
    row[half:] = row[: n + 1 - half][::-1]
    row.setflags(write=False)
    return row
