"""Exact sums of integers, signed or not: counters, histograms, votes.

A client sends x - low for each entry x, which is from 0 to W = high - low. The sum of n clients is at most n W, and
that is below 2**modulus_bits, so it never wraps. The server adds survivors * low again. Nothing is rounded or clipped.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fl.arrays.schema import Arrays, ArraySchema, NamedArrays
from fl.checks import check_integer
from fl.codecs.session_terms import application_of, session_of
from fl.errors import RangeTooWideError, SchemaMismatchError
from secagg import AdversaryModel, Certificate, InvalidInputError, InvalidParameterError, SessionParams, Suite
from secagg.primitives import word_dtype

__all__ = ["IntegerSum"]

_LABEL: Final = b"fl integer sum 1"
_SETTINGS: Final = struct.Struct("<qqBQ")
_MAX_CLIENTS: Final = 2**32
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
_WRAPPED: Final = 2**64


@dataclass(frozen=True, slots=True)
class IntegerSum:
    """An exact sum of integers over one cohort.

    Args:
        schema: what every client's arrays look like; integers only.
        low: the least value of an entry, from -2**63.
        high: the largest, from `low` to 2**63 - 1.
        modulus_bits: m of the session.
        clients: the most clients in one sum: the session's cohort size.

    Raises:
        SchemaMismatchError: an array is not of integers.
        InvalidParameterError: a parameter is out of its range, or a sum could leave the range of an int64.
        RangeTooWideError: the modulus is too small for the sum of that many clients.

    Security:
        The server learns the sum of the survivors' arrays exactly, and no single client's. There is no noise: what sums
        tell about one client is not bounded. A lying client is bounded by the modulus alone.
    """

    schema: ArraySchema
    low: int
    high: int
    modulus_bits: int
    clients: int

    def __post_init__(self) -> None:
        if not isinstance(self.schema, ArraySchema):
            raise InvalidParameterError("schema", type(self.schema).__name__, "an ArraySchema: see ArraySchema.of")
        for entry in self.schema.entries:
            if entry.is_float:
                what = f"dtype of array {entry.name!r}"
                raise SchemaMismatchError(what, str(entry.dtype), "integers: see WeightedMean for floats")
        low = check_integer("low", self.low, low=_LEAST, high=_MOST)
        checked = {
            "low": low,
            "high": check_integer("high", self.high, low=low, high=_MOST),
            "modulus_bits": check_integer("modulus_bits", self.modulus_bits, low=1, high=64),
            "clients": check_integer("clients", self.clients, low=1, high=_MAX_CLIENTS),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.clients * self.low < _LEAST or self.clients * self.high > _MOST:
            allowed = f"such that the sum of {self.clients} clients is an int64"
            raise InvalidParameterError("high" if self.high > -self.low else "low", (self.low, self.high), allowed)
        needed = max(1, (self.clients * self.width).bit_length())
        if needed > self.modulus_bits:
            raise RangeTooWideError(self.clients, self.width, self.modulus_bits, needed)

    @property
    def width(self) -> int:
        """High - low: the largest word of one client."""
        return self.high - self.low

    @property
    def vector_length(self) -> int:
        """Words in a client's vector: `SessionParams.vector_length`."""
        return self.schema.size

    def application(self, user: bytes = b"") -> bytes:
        """Returns bytes for `SessionParams.application` that bind the schema and the range.

        Args:
            user: what else the parties must agree on, appended as it is; at most 207 bytes.
        """
        settings = _SETTINGS.pack(self.low, self.high, self.modulus_bits, self.clients)
        return application_of(label=_LABEL, settings=self.schema.digest + settings, user=user)

    def session_params(
        self,
        *,
        certificate: Certificate | None = None,
        adversary: AdversaryModel | None = None,
        suite: Suite = Suite.AES_128_CTR,
        min_survivors: int = 0,
        round_number: int = 0,
        user: bytes = b"",
    ) -> SessionParams:
        """Returns the parameters of a session that sums what `encode` returns, as `fl.WeightedMean.session_params`.

        Raises:
            InvalidParameterError: the certificate is for another cohort or another model, or does not hold.
        """
        return session_of(
            vector_length=self.vector_length,
            modulus_bits=self.modulus_bits,
            clients=self.clients,
            application=self.application(user),
            certificate=certificate,
            adversary=adversary,
            suite=suite,
            min_survivors=min_survivors,
            round_number=round_number,
        )

    def encode(self, arrays: Arrays) -> npt.NDArray[Any]:
        """Returns the words that a client masks.

        Args:
            arrays: what `schema` describes, every entry from `low` to `high`.

        Returns:
            `vector_length` words, each at most `width`, in the smallest unsigned dtype for `modulus_bits`.

        Raises:
            SchemaMismatchError: the arrays do not fit the schema.
            InvalidInputError: an entry is out of the range. The text names the array, never the value.
        """
        words = np.empty(self.schema.size, np.uint64)
        offset = 0
        for entry, array in zip(self.schema.entries, self.schema.check(arrays), strict=True):
            if entry.size and not (self.low <= int(array.min()) and int(array.max()) <= self.high):
                allowed = f"from {self.low} to {self.high}"
                raise InvalidInputError(f"array {entry.name!r}", "it holds an integer out of the range", allowed)
            part = words[offset : offset + entry.size]
            part.reshape(entry.shape)[...] = array.astype(np.int64).view(np.uint64)
            offset += entry.size
        # Modulo 2**64, where the difference is what it is.
        words -= np.uint64(self.low % _WRAPPED)
        return words.astype(word_dtype(self.modulus_bits))

    def decode(self, total: npt.NDArray[Any], survivors: int) -> NamedArrays:
        """Returns the sums in the clients' own container.

        Args:
            total: the session's sum, `vector_length` unsigned words.
            survivors: how many clients it sums.

        Returns:
            int64 arrays, exact, from survivors * low to survivors * high.

        Raises:
            InvalidParameterError: `survivors` is not from 1 to `clients`.
            InvalidInputError: `total` is no such sum.
        """
        survivors = check_integer("survivors", survivors, low=1, high=self.clients)
        dtype = word_dtype(self.modulus_bits)
        if not isinstance(total, np.ndarray) or total.shape != (self.vector_length,) or total.dtype != dtype:
            allowed = f"{dtype} of shape ({self.vector_length},): see session_params"
            raise InvalidInputError("total", "it is of another type or shape", allowed)
        if total.size and int(total.max()) > survivors * self.width:
            allowed = "the sum of words that this codec encoded; a client sent others, or the parameters differ"
            raise InvalidInputError("total", f"a word exceeds what {survivors} clients can sum to", allowed)
        sums = (total.astype(np.uint64) + np.uint64(survivors * self.low % _WRAPPED)).view(np.int64)
        arrays, offset = [], 0
        for entry in self.schema.entries:
            arrays.append(sums[offset : offset + entry.size].reshape(entry.shape).copy())
            offset += entry.size
        return self.schema.rebuild(arrays)
