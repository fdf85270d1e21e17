"""Sums of a few numbers of each client, such as losses and counts, without noise.

Each value is declared with its range, so that everybody knows what one client can change. With n clients, a modulus of
m bits and a range of width w = high - low, a client sends the whole number nearest to

    (x - low) * 2**k,   k the largest integer with n * ceil(w * 2**k) < 2**m,

so no sum wraps. k is at least 0: where low is a whole number, whole numbers are summed exactly. Any other value is off
by at most 2**-(k + 1), and a sum of S clients by S times that.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fl.checks import check_integer, check_number, is_integer, is_number, plain
from fl.codecs.session_terms import application_of, session_of
from fl.errors import RangeTooWideError
from secagg import AdversaryModel, Certificate, InvalidInputError, InvalidParameterError, SessionParams, Suite
from secagg.primitives import word_dtype

__all__ = ["ValueSums"]

_LABEL: Final = b"fl value sums 1"
_SETTINGS: Final = struct.Struct("<BQ")
_RANGE: Final = struct.Struct("<Qdd")
_LARGEST: Final = 2.0**100
_NARROWEST: Final = 2.0**-100
_MOST: Final = 1000
_MAX_CLIENTS: Final = 2**32


@dataclass(frozen=True, slots=True)
class ValueSums:
    """Sums of declared values over one cohort.

    Args:
        ranges: by name, the least and the largest value of one client, each within 2**100; at most 1000. A mapping, or
            its items.
        modulus_bits: m of the session.
        clients: the most clients in one sum: the session's cohort size.

    Raises:
        InvalidParameterError: a name, a range or a number is not what it may be.
        RangeTooWideError: the modulus does not hold the sum of that many clients in whole numbers.

    Security:
        The server learns the sums over the survivors exactly, and no single client's values. There is no noise: what
        sums tell about one client is not bounded. With noise, use the side values of `fl.private`.
    """

    ranges: Mapping[str, tuple[float, float]] | tuple[tuple[str, tuple[float, float]], ...]
    modulus_bits: int
    clients: int

    def __post_init__(self) -> None:
        modulus_bits = check_integer("modulus_bits", self.modulus_bits, low=1, high=64)
        clients = check_integer("clients", self.clients, low=1, high=_MAX_CLIENTS)
        object.__setattr__(self, "modulus_bits", modulus_bits)
        object.__setattr__(self, "clients", clients)
        object.__setattr__(self, "ranges", _checked_ranges(self.ranges))
        for low, high in self._ends:
            width = math.ceil(Fraction(high) - Fraction(low))
            if clients * width >= 2**modulus_bits:
                raise RangeTooWideError(clients, width, modulus_bits, (clients * width).bit_length())

    @property
    def names(self) -> tuple[str, ...]:
        """What is summed, in the order of the words."""
        return tuple(name for name, _ in self._items)

    @property
    def vector_length(self) -> int:
        """Words in a client's vector: `SessionParams.vector_length`."""
        return len(self.ranges)

    @property
    def settings(self) -> bytes:
        """Bytes that differ where any setting does."""
        parts = [_SETTINGS.pack(self.modulus_bits, self.clients)]
        for name, ends in self._items:
            encoded = name.encode()
            parts.append(_RANGE.pack(len(encoded), *ends) + encoded)
        return b"".join(parts)

    def step(self, name: str) -> float:
        """Returns the distance of two neighbouring values that can be told apart, 2**-k.

        Raises:
            InvalidParameterError: nothing is called so.
        """
        if not isinstance(name, str) or name not in self.names:
            raise InvalidParameterError("name", name, "one of those that are summed")
        return math.ldexp(1.0, -self._exponent(*dict(self._items)[name]))

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
            application=application_of(label=_LABEL, settings=self.settings, user=user),
            certificate=certificate,
            adversary=adversary,
            suite=suite,
            min_survivors=min_survivors,
            round_number=round_number,
        )

    def encode(self, values: Mapping[str, float]) -> npt.NDArray[Any]:
        """Returns the words that a client masks.

        Args:
            values: one number for each name, in its range.

        Returns:
            `vector_length` words in the smallest unsigned dtype for `modulus_bits`.

        Raises:
            InvalidInputError: a value is missing, undeclared, not finite or out of its range. The text names it, and
                does not tell it.
        """
        numbers = self.check(values)
        words = [
            round((Fraction(numbers[name]) - Fraction(low)) * Fraction(2) ** self._exponent(low, high))
            for name, (low, high) in self._items
        ]
        return np.array(words, dtype=word_dtype(self.modulus_bits))

    def check(self, values: Mapping[str, float]) -> dict[str, float]:
        """Returns the values as Python's numbers, if `encode` takes them.

        Raises:
            InvalidInputError: it does not.
        """
        if not isinstance(values, Mapping):
            raise InvalidInputError("side_values", f"a {type(values).__name__}", "a mapping of names to numbers")
        unlike = set(self.names) ^ set(values)
        if unlike:
            raise InvalidInputError("side_values", f"{min(map(str, unlike))!r} is missing or undeclared", "as declared")
        numbers: dict[str, float] = {}
        for name, (low, high) in self._items:
            value = values[name]
            if not is_number(value):
                raise InvalidInputError(f"side value {name}", f"a {type(value).__name__}", "a number")
            number = int(value) if is_integer(value) else float(value)
            # NaN is in no range.
            if not low <= number <= high:
                raise InvalidInputError(f"side value {name}", "out of its declared range", f"from {low:g} to {high:g}")
            numbers[name] = number
        return numbers

    def decode(self, total: npt.NDArray[Any], survivors: int) -> dict[str, float]:
        """Returns the sums by name.

        Args:
            total: the session's sum, `vector_length` unsigned words.
            survivors: how many clients it sums.

        Raises:
            InvalidParameterError: `survivors` is not from 1 to `clients`.
            InvalidInputError: `total` is no such sum.
        """
        survivors = check_integer("survivors", survivors, low=1, high=self.clients)
        dtype = word_dtype(self.modulus_bits)
        if not isinstance(total, np.ndarray) or total.shape != (self.vector_length,) or total.dtype != dtype:
            allowed = f"{dtype} of shape ({self.vector_length},): see session_params"
            raise InvalidInputError("total", "it is of another type or shape", allowed)
        sums: dict[str, float] = {}
        for (name, (low, high)), word in zip(self._items, total.tolist(), strict=True):
            steps = Fraction(2) ** self._exponent(low, high)
            if word > survivors * math.ceil((Fraction(high) - Fraction(low)) * steps):
                allowed = "the sum of words that this codec encoded; a client sent others, or the parameters differ"
                raise InvalidInputError("total", f"a word exceeds what {survivors} clients can sum to", allowed)
            sums[name] = float(word / steps + survivors * Fraction(low))
        return sums

    @property
    def _items(self) -> tuple[tuple[str, tuple[float, float]], ...]:
        return tuple(dict(self.ranges).items())

    @property
    def _ends(self) -> tuple[tuple[float, float], ...]:
        return tuple(ends for _, ends in self._items)

    def _exponent(self, low: float, high: float) -> int:
        """Returns k: 0 or more, and as large as the modulus lets it be."""
        width, largest = Fraction(high) - Fraction(low), (1 << self.modulus_bits) - 1
        exponent = math.floor(largest / (self.clients * width)).bit_length() - 1
        # The largest word may be rounded up.
        while self.clients * math.ceil(width * Fraction(2) ** exponent) > largest:
            exponent -= 1
        return exponent


def _checked_ranges(ranges: object) -> tuple[tuple[str, tuple[float, float]], ...]:
    items = tuple(ranges.items()) if isinstance(ranges, Mapping) else ranges
    if (
        type(items) is not tuple
        or len(items) > _MOST
        or any(type(item) is not tuple or len(item) != 2 for item in items)
    ):
        raise InvalidParameterError("ranges", type(ranges).__name__, f"a mapping of at most {_MOST} names to ranges")
    checked = tuple((_checked_name(name), _checked_range(name, ends)) for name, ends in items)
    if len(dict(checked)) < len(checked):
        raise InvalidParameterError("ranges", [name for name, _ in checked], "different names")
    return checked


def _checked_name(name: object) -> str:
    name = plain(name)
    if type(name) is not str or not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidParameterError("name", name, "a printable str of 1 to 100 characters")
    return name


def _checked_range(name: str, ends: object) -> tuple[float, float]:
    if not isinstance(ends, tuple | list) or len(ends) != 2:
        raise InvalidParameterError(f"side value {name}", ends, "its least and its largest value")
    low = check_number(f"side value {name}: low", ends[0], low=-_LARGEST, high=_LARGEST)
    high = check_number(f"side value {name}: high", ends[1], low=-_LARGEST, high=_LARGEST)
    if not high - low >= _NARROWEST:
        raise InvalidParameterError(f"side value {name}: high", high, f"above low, {low:g}, by 2**-100 or more")
    return low, high
