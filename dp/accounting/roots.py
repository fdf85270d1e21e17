"""Where a decreasing function reaches its target: the root finder behind every calibration."""

from collections.abc import Callable

__all__ = ["falling_root"]


def falling_root(excess: Callable[[float], float], *, low: float, high: float, tolerance: float) -> float:
    """Returns a point at which a decreasing `excess` is not above 0, at most `tolerance` beyond its root.

    Args:
        excess: a decreasing function; it may jump, and may be infinite.
        low: where it is above 0.
        high: where it is at most 0.
        tolerance: how wide the bracket may remain.

    Guarantees:
        `excess` was evaluated at the point returned, or it is `high` itself: whatever rounding or jumps there are, it
        was at most 0 there.

    Cost:
        Chandrupatla 1997: inverse quadratic steps where they can be trusted, else halving. Eight steps or so where the
        function is smooth.
    """
    # The names of the paper: b is the newest point, a the other end of the bracket, c the one before.
    a, b = low, high
    at_a, at_b = excess(low), excess(high)
    c, at_c = a, at_a
    share = 0.5
    while abs(b - a) > tolerance:
        point = a + share * (b - a)
        if point in (a, b):
            point = a + 0.5 * (b - a)
            if point in (a, b):
                break
        value = excess(point)
        if (value > 0) == (at_a > 0):
            c, at_c = a, at_a
        else:
            c, at_c, b, at_b = b, at_b, a, at_a
        a, at_a = point, value
        share = _share(a, b, c=c, at_a=at_a, at_b=at_b, at_c=at_c)
        # A step short of half the tolerance would leave the far end where it is.
        least = min(0.5, 0.5 * tolerance / abs(b - a)) if a != b else 0.5
        share = min(1 - least, max(least, share))
    return a if at_a <= 0 else b


def _share(a: float, b: float, *, c: float, at_a: float, at_b: float, at_c: float) -> float:
    """Returns how far from a to b the next point lies: by inverse quadratic interpolation, or half."""
    if not (abs(at_a) + abs(at_b) + abs(at_c) < float("inf")) or at_b == at_c or at_a in (at_b, at_c) or b == c:
        return 0.5
    xi, phi = (a - b) / (c - b), (at_a - at_b) / (at_c - at_b)
    if not (phi * phi < xi and (1 - phi) ** 2 < 1 - xi):
        return 0.5
    first = at_a / (at_b - at_a) * at_c / (at_b - at_c)
    second = (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b)
    return first + second
