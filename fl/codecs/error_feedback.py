"""Error feedback: what a lossy encoder left out of one round's vector is added to the next round's, on the client.

Source: Seide et al. 2014; Stich, Cordonnier, Jaggi 2018; Karimireddy et al. 2019, Algorithm 2. The order of a round:

1. `intended = feedback.add(update)`;
2. with differential privacy: clip `intended`, so that the sensitivity is what it is without feedback;
3. encode it; `sent` is what the words stand for, a selection spread out again for instance;
4. `feedback.keep(intended, sent)`, save `to_bytes()`, and only then send;
5. when it is known what became of the upload: `commit()` if the round counted it, `rollback()` if it did not.

A lost upload is as good as an upload of zero: `rollback` keeps all of `intended` for the next round. So at any time

    sum of what was counted + residual = sum of all updates,

up to the rounding of two float64 operations a round, if `intended` is what `add` returned. If it was clipped in
between, what clipping took off is gone, and the residual is never more than the encoder's error on a clipped vector;
otherwise a client whose updates are always clipped would heap up a residual without limit.
"""

import math
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from fl.checks import check_integer
from fl.float_events import ignoring
from secagg import InvalidInputError, InvalidStateError
from secagg.protocol import SnapshotRole, read_snapshot, write_snapshot

__all__ = ["ErrorFeedback"]

_VERSION: Final = 1
_DTYPE: Final = np.dtype("<f8")
_MAX_LENGTH: Final = 2**32


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    residual: np.ndarray
    intended: np.ndarray | None


class ErrorFeedback:
    """One client's residual, for one model.

    Args:
        length: of the vectors, 1 to 2**32.

    Raises:
        InvalidParameterError: the length is out of its range.

    Security:
        The residual is as secret as the client's data, and never sent. It does not weaken client-level differential
        privacy: whatever was added before clipping, a round's vector is within the clip norm, and the proof asks for
        nothing else. Two things would: `sent` with noise in it, as the next round would take that noise back, and
        feedback under example-level privacy, where one example would go on acting through the residual.

    Cost:
        One vector of 8 bytes an entry between rounds, and two from `keep` to `commit` or `rollback`.
    """

    __slots__ = ("_intended", "_residual")

    def __init__(self, length: int) -> None:
        length = check_integer("length", length, low=1, high=_MAX_LENGTH)
        self._residual: npt.NDArray[np.float64] = np.zeros(length)
        self._intended: npt.NDArray[np.float64] | None = None

    @property
    def length(self) -> int:
        """Entries of every vector."""
        return len(self._residual)

    @property
    def pending(self) -> bool:
        """Whether a vector was kept and is neither committed nor rolled back."""
        return self._intended is not None

    @property
    def residual(self) -> npt.NDArray[np.float64]:
        """What is left out so far, read-only; while a vector is pending, what will be if its round counts."""
        view = self._residual.view()
        view.flags.writeable = False
        return view

    @ignoring("under")
    def add(self, vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns vector + residual, in new memory: what this round should send.

        Nothing is changed: a round that is given up before `keep` needs nothing undone.

        Args:
            vector: the round's update, float64, shape (length,), finite.

        Raises:
            InvalidInputError: the vector is unusable, or the sum overflows.
            InvalidStateError: it is not said yet what became of the vector before.
        """
        self._check_settled()
        self._check("vector", vector)
        with np.errstate(over="ignore"):
            total: npt.NDArray[np.float64] = vector + self._residual
        _check_finite("vector", total)
        return total

    @ignoring("under")
    def keep(self, intended: npt.NDArray[np.float64], sent: npt.NDArray[np.float64]) -> None:
        """Remembers what the encoder left out of a vector.

        Args:
            intended: what was encoded: what `add` returned, clipped if the client clips. float64, shape (length,).
            sent: what the words stand for, without noise and as the client's own share of the mean. float64,
                shape (length,).

        Raises:
            InvalidInputError: a vector is unusable, or their difference overflows; nothing was kept.
            InvalidStateError: it is not said yet what became of the vector before.
        """
        self._check_settled()
        self._check("intended", intended)
        self._check("sent", sent)
        with np.errstate(over="ignore"):
            left: npt.NDArray[np.float64] = intended - sent
        _check_finite("sent", left)
        self._residual, self._intended = left, intended.copy()

    def commit(self) -> None:
        """The round counted the pending vector: what was left out of it is the residual.

        Raises:
            InvalidStateError: nothing is pending.
        """
        self._pending()
        self._intended = None

    def rollback(self) -> None:
        """The pending vector was not counted (the client or the server lost it): all of it is the residual.

        Raises:
            InvalidStateError: nothing is pending.
        """
        self._residual, self._intended = self._pending(), None

    def to_bytes(self, wrapping_key: bytes | None = None) -> bytes:
        """Returns the state, pending or not, for hosts that run a fresh process for each message.

        Save it before the words are sent, and delete the one before: a state restored twice sends its residual twice.

        Args:
            wrapping_key: 32 bytes to encrypt under; None leaves the protection to the host, with a checksum only.

        Raises:
            InvalidInputError: the wrapping key has a wrong type or length.
        """
        intended = None if self._intended is None else self._intended.astype(_DTYPE, copy=False)
        content = _Content(_VERSION, self._residual.astype(_DTYPE, copy=False), intended)
        return write_snapshot(SnapshotRole.ERROR_FEEDBACK, content, wrapping_key)

    @classmethod
    def from_bytes(cls, data: bytes, length: int, wrapping_key: bytes | None = None) -> "ErrorFeedback":
        """Returns what `to_bytes` wrote.

        Args:
            data: the bytes.
            length: of this model's vectors.
            wrapping_key: as given to `to_bytes`.

        Raises:
            InvalidStateError: the bytes are no intact state of this version, or one for vectors of another length.
            InvalidParameterError: the length is out of its range.
            InvalidInputError: the wrapping key has a wrong type or length.
        """
        length = check_integer("length", length, low=1, high=_MAX_LENGTH)
        content = read_snapshot(SnapshotRole.ERROR_FEEDBACK, data, _Content, wrapping_key)
        if content.version != _VERSION:
            raise InvalidStateError(f"the residual has version {content.version}, this library reads {_VERSION}")
        restored = cls.__new__(cls)
        restored._residual = _restored(content.residual, length)
        restored._intended = None if content.intended is None else _restored(content.intended, length)
        return restored

    def __repr__(self) -> str:
        return f"ErrorFeedback(length={self.length}, pending={self.pending})"

    def _check_settled(self) -> None:
        if self._intended is not None:
            raise InvalidStateError("the last vector is pending: say commit() if its round counted it, else rollback()")

    def _pending(self) -> npt.NDArray[np.float64]:
        if self._intended is None:
            raise InvalidStateError("no vector is pending: keep() comes first")
        return self._intended

    def _check(self, name: str, vector: npt.NDArray[np.float64]) -> None:
        if not isinstance(vector, np.ndarray) or vector.dtype != np.float64 or vector.shape != (self.length,):
            raise InvalidInputError(name, "it is of another type or shape", f"float64 of shape ({self.length},)")
        _check_finite(name, vector)


def _check_finite(name: str, vector: npt.NDArray[np.float64]) -> None:
    # Both are NaN if an entry is; no array of booleans is made.
    with np.errstate(invalid="ignore"):
        finite = math.isfinite(vector.min()) and math.isfinite(vector.max())
    if not finite:
        problem = "it, or what is made of it, holds NaN or infinity"
        raise InvalidInputError(name, problem, "finite: drop out of this round instead")


def _restored(vector: npt.NDArray[Any], length: int) -> npt.NDArray[np.float64]:
    if vector.dtype != _DTYPE or vector.shape != (length,):
        raise InvalidStateError(f"the residual is not one of vectors of float64 and length {length}")
    if not np.isfinite(vector).all():
        raise InvalidStateError("the residual holds NaN or infinity")
    return vector.astype(np.float64)
