"""The single values of a ledger's records: each kind has one JSON form, and no other form is read.

There are no floats. A number is an integer, or an exact rational as the text "p/q" in lowest terms; a hash is lowercase
hexadecimal; a text is printable ASCII that JSON needs not escape. So what two programs compute from a record cannot
differ by how they read it.
"""

import enum
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Generic, Protocol, TypeVar

from dp.checks import check_member, is_exact
from dp.errors import InvalidParameterError, shown
from dp.vocabulary import FIXED_SAMPLE, POISSON_SAMPLE, SampleKnownTo, Sampling

__all__ = [
    "MAX_DIGITS",
    "SHA256_BYTES",
    "Bytes",
    "Codec",
    "Integer",
    "Member",
    "Optional",
    "Rational",
    "SamplingCodec",
    "Text",
]

SHA256_BYTES: Final = 32

MAX_DIGITS: Final = 400
"""The most digits of a numerator or denominator. Every binary64 has fewer, and parsing stays cheap."""

_RATIONAL: Final = re.compile(rf"(0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}})/([1-9][0-9]{{0,{MAX_DIGITS - 1}}})", re.ASCII)
_LIMIT: Final = 10**MAX_DIGITS
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+", re.ASCII)
_MAX_FLOAT: Final = Fraction(1 << 1024)

Value = TypeVar("Value")


class Codec(Protocol):
    """How one field is written and read; both refuse what the field cannot be."""

    def encode(self, name: str, value: Any) -> object:
        """Returns the JSON value; raises `InvalidParameterError` naming the field."""

    def decode(self, name: str, raw: object) -> Any:
        """Returns the Python value; raises `InvalidParameterError` naming the field."""


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer from `low` to `high`."""

    low: int
    high: int

    def encode(self, name: str, value: object) -> object:
        """Returns it as it is."""
        return self.decode(name, value)

    def decode(self, name: str, raw: object) -> int:
        """Returns it as it is; a bool is no integer."""
        # A subclass of int could print as anything.
        if type(raw) is not int or not self.low <= raw <= self.high:
            raise InvalidParameterError(name, raw, f"an integer from {self.low} to {_power(self.high)}")
        return raw


@dataclass(frozen=True, slots=True)
class Rational:
    """A rational from `low` (not itself if `positive`) to `high`; written as p/q in lowest terms."""

    positive: bool = False
    high: Fraction = _MAX_FLOAT
    low: Fraction = Fraction(0)

    def encode(self, name: str, value: object) -> str:
        """Returns "p/q"."""
        if not is_exact(value):
            raise InvalidParameterError(name, value, "a Fraction or an int")
        number = Fraction(value)
        self._check(name, number)
        return f"{number.numerator}/{number.denominator}"

    def decode(self, name: str, raw: object) -> Fraction:
        """Returns the number."""
        match = _RATIONAL.fullmatch(raw) if isinstance(raw, str) else None
        if match is None:
            raise InvalidParameterError(name, _shortened(raw), 'a rational as "p/q"')
        numerator, denominator = int(match[1]), int(match[2])
        if math.gcd(numerator, denominator) != 1:
            raise InvalidParameterError(name, _shortened(raw), "a rational in lowest terms")
        number = Fraction(numerator, denominator)
        self._check(name, number)
        return number

    def _check(self, name: str, number: Fraction) -> None:
        least = number > self.low if self.positive else number >= self.low
        if not least or number > self.high or number.numerator >= _LIMIT or number.denominator >= _LIMIT:
            low = f"{'above' if self.positive else 'at least'} {float(self.low):g}"
            high = f", at most {float(self.high):g}" if self.high < _MAX_FLOAT else ""
            allowed = f"{low}{high}, in at most {MAX_DIGITS} digits each"
            written = max(number.numerator.bit_length(), number.denominator.bit_length()) < _LIMIT.bit_length()
            offered = f"{number}" if written else f"a rational of more than {MAX_DIGITS} digits"
            raise InvalidParameterError(name, _shortened(offered), allowed)


@dataclass(frozen=True, slots=True)
class Bytes:
    """From `low` to `high` bytes, written in hexadecimal."""

    low: int
    high: int

    def encode(self, name: str, value: object) -> str:
        """Returns lowercase hexadecimal."""
        if type(value) is not bytes or not self.low <= len(value) <= self.high:
            length = len(value) if isinstance(value, bytes) else type(value).__name__
            raise InvalidParameterError(name, length, f"{self._lengths()} bytes")
        return value.hex()

    def decode(self, name: str, raw: object) -> bytes:
        """Returns the bytes."""
        if not isinstance(raw, str) or _HEX.fullmatch(raw) is None or not self.low <= len(raw) // 2 <= self.high:
            raise InvalidParameterError(name, _shortened(raw), f"{self._lengths()} bytes in lowercase hexadecimal")
        return bytes.fromhex(raw)

    def _lengths(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Text:
    """One of few words, or a name: 1 to 128 characters of printable ASCII without quotes and backslashes."""

    words: frozenset[str] | None = None

    def encode(self, name: str, value: object) -> str:
        """Returns it as it is."""
        return self.decode(name, value)

    def decode(self, name: str, raw: object) -> str:
        """Returns it as it is."""
        if self.words is not None:
            if type(raw) is not str or raw not in self.words:
                raise InvalidParameterError(name, _shortened(raw), f"one of {', '.join(sorted(self.words))}")
        elif type(raw) is not str or _NAME.fullmatch(raw) is None:
            allowed = "1 to 128 characters of printable ASCII, without quotes and backslashes"
            raise InvalidParameterError(name, _shortened(raw), allowed)
        return raw


_NAME: Final = re.compile(r"[ !#-\[\]-~]{1,128}", re.ASCII)

Enumeration = TypeVar("Enumeration", bound=enum.StrEnum)


@dataclass(frozen=True, slots=True)
class Member(Generic[Enumeration]):
    """A member of an enumeration of texts."""

    kind: type[Enumeration]

    def encode(self, name: str, value: object) -> str:
        """Returns its text."""
        return check_member(name, value, self.kind).value

    def decode(self, name: str, raw: object) -> Enumeration:
        """Returns the member."""
        if isinstance(raw, str):
            # The text itself: a subclass of str may compare as it likes.
            text = str.__str__(raw)
            for member in self.kind:
                if member.value == text:
                    return member
        raise InvalidParameterError(name, _shortened(raw), f"one of {', '.join(self.kind)}")


@dataclass(frozen=True, slots=True)
class Optional:
    """A value of another kind, or null."""

    inner: Codec

    def encode(self, name: str, value: object) -> object:
        """Returns the inner kind's form, or None."""
        return None if value is None else self.inner.encode(name, value)

    def decode(self, name: str, raw: object) -> Any:
        """Returns the inner kind's value, or None."""
        return None if raw is None else self.inner.decode(name, raw)


_KNOWN_TO: Final = Member(SampleKnownTo)
_COUNT: Final = Integer(1, 2**63)
_PROBABILITY: Final = Rational(high=Fraction(1))


@dataclass(frozen=True, slots=True)
class SamplingCodec:
    """A `Sampling`: an object with the fields of its scheme."""

    def encode(self, name: str, value: object) -> dict[str, object]:
        """Returns the object."""
        if not isinstance(value, Sampling):
            raise InvalidParameterError(name, value, "a Sampling or None")
        raw: dict[str, object] = {"known_to": value.known_to, "scheme": value.scheme}
        if value.probability is not None:
            if value.population is not None or value.sample is not None:
                raise InvalidParameterError(name, value, "either a probability, or a population and a sample")
            raw["probability"] = _PROBABILITY.encode(f"{name}.probability", value.probability)
        else:
            raw |= {"population": value.population, "sample": value.sample}
        self.decode(name, raw)
        return raw

    def decode(self, name: str, raw: object) -> Sampling:
        """Returns the sampling."""
        if isinstance(raw, dict):
            if raw.keys() == {"known_to", "probability", "scheme"} and raw["scheme"] == POISSON_SAMPLE:
                return Sampling(
                    _KNOWN_TO.decode(f"{name}.known_to", raw["known_to"]),
                    probability=_PROBABILITY.decode(f"{name}.probability", raw["probability"]),
                )
            if raw.keys() == {"known_to", "population", "sample", "scheme"} and raw["scheme"] == FIXED_SAMPLE:
                population = _COUNT.decode(f"{name}.population", raw["population"])
                return Sampling(
                    _KNOWN_TO.decode(f"{name}.known_to", raw["known_to"]),
                    population=population,
                    sample=Integer(1, population).decode(f"{name}.sample", raw["sample"]),
                )
        allowed = f"null, or known_to and scheme with the probability ({POISSON_SAMPLE}) or population and sample"
        raise InvalidParameterError(name, _shortened(raw), allowed)


def _shortened(raw: object) -> object:
    """Returns what a file offered, short enough for an error text."""
    text = shown(raw)
    return raw if len(text) <= 60 else f"{text[:60]}..."


def _power(number: int) -> str:
    exact = number > 2**32 and number & (number - 1) == 0
    return f"2**{number.bit_length() - 1}" if exact else str(number)
