"""What a server's optimiser remembers between rounds, and its bytes for a checkpoint.

The bytes, all integers little-endian: "FLOS", version (1 byte), kind (1 byte), the schema's digest (32),
rounds (8), elements of a moment (8), the moments one after the other (8 bytes an element, IEEE 754 binary64),
and the SHA-256 of all that. The checksum finds accidents, not attacks: a
party that can write this file can write the model as well.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from fl.checks import check_integer
from secagg import InvalidParameterError, InvalidStateError

__all__ = ["MOMENTS", "OptimizerState", "are_finite"]

MOMENTS: Final = {"FedAvg": 0, "FedAvgM": 1, "FedAdagrad": 2, "FedYogi": 2, "FedAdam": 2}
"""How many vectors each optimiser keeps: none, m, or m and v. The order numbers the kinds on the wire."""

_KINDS: Final = tuple(MOMENTS)
_MAGIC: Final = b"FLOS"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("<4sBB32sQQ")
_CHECKSUM_BYTES: Final = hashlib.sha256().digest_size
_MAX_ROUNDS: Final = 2**63 - 1
_WIRE_DTYPE: Final = np.dtype("<f8")


@dataclass(frozen=True, slots=True, eq=False)
class OptimizerState:
    """The state of an optimiser after some rounds.

    Args:
        kind: the optimiser's name, a key of `MOMENTS`.
        schema_digest: `ArraySchema.digest` of the model, 32 bytes.
        rounds: how many steps were taken.
        moments: m and then v, as far as the kind has them: float64 of shape (elements,), finite, v not negative.
            Taken as they are, and made read-only.

    Raises:
        InvalidParameterError: a field is of the wrong type or out of its range.

    Security:
        No secret: it follows from the released means. It says as much about the model as they do.
    """

    kind: str
    schema_digest: bytes
    rounds: int
    moments: tuple[npt.NDArray[np.float64], ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in MOMENTS:
            raise InvalidParameterError("kind", self.kind, f"one of {', '.join(_KINDS)}")
        if type(self.schema_digest) is not bytes or len(self.schema_digest) != _CHECKSUM_BYTES:
            raise InvalidParameterError("schema_digest", type(self.schema_digest).__name__, "32 bytes")
        object.__setattr__(self, "rounds", check_integer("rounds", self.rounds, low=0, high=_MAX_ROUNDS))
        if type(self.moments) is not tuple or len(self.moments) != MOMENTS[self.kind]:
            raise InvalidParameterError("moments", type(self.moments).__name__, f"a tuple of {MOMENTS[self.kind]}")
        for moment in self.moments:
            if not isinstance(moment, np.ndarray) or moment.dtype != np.float64 or moment.ndim != 1:
                raise InvalidParameterError("moments", type(moment).__name__, "one-dimensional arrays of float64")
            if moment.shape != self.moments[0].shape:
                raise InvalidParameterError("moments", moment.shape, f"all of shape {self.moments[0].shape}")
        if not are_finite(self.moments):
            raise InvalidParameterError("moments", "NaN or infinity", "finite")
        if len(self.moments) == 2 and (self.moments[1] < 0).any():
            raise InvalidParameterError("moments", "a negative mean of squares", "not negative in the second moment")
        for moment in self.moments:
            moment.flags.writeable = False

    def to_bytes(self) -> bytes:
        """Returns the state as versioned bytes; equal states have equal bytes."""
        elements = len(self.moments[0]) if self.moments else 0
        kind = _KINDS.index(self.kind)
        header = _HEADER.pack(_MAGIC, _VERSION, kind, self.schema_digest, self.rounds, elements)
        body = b"".join([header, *(moment.astype(_WIRE_DTYPE, copy=False).tobytes() for moment in self.moments)])
        return body + hashlib.sha256(body).digest()

    @classmethod
    def from_bytes(cls, data: bytes) -> "OptimizerState":
        """Returns the state that `to_bytes` wrote.

        Raises:
            InvalidStateError: the bytes are no intact state of this version.
        """
        if type(data) is not bytes or len(data) < _HEADER.size + _CHECKSUM_BYTES or data[: len(_MAGIC)] != _MAGIC:
            raise InvalidStateError("these bytes are no optimiser's state")
        _, version, kind, schema_digest, rounds, elements = _HEADER.unpack_from(data)
        if version != _VERSION:
            raise InvalidStateError(f"the optimiser's state has version {version}, this library reads {_VERSION}")
        body = memoryview(data)[:-_CHECKSUM_BYTES]
        if hashlib.sha256(body).digest() != data[-_CHECKSUM_BYTES:]:
            raise InvalidStateError("the optimiser's state is damaged or truncated")
        if kind >= len(_KINDS):
            raise InvalidStateError(f"the optimiser's state is of the unknown kind {kind}")
        count = MOMENTS[_KINDS[kind]]
        if len(body) != _HEADER.size + count * elements * _WIRE_DTYPE.itemsize or (elements and not count):
            raise InvalidStateError("the optimiser's state has a wrong length")
        # A copy each, in native byte order, which outlives the bytes.
        moments = tuple(
            np.frombuffer(body, _WIRE_DTYPE, elements, _HEADER.size + one * elements * _WIRE_DTYPE.itemsize).astype(
                np.float64
            )
            for one in range(count)
        )
        try:
            return cls(_KINDS[kind], schema_digest, rounds, moments)
        except InvalidParameterError as error:
            raise InvalidStateError(f"the optimiser's state holds a bad value: {error.parameter}") from None


def are_finite(vectors: Iterable[npt.NDArray[np.float64]]) -> bool:
    """Returns whether no vector holds NaN or infinity."""
    return all(bool(np.isfinite(vector).all()) for vector in vectors)
