"""Arithmetic modulo the Mersenne prime 2**31 - 1, on whole arrays.

Products of two elements fit 62 bits, so uint64 holds them exactly, and since 2**31 = 1 modulo the prime a
value is reduced by adding its upper bits to its lower ones: shifts and additions, no division, no branch
that depends on a value. Wider fields would need products that numpy has no type for.

Elements are uint64 arrays with values below `PRIME`; only `reduce` accepts anything larger.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

PRIME: Final = 2**31 - 1

Elements: TypeAlias = npt.NDArray[np.uint64]

_WORD_BITS: Final = np.uint64(31)
_PRIME: Final = np.uint64(PRIME)


def reduce(values: Elements) -> Elements:
    """Reduces any uint64 values modulo the prime, in place.

    Args:
        values: uint64, any shape, writable.

    Returns:
        `values` itself, now below `PRIME`.
    """
    # 2**64 - 1 folds to less than 2**31 + 2**33, that to at most 2**31 + 3: two folds serve every value.
    upper = values >> _WORD_BITS
    values &= _PRIME
    values += upper
    np.right_shift(values, _WORD_BITS, out=upper)
    values &= _PRIME
    values += upper
    # At most PRIME + 4 is left. Below PRIME the difference wraps to a huge number and loses the minimum.
    np.subtract(values, _PRIME, out=upper)
    np.minimum(values, upper, out=values)
    return values


def multiply(left: Elements, right: Elements) -> Elements:
    """Returns the products, broadcast.

    Args:
        left: elements, or values whose product with `right` is below 2**64.
        right: likewise.
    """
    return reduce(left * right)


def powers(values: Elements, count: int) -> Elements:
    """Returns the powers 0 to count - 1 of each value.

    Args:
        values: elements, shape (n,).
        count: at least 1.

    Returns:
        Elements, shape (count, n): row k is `values**k`.
    """
    table = np.ones((count, values.shape[0]), np.uint64)
    known = 1
    # Rows k to 2k - 1 are rows 0 to k - 1 times values**k: few calls on many rows.
    step = values
    while known < count:
        rows = min(known, count - known)
        table[known : known + rows] = multiply(table[:rows], step)
        step = multiply(step, step)
        known += rows
    return table


def invert(values: Elements) -> Elements:
    """Returns the inverses, by Fermat: values**(PRIME - 2). The inverse of 0 comes out as 0.

    Args:
        values: elements, any shape.
    """
    result = values.copy()
    # All bits of PRIME - 2 = 0b11...1101 but the second are ones, and the first one is `values` itself.
    for bit in bin(PRIME - 2)[3:]:
        result = multiply(result, result)
        if bit == "1":
            result = multiply(result, values)
    return result


def product(values: Elements) -> Elements:
    """Returns the products down the columns.

    Args:
        values: elements, or values below 2**32, shape (m, n) with m at least 1; overwritten.

    Returns:
        Elements, shape (n,).
    """
    rows = values.shape[0]
    while rows > 1:
        # The lower half times the upper half; of an odd number the middle row waits.
        half = rows // 2
        values[:half] = multiply(values[:half], values[rows - half : rows])
        rows -= half
    return reduce(values[0].copy())
