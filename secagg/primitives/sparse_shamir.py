"""Rebuilding many secrets in one call where every dealer has holders of its own, as in a sparse graph.

`secagg.primitives.shamir` serves all dealers of a complete graph with one row of Lagrange weights. Here each has its
own row, over the first t of its holders that answered; all rows are computed together.
"""

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from secagg.errors import InvalidInputError
from secagg.primitives.field import PRIME, Elements, invert, multiply, product, reduce

Limbs: TypeAlias = npt.NDArray[np.uint32]
Mask: TypeAlias = npt.NDArray[np.bool_]

_DIFFERENCES_AT_ONCE: Final = 1 << 15
"""Differences of points held at once: 256 kB, and a few temporaries of that size; or those of one dealer."""


def reconstruct_rows(shares: Limbs, points: npt.NDArray[np.integer[Any]], available: Mask, threshold: int) -> Limbs:
    """Rebuilds one secret of each dealer from the first `threshold` of its available shares.

    Args:
        shares: the returned values, uint32, shape (dealers, holders, limbs). What is not available may be anything.
        points: each dealer's holders' x, integers from 1 to 2**31 - 2, distinct in a row, shape (dealers, holders).
        available: which shares are there and valid, bool, shape (dealers, holders).
        threshold: t, from 1 to the number of holders.

    Returns:
        The secrets' limbs, uint32 below the prime, shape (dealers, limbs).

    Raises:
        InvalidInputError: shapes do not fit, or a dealer has fewer than `threshold` available shares.

    Cost:
        dealers * threshold**2 multiplications; memory for some times the larger of 2**15 and threshold**2 integers.
    """
    dealers, holders = available.shape
    if shares.shape[:2] != (dealers, holders) or points.shape != (dealers, holders):
        raise InvalidInputError("shares", f"shapes {shares.shape}, {points.shape}", f"for {available.shape} holders")
    if not 1 <= threshold <= holders or np.any(np.count_nonzero(available, axis=1) < threshold):
        raise InvalidInputError("available", "a dealer has too few shares", f"at least {threshold} for each")
    limbs = np.empty((dealers, shares.shape[2]), np.uint32)
    # Stable: the available ones come first, in their order.
    used = np.argsort(~available, axis=1, kind="stable")[:, :threshold]
    step = max(1, _DIFFERENCES_AT_ONCE // threshold**2)
    for first in range(0, dealers, step):
        some = slice(first, first + step)
        x = np.take_along_axis(points[some], used[some], axis=1).astype(np.uint64)
        values = np.take_along_axis(shares[some], used[some, :, np.newaxis], axis=1)
        terms = multiply(_weights(x)[:, :, np.newaxis], values.astype(np.uint64))
        # Exact: each term is below 2**31, and there are fewer than 2**31 of them.
        limbs[some] = reduce(terms.sum(axis=1, dtype=np.uint64))
    return limbs


def _weights(x: Elements) -> Elements:
    """Returns for each row the weights nu_i = product over j != i of x_j / (x_j - x_i), shape of `x`."""
    rows, count = x.shape
    differences = x.T[:, :, np.newaxis] + np.uint64(PRIME) - x[np.newaxis]
    # In place of x_i - x_i stands the x_i by which the product of all points is too large.
    own = np.arange(count)
    differences[own, :, own] = x.T
    denominators = product(differences.reshape(count, rows * count)).reshape(rows, count)
    return multiply(product(x.T.copy())[:, np.newaxis], invert(denominators))
