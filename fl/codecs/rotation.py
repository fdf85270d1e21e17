"""The randomised Hadamard rotation: it spreads a vector's length evenly over its coordinates, and commutes with sums.

Notation: d is `dimension`, n `padded_dimension`, the next power of two. A vector x is padded with zeros and becomes

    y = H D x,   D = diag(signs),   H = n**(-1/2) * (the Hadamard matrix of Sylvester's construction),

and D H y is x again, as H and D are symmetric and orthogonal. Everyone in a session has the same signs, so the mean of
rotated vectors is the rotated mean. Whatever x is, over random signs a coordinate of y has the variance ||x||**2 / n
and the tail P(|y_i| > t ||x|| / sqrt(n)) <= 2 exp(-t**2 / 2) (Hoeffding 1963; Suresh et al. 2017 §3 for quantisation;
Kairouz, Liu, Steinke 2021 §4 for noise): a small range holds every coordinate.

Signs: coordinate i is negated if bit i mod 8, from the lowest, of byte i div 8 is set in the AES-128-CTR keystream of
SHA-256(label || seed).

H is a Kronecker product of 16-point matrices and at most one smaller one. With the vector as a row-major matrix of 16
rows, its transpose times H_16 transforms the first hexadecimal digit of the index and makes it the last; after one
product for each digit all are transformed and back in their order. Products of 32 or 64 points were slower with every
kernel of the BLAS that was tried, and butterflies of whole vectors many times slower.

Rounding: let u be the unit roundoff, 2**-24 or 2**-53. Entries of H_16 are +-1/4, so products are exact and only the
sums of 16 terms round: in whatever order and fused or not, each errs by at most g(15) times the sum of the terms'
magnitudes, g(k) = k u / (1 - k u) (Higham 2002 §3.1, §4.2). The matrix of magnitudes |H_16| has the norm 4. A smaller
factor of r points has the norm sqrt(r) and, its entries being rounded unless r = 4, at most r + 1 roundings. So

    ||computed y - y|| <= e ||x||,   1 + e = (1 + 4 g(15))**sixteens * (1 + sqrt(r) g(r + 1)),

beside underflow; signs are exact. For n = 2**20 that is 1.8e-5 in float32 and 3.4e-14 in float64, and by the triangle
inequality it bounds the change of the norm too: see `Rotation.norm_error`.
"""

import hashlib
import math
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from fl.checks import check_integer, is_number
from fl.float_events import ignoring
from secagg import InvalidInputError, InvalidParameterError, Suite
from secagg.primitives import keystream

__all__ = ["Rotation", "RotationBuffers", "padded"]

_Float = TypeVar("_Float", np.float32, np.float64)

SEED_BYTES: Final = 32
_LABEL: Final = b"fl rotation signs 1"

_MAX_DIMENSION: Final = 2**32
_DTYPES: Final[tuple[object, ...]] = (np.float32, np.float64)

_POINTS: Final = 16
"""Points that one product transforms. 16 is faster than 32 by a twentieth to a half, with every kernel that was tried:
AVX-512, AVX2, AVX and SSE."""

_ROWS: Final = 512
"""Rows of one product. It is so small that OpenBLAS neither packs a copy nor starts threads; both would cost time."""

_CHUNK: Final = 1 << 16
"""Coordinates whose signs are unpacked at a time, a multiple of 8: half a megabyte in float64."""

_HEADROOM: Final = 2.0**18
"""No sum in a rotation is larger than the vector's norm, up to rounding, which is at most 2**16 its largest entry."""

_UNDERFLOWS: Final = 512
"""Each of at most 8 products of at most 16 terms loses at most the smallest normal number in each term and sum."""


def padded(dimension: int) -> int:
    """Returns the length of a rotated vector: the smallest power of two that is at least `dimension`.

    Raises:
        InvalidParameterError: `dimension` is not an int from 1 to 2**32.
    """
    dimension = check_integer("dimension", dimension, low=1, high=_MAX_DIMENSION)
    return 1 << (dimension - 1).bit_length()


class RotationBuffers(Generic[_Float]):
    """The memory that a rotation works in, to be handed from each round's `Rotation` to the next.

    Args:
        dimension: d; any rotation with the same `padded_dimension` and dtype can use them.
        dtype: numpy.float32 or numpy.float64.

    Raises:
        InvalidParameterError: a parameter is out of its range.

    Security:
        They hold what was rotated last, which is a client's secret.

    Cost:
        Two padded vectors, of which `Rotation.forward` touches one only, and half a megabyte.
    """

    __slots__ = ("dtype", "mask", "padded_dimension", "vectors")

    dtype: type[_Float]
    padded_dimension: int
    vectors: tuple[npt.NDArray[_Float], npt.NDArray[_Float]]
    mask: npt.NDArray[Any]

    def __init__(self, dimension: int, dtype: type[_Float]) -> None:
        self.padded_dimension = padded(dimension)
        if not any(dtype is allowed for allowed in _DTYPES):
            raise InvalidParameterError("dtype", dtype, "numpy.float32 or numpy.float64")
        self.dtype = dtype
        self.vectors = (np.empty(self.padded_dimension, dtype), np.empty(self.padded_dimension, dtype))
        self.mask = np.empty(min(_CHUNK, self.padded_dimension), f"u{np.dtype(dtype).itemsize}")


class Rotation(Generic[_Float]):
    """One session's rotation. It is linear and orthogonal: norms and sums stay what they are, up to rounding.

    Args:
        dimension: d, 1 to 2**32.
        seed: 32 public bytes that everyone in the session has, such as a hash of the session's context.
        dtype: numpy.float32 or numpy.float64. The signs do not depend on it.
        buffers: from an earlier rotation of the same size; None makes new ones.

    Raises:
        InvalidParameterError: a parameter is out of its range, or the buffers are of another size or dtype.

    Security:
        It hides nothing. Coordinates are small for seeds that were drawn independently of the vectors. The party that
        chooses the seed last can make a rotation that flattens a certain vector badly. So every bound that privacy
        rests on has to be enforced on the rotated vector. SHA-256 keeps the signs apart from what else is drawn from
        the same seed.

    Cost:
        For d = 2**20, on one core, 2.6 ms in float32 and 5 in float64. Not for several threads at a time: all calls
        share the buffers.
    """

    __slots__ = ("_buffers", "_dimension", "_factors", "_signs")

    _buffers: RotationBuffers[_Float]
    _dimension: int
    _factors: list[npt.NDArray[_Float]]
    _signs: npt.NDArray[np.uint8]

    def __init__(
        self, dimension: int, seed: bytes, dtype: type[_Float], buffers: RotationBuffers[_Float] | None = None
    ) -> None:
        length = padded(dimension)
        if type(seed) is not bytes or len(seed) != SEED_BYTES:
            raise InvalidParameterError("seed", type(seed).__name__, f"{SEED_BYTES} bytes")
        if buffers is None:
            buffers = RotationBuffers(dimension, dtype)
        elif type(buffers) is not RotationBuffers or buffers.padded_dimension != length or buffers.dtype is not dtype:
            raise InvalidParameterError("buffers", type(buffers).__name__, f"RotationBuffers({dimension}, {dtype})")
        self._dimension = dimension
        self._buffers = buffers
        self._factors = [_hadamard(points).astype(dtype) for points in _factors_of(length)]
        key = hashlib.sha256(_LABEL + seed).digest()
        self._signs = np.frombuffer(keystream(Suite.AES_128_CTR, key, length=-(-dimension // 8)), np.uint8)

    @property
    def dimension(self) -> int:
        """The length d of a vector before rotation."""
        return self._dimension

    @property
    def padded_dimension(self) -> int:
        """The length n of a rotated vector, a power of two."""
        return self._buffers.padded_dimension

    @property
    def buffers(self) -> RotationBuffers[_Float]:
        """What the next round's rotation can work in."""
        return self._buffers

    def norm_error(self, norm: float) -> float:
        """Returns how far a computed rotation, or inverse, is from the exact one at most, as an L2 norm.

        The norm changes by no more. A caller that clips before the rotation, and needs the bound after it, clips again.

        Args:
            norm: an upper bound on the norm of what is rotated, at least 0.
        """
        if not is_number(norm) or not 0 <= norm < math.inf:
            raise InvalidParameterError("norm", norm, "a finite number, at least 0")
        limits = np.finfo(self._buffers.dtype)
        unit = float(limits.eps) / 2
        relative = 0.0
        for points in _factors_of(self.padded_dimension):
            roundings = points - 1 if points == _POINTS else points + 1
            step = math.sqrt(points) * roundings * unit / (1 - roundings * unit)
            # (1 + relative)(1 + step) - 1, so that nothing small is lost in a 1.
            relative += step + relative * step
        underflow = _UNDERFLOWS * math.sqrt(self.padded_dimension) * float(limits.smallest_normal)
        # This calculation rounds as well, by less than 2**-40 of its result.
        return (relative * float(norm) + underflow) * (1 + 2.0**-40)

    @ignoring("under")
    def forward(self, vector: npt.NDArray[_Float], out: npt.NDArray[_Float] | None = None) -> npt.NDArray[_Float]:
        """Returns the rotated vector H D x.

        Args:
            vector: x, of the rotation's dtype, shape (dimension,), finite.
            out: where to write it, shape (padded_dimension,), contiguous; must not overlap `vector`. None allocates.

        Returns:
            `out`, or a new array.

        Raises:
            InvalidInputError: the vector or `out` is unusable; `out` is as it was.

        Guarantees:
            Within `norm_error` of the exact rotation.
        """
        self._check("vector", vector, self._dimension)
        out = self._checked_out(out, self.padded_dimension, vector)
        scratch = self._buffers.vectors[0]
        # Each product writes to the other of the two, and the last one has to write to `out`.
        start, other = (scratch, out) if len(self._factors) % 2 else (out, scratch)
        self._change_signs(vector, start)
        start[self._dimension :] = 0
        self._transform(start, other, start)
        return out

    @ignoring("under")
    def inverse(self, rotated: npt.NDArray[_Float], out: npt.NDArray[_Float] | None = None) -> npt.NDArray[_Float]:
        """Returns the first d coordinates of D H y, where y may be a sum or a mean of rotated vectors.

        Args:
            rotated: y, of the rotation's dtype, shape (padded_dimension,), finite.
            out: where to write it, shape (dimension,), contiguous; must not overlap `rotated`. None allocates.

        Returns:
            `out`, or a new array.

        Raises:
            InvalidInputError: `rotated` or `out` is unusable; `out` is as it was.

        Guarantees:
            Within `norm_error` of the exact inverse.
        """
        self._check("rotated", rotated, self.padded_dimension)
        out = self._checked_out(out, self._dimension, rotated)
        first, second = self._buffers.vectors
        transformed = self._transform(rotated, first, second)
        self._change_signs(transformed[: self._dimension], out)
        return out

    def _transform(
        self, source: npt.NDArray[_Float], target: npt.NDArray[_Float], other: npt.NDArray[_Float]
    ) -> npt.NDArray[_Float]:
        """Applies H, writing to `target` and `other` in turns, and returns which of the three holds the result."""
        for factor in self._factors:
            points = len(factor)
            rows = min(_ROWS, len(source) // points)
            parts = source.reshape(points, -1, rows).transpose(1, 2, 0)
            np.matmul(parts, factor, out=target.reshape(-1, rows, points))
            source, target, other = target, other, target
        return source

    def _change_signs(self, vector: npt.NDArray[_Float], out: npt.NDArray[_Float]) -> None:
        """Writes D * vector to the beginning of `out`: the sign bit of a float is flipped, which rounds nothing."""
        sign_bit = 8 * out.itemsize - 1
        words = self._buffers.mask.dtype
        for start in range(0, len(vector), _CHUNK):
            stop = min(start + _CHUNK, len(vector))
            mask = self._buffers.mask[: stop - start]
            packed = self._signs[start // 8 : -(-stop // 8)]
            np.copyto(mask, np.unpackbits(packed, count=stop - start, bitorder="little"))
            np.left_shift(mask, sign_bit, out=mask)
            np.bitwise_xor(vector[start:stop].view(words), mask, out=out[start:stop].view(words))

    def _check(self, name: str, vector: npt.NDArray[_Float], length: int) -> None:
        dtype = self._buffers.dtype
        if not isinstance(vector, np.ndarray) or vector.dtype != dtype or vector.shape != (length,):
            raise InvalidInputError(name, "it is of another type or shape", f"{dtype.__name__} of shape ({length},)")
        limit = float(np.finfo(dtype).max) / _HEADROOM
        # NaN is in no range. A signalling one warns when it is compared; it is refused like any other.
        with np.errstate(invalid="ignore"):
            fits = -limit <= float(vector.min()) and float(vector.max()) <= limit
        if not fits:
            problem = "it holds NaN, infinity or a number too large to be rotated"
            raise InvalidInputError(name, problem, f"finite, and at most {limit:.3g} in magnitude")

    def _checked_out(
        self, out: npt.NDArray[_Float] | None, length: int, source: npt.NDArray[_Float]
    ) -> npt.NDArray[_Float]:
        dtype = self._buffers.dtype
        if out is None:
            return np.empty(length, dtype)
        if not isinstance(out, np.ndarray) or out.dtype != dtype or out.shape != (length,):
            raise InvalidInputError("out", "it is of another type or shape", f"{dtype.__name__} of shape ({length},)")
        if not out.flags.c_contiguous or not out.flags.writeable or np.may_share_memory(out, source):
            problem = "it is read-only, not contiguous, or overlaps the input"
            raise InvalidInputError("out", problem, "contiguous writeable memory of its own")
        return out


def _factors_of(length: int) -> list[int]:
    """Returns the points of each product: their product is the power of two `length`."""
    sixteens, rest = divmod(length.bit_length() - 1, 4)
    return [_POINTS] * sixteens + ([1 << rest] if rest else [])


@lru_cache(maxsize=4)
def _hadamard(points: int) -> npt.NDArray[np.float64]:
    """Returns Sylvester's orthonormal matrix, read-only; each entry is rounded once at most."""
    matrix = np.full((1, 1), math.sqrt(1 / points))
    while len(matrix) < points:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    matrix.flags.writeable = False
    return matrix
