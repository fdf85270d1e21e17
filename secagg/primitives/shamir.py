"""Shamir's secret sharing of 32-byte secrets, for a thousand holders and a thousand secrets at a time.

Shamir 1979; Bonawitz et al. 2017 §3.1. A secret is a 256-bit little-endian integer, cut into nine limbs of
30 bits, lowest first. Each limb l has a polynomial of its own over GF(2**31 - 1),

    f_l(x) = limb_l + sum over k = 1 .. t - 1 of c_{k,l} * x**k,

and the share of the holder at x is x and the nine values f_l(x): 40 bytes. The coefficients are the words
of a keystream under a fresh 32-byte seed with their top bit cleared; a word equal to the prime is skipped,
so that every coefficient is exactly uniform. They are used secret by secret, k ascending, l ascending.

Sums of products run as float64 matrix products, which is exact while every partial sum is an integer
below 2**53: one factor is split into pieces small enough for that. The bound stands at each use.

Security:
    Fewer than t shares say nothing about a secret. A share itself is as secret as what it protects. The
    arithmetic has no branch and no index that depends on a secret; numpy promises no more than that.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from secagg.errors import InvalidInputError, InvalidParameterError
from secagg.primitives.field import PRIME, Elements, invert, multiply, powers, product, reduce
from secagg.primitives.prg import SEEK_BYTES, Suite, keystream

LIMBS: Final = 9
SECRET_BYTES: Final = 32
SHARE_BYTES: Final = 4 * (1 + LIMBS)

Limbs: TypeAlias = npt.NDArray[np.uint32]
Points: TypeAlias = npt.NDArray[np.integer[Any]]
Mask: TypeAlias = npt.NDArray[np.bool_]

_LIMB_BITS: Final = 30
_TOP_LIMB_BITS: Final = 256 - (LIMBS - 1) * _LIMB_BITS

_BABY_STEPS: Final = 64
"""Powers of x that one matrix product covers. The factors are below 2**31 and 2**16, so that 64 products
sum to less than 2**53. More would not be exact, fewer would leave more work to Horner's rule."""

_POINTS_AT_ONCE: Final = 448
"""A product of 9 by 64 by 448 stays just below the 2**18 multiplications from which on OpenBLAS starts
threads. For so little work they never pay, and on a busy machine waiting for them costs ten times the
work itself."""

_WEIGHT_BITS: Final = 11
_RESPONDERS_AT_ONCE: Final = 1024
"""Weights are cut into three pieces of 11 bits. Any uint32 times 11 bits, 1024 times, is below 2**53."""

_DEALERS_AT_ONCE: Final = 32
"""With 1024 responders a block of float64 shares takes 2.3 MB. Each dealer's product is too small for
OpenBLAS to start threads."""

_DIFFERENCES_AT_ONCE: Final = 1 << 18
"""Differences of points held at once for Lagrange weights: 2 MB."""


def split(secrets: Sequence[bytes], threshold: int, points: Points, seed: bytes, *, suite: Suite) -> Limbs:
    """Shares out secrets among the holders at `points`.

    Args:
        secrets: 32 bytes each.
        threshold: t, how many shares rebuild a secret, from 1 to the number of points.
        points: the holders' x, integers, shape (n,), distinct, from 1 to 2**31 - 2.
        seed: 32 fresh random bytes, for this call only.
        suite: the session's suite.

    Returns:
        The values of the polynomials, uint32, shape (len(secrets), n, 9).

    Raises:
        InvalidInputError: a secret is not 32 bytes, or the points are unusable.
        InvalidParameterError: threshold, seed or suite is unusable.

    Security:
        Two calls with one seed reveal the difference of their secrets to every holder.
    """
    x = _checked_points("points", points)
    if not 1 <= threshold <= x.shape[0]:
        raise InvalidParameterError("threshold", threshold, f"from 1 to the number of points, {x.shape[0]}")
    coefficients = np.empty((len(secrets), threshold, LIMBS), np.uint64)
    coefficients[:, 0] = _secret_limbs(secrets)
    drawn = _uniform_words(len(secrets) * (threshold - 1) * LIMBS, seed, suite)
    coefficients[:, 1:] = drawn.reshape(len(secrets), threshold - 1, LIMBS)
    shares = np.empty((len(secrets), x.shape[0], LIMBS), np.uint32)
    for first_point in range(0, x.shape[0], _POINTS_AT_ONCE):
        holders = slice(first_point, first_point + _POINTS_AT_ONCE)
        # Baby steps: x**0 .. x**63; giant step: x**64.
        table = powers(x[holders], _BABY_STEPS + 1)
        for polynomials, target in zip(coefficients, shares, strict=True):
            target[holders] = _evaluate(polynomials, table).T
    return shares


def reconstruct(shares: Limbs, *, points: Points, available: Mask, dealer_points: Points, threshold: int) -> Limbs:
    """Rebuilds one secret of each dealer from the shares that the responders returned.

    Nobody holds a share of its own secret, so the sets of usable shares differ by dealer even when
    nothing is missing. One row of weights still serves all dealers: take t + 1 responders and
    g(x) = f(x) * (1 - x / x_u), which has degree t, the value f(0) at 0, and is 0 at the dealer's own
    point x_u, whatever f is there. Lagrange's weights nu_i for those t + 1 points give

        f(0) = sum of nu_i * g(x_i) = S0 - S1 / x_u,    S0 = sum nu_i * y_i,    S1 = sum nu_i * x_i * y_i,

    where the dealer's own share counts nu_u * y_u - nu_u * x_u * y_u / x_u = 0, whatever stands in
    its place. It holds for dealers outside the t + 1 as well.

    Args:
        shares: the returned values, uint32, shape (dealers, responders, 9). Entries that are not
            available may be anything; values from the prime on count modulo the prime.
        points: the responders' x, integers, shape (responders,), distinct, from 1 to 2**31 - 2.
        available: which shares are there and valid, bool, shape (dealers, responders). A dealer's share
            of its own secret is never used, even if it is marked available.
        dealer_points: the dealers' own x, integers, shape (dealers,), from 1 to 2**31 - 2.
        threshold: t, at least 1.

    Returns:
        The secrets' limbs, uint32 below the prime, shape (dealers, 9); `limbs_to_secret` makes bytes of a
        row. Shares that lie on no polynomial of degree t - 1 give some limbs that depend on the set used.

    Raises:
        InvalidInputError: shapes or dtypes do not fit, points are unusable, or a dealer has fewer than
            `threshold` available shares.
        InvalidParameterError: `threshold` is less than 1.

    Cost:
        dealers * (t + 1) * 9 multiplications, and (t + 1)**2 more for each distinct set in use. Extra
        memory: a few MB and a copy of `available`.
    """
    if threshold < 1:
        raise InvalidParameterError("threshold", threshold, "at least 1")
    x = _checked_points("points", points)
    dealer_x = _checked_points("dealer_points", dealer_points, distinct=False)
    dealers, responders = dealer_x.shape[0], x.shape[0]
    _check_array("shares", shares, (dealers, responders, LIMBS), np.dtype(np.uint32))
    _check_array("available", available, (dealers, responders), np.dtype(np.bool_))

    own = x[np.newaxis, :] == dealer_x[:, np.newaxis]
    usable = available & ~own
    if dealers and int(usable.sum(axis=1).min()) < threshold:
        raise InvalidInputError("available", "a dealer has too few shares", f"at least {threshold} for each")
    # Where t + 1 points are used, the own share is as good as there.
    known = usable | own
    favourites = np.argsort(-known.sum(axis=0), kind="stable")
    limbs = np.empty((dealers, LIMBS), np.uint32)
    pending = np.arange(dealers)
    while pending.size:
        # Responders who returned the most shares, as far as the first dealer left has them: usually
        # everybody is served at once, and in any case that dealer is.
        base = favourites[known[pending[0], favourites]][: threshold + 1]
        if base.size > threshold:
            served = known[pending[:, np.newaxis], base].all(axis=1)
        else:
            # Exactly t shares, and x_u is no responder's point: plain Lagrange interpolation.
            served = usable[pending[:, np.newaxis], base].all(axis=1)
        chosen = pending[served]
        sums = _weighted_sums(shares, chosen, base, x)
        if base.size > threshold:
            correction = multiply(sums[:, 1], invert(dealer_x[chosen])[:, np.newaxis])
            limbs[chosen] = reduce(sums[:, 0] + np.uint64(PRIME) - correction)
        else:
            limbs[chosen] = sums[:, 0]
        pending = pending[~served]
    return limbs


def limbs_to_secret(limbs: Limbs) -> bytes | None:
    """Returns the 32 bytes that nine limbs stand for, or None where they are no 256-bit integer.

    None from shares that were returned as dealt means that the dealer shared something else than a
    secret: no honest dealer's limbs reach 2**30, nor its highest 2**16.

    Args:
        limbs: integers, shape (9,).
    """
    values: list[int] = limbs.tolist()
    if max(values) >> _LIMB_BITS or values[-1] >> _TOP_LIMB_BITS:
        return None
    secret = sum(value << (_LIMB_BITS * place) for place, value in enumerate(values))
    return secret.to_bytes(SECRET_BYTES, "little")


def encode_shares(points: Points, limbs: Limbs) -> bytes:
    """Returns a table of shares, 40 bytes each: the holder's x, then nine limbs, all u32 little-endian.

    Args:
        points: the holders' x, integers, shape (n,), from 1 to 2**31 - 2.
        limbs: one secret's shares, uint32, shape (n, 9).

    Raises:
        InvalidInputError: shapes or dtypes do not fit, or the points are unusable.
    """
    x = _checked_points("points", points, distinct=False)
    _check_array("limbs", limbs, (x.shape[0], LIMBS), np.dtype(np.uint32))
    table = np.empty((x.shape[0], 1 + LIMBS), "<u4")
    table[:, 0] = x
    table[:, 1:] = limbs
    return table.tobytes()


def decode_shares(table: bytes | memoryview) -> tuple[Limbs, Limbs, Mask]:
    """Reads a table of shares without a loop.

    Args:
        table: 40 bytes for each share.

    Returns:
        The holders' x, uint32, shape (n,); the limbs, uint32, shape (n, 9); and which shares are
        canonical, bool, shape (n,): x from 1 to 2**31 - 2 and every limb below 2**31 - 1.

    Raises:
        InvalidInputError: the table does not end with a whole share.
    """
    size = memoryview(table).nbytes
    if size % SHARE_BYTES:
        raise InvalidInputError("shares", f"{size} bytes", f"a multiple of {SHARE_BYTES} bytes")
    words = np.frombuffer(table, "<u4").reshape(-1, 1 + LIMBS).astype(np.uint32)
    canonical = (words < PRIME).all(axis=1) & (words[:, 0] != 0)
    return words[:, 0], words[:, 1:], canonical


def _checked_points(field: str, points: Points, *, distinct: bool = True) -> Elements:
    allowed = "distinct integers from 1 to 2**31 - 2" if distinct else "integers from 1 to 2**31 - 2"
    if points.ndim != 1 or points.dtype.kind not in "iu":
        raise InvalidInputError(field, f"{points.ndim} dimensions of {points.dtype}", f"one dimension of {allowed}")
    if points.size and not (int(points.min()) >= 1 and int(points.max()) < PRIME):
        raise InvalidInputError(field, "a point is out of range", allowed)
    if distinct and np.unique(points).size != points.size:
        raise InvalidInputError(field, "a point occurs twice", allowed)
    return points.astype(np.uint64)


def _check_array(field: str, array: npt.NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise InvalidInputError(field, f"shape {array.shape}, dtype {array.dtype}", f"shape {shape}, dtype {dtype}")


def _secret_limbs(secrets: Sequence[bytes]) -> Elements:
    """Cuts secrets into limbs, shape (len(secrets), 9)."""
    for secret in secrets:
        if len(secret) != SECRET_BYTES:
            raise InvalidInputError("secret", f"{len(secret)} bytes", f"{SECRET_BYTES} bytes")
    integers = [int.from_bytes(secret, "little") for secret in secrets]
    limb_mask = (1 << _LIMB_BITS) - 1
    limbs = [[value >> (_LIMB_BITS * place) & limb_mask for place in range(LIMBS)] for value in integers]
    return np.array(limbs, np.uint64).reshape(-1, LIMBS)


def _uniform_words(count: int, seed: bytes, suite: Suite) -> Limbs:
    """Draws `count` field elements: 31-bit words of the keystream, without those equal to the prime."""
    drawn = np.empty(0, np.uint32)
    offset = 0
    # At least once, so that an unusable seed is refused even where t = 1 needs no coefficient.
    while not offset or drawn.size < count:
        # Whole blocks, so that the next draw may start where this one ended.
        size = -(-4 * max(count - drawn.size, 1) // SEEK_BYTES) * SEEK_BYTES
        words = np.frombuffer(keystream(suite, seed, length=size, offset=offset), "<u4") & np.uint32(PRIME)
        drawn = np.concatenate([drawn, words[words != PRIME]])
        offset += size
    return drawn[:count]


def _evaluate(coefficients: Elements, table: Elements) -> Elements:
    """Evaluates one secret's polynomials by baby steps and giant steps.

    P(x) = sum over j of x**(64 j) * P_j(x), each P_j of 64 coefficients: all P_j at all points are a
    matrix product with the powers 0 to 63, and Horner's rule in x**64 adds them up.

    Args:
        coefficients: elements, shape (threshold, 9).
        table: the powers 0 to 64 of the points, elements, shape (65, points).

    Returns:
        Elements, shape (9, points).
    """
    threshold = coefficients.shape[0]
    width = min(_BABY_STEPS, threshold)
    giant_steps = -(-threshold // width)
    padded = np.zeros((giant_steps * width, LIMBS))
    padded[:threshold] = coefficients
    rows = padded.reshape(giant_steps, width, LIMBS).transpose(0, 2, 1)
    # Exact: coefficients are below 2**31, either half of a power is below 2**16, and at most 64 of their
    # products are added, so that every partial sum, in whatever order, is an integer below 2**53.
    lower = (rows @ (table[:width] & np.uint64(0xFFFF)).astype(np.float64)).astype(np.uint64)
    upper = (rows @ (table[:width] >> np.uint64(16)).astype(np.float64)).astype(np.uint64)
    parts = reduce(upper)
    parts <<= np.uint64(16)
    parts += lower  # Not reduced: below 2**47 + 2**53.
    values = reduce(parts[-1])
    for part in parts[-2::-1]:
        values *= table[width]  # Below 2**62, so that the sum is below 2**63.
        values += part
        reduce(values)
    return values


def _lagrange_weights(x: Elements) -> Elements:
    """Returns the weights nu_i = product over j != i of x_j / (x_j - x_i), elements, shape of `x`."""
    count = x.shape[0]
    denominators = np.empty(count, np.uint64)
    step = max(1, _DIFFERENCES_AT_ONCE // count)
    for first in range(0, count, step):
        last = min(first + step, count)
        differences = x[:, np.newaxis] + np.uint64(PRIME) - x[np.newaxis, first:last]
        # In place of x_i - x_i stands the x_i by which the product of all points is too large.
        differences[np.arange(first, last), np.arange(last - first)] = x[first:last]
        denominators[first:last] = product(differences)
    return multiply(product(x[:, np.newaxis].copy()), invert(denominators))


def _weighted_sums(shares: Limbs, dealers: npt.NDArray[np.intp], base: npt.NDArray[np.intp], x: Elements) -> Elements:
    """Returns S0 and S1 of `reconstruct` for some dealers, elements, shape (len(dealers), 2, 9).

    Args:
        shares: as there.
        dealers: rows of `shares` to take.
        base: the responders to take, whose weights serve all these dealers.
        x: all responders' points.
    """
    weights = _lagrange_weights(x[base])
    both = np.stack([weights, multiply(weights, x[base])])
    pieces = [both >> np.uint64(_WEIGHT_BITS * place) & np.uint64((1 << _WEIGHT_BITS) - 1) for place in range(3)]
    rows = np.concatenate(pieces).astype(np.float64)
    sums = np.zeros((dealers.shape[0], 2, LIMBS), np.uint64)
    for first_dealer in range(0, dealers.shape[0], _DEALERS_AT_ONCE):
        block = dealers[first_dealer : first_dealer + _DEALERS_AT_ONCE]
        target = sums[first_dealer : first_dealer + _DEALERS_AT_ONCE]
        for first in range(0, base.shape[0], _RESPONDERS_AT_ONCE):
            some = base[first : first + _RESPONDERS_AT_ONCE]
            values = shares[block[:, np.newaxis], some].astype(np.float64)
            # Exact: at most 1024 products of an 11-bit piece and a 32-bit share, below 2**53.
            partial = (rows[:, first : first + _RESPONDERS_AT_ONCE] @ values).astype(np.uint64)
            low, middle, high = (reduce(part) for part in np.split(partial, 3, axis=1))
            target += low + (middle << np.uint64(_WEIGHT_BITS)) + (high << np.uint64(2 * _WEIGHT_BITS))
            reduce(target)
    return sums
