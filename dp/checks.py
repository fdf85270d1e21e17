"""What a number must be before any formula sees it: one place for the refusals that all of the package needs.

Each function returns the value in the one type that the formulas work with, or raises `InvalidParameterError` naming
the parameter. NaN is in no range, and a bool is no number.
"""

import math
import os
import sys
from collections.abc import Sequence
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeGuard, TypeVar

import numpy as np

from dp.errors import InvalidParameterError

__all__ = [
    "MAX_COUNT",
    "check_closed_delta",
    "check_count",
    "check_delta",
    "check_extended_epsilon",
    "check_fraction",
    "check_member",
    "check_path",
    "check_paths",
    "check_real",
    "check_sequence",
    "float_above",
    "float_below",
    "is_exact",
]

MAX_COUNT: Final = 2**63
"""Counts up to here: what a signed 64-bit counter of another program may have reached, and one more."""

_LARGEST: Final = sys.float_info.max

_NO_NUMBERS: Final = (bool, np.bool_, np.timedelta64)
"""Python counts a bool among its integers, and numpy a span of time among its own."""

_Member = TypeVar("_Member", bound=Enum)


def check_real(
    parameter: str,
    value: object,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Returns `value` as a float in [low, high]; an open end excludes its border, and infinity is never allowed."""
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, int | float | Fraction | np.integer | np.floating):
        raise InvalidParameterError(
            parameter, value, _range("a number", low, high, open_low=open_low, open_high=open_high)
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    above = number > low if open_low else number >= low
    below = number < high if open_high else number <= high
    if not (above and below and math.isfinite(number)):
        raise InvalidParameterError(
            parameter, value, _range("a number", low, high, open_low=open_low, open_high=open_high)
        )
    return number


def check_count(parameter: str, value: object, *, low: int = 0, high: int = MAX_COUNT) -> int:
    """Returns `value` as an int in [low, high]; a float is refused, even a whole one."""
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise InvalidParameterError(parameter, value, _range("an integer", low, high))
    return int(value)


def check_fraction(parameter: str, value: object, low: Fraction = Fraction(0), *, open_low: bool = True) -> Fraction:
    """Returns `value`, an int or a Fraction, as a Fraction above `low`; a float is refused, it may not be what it says.

    With `open_low` False, `low` itself is allowed.
    """
    if not is_exact(value) or not (value > low if open_low else value >= low):
        word = "above" if open_low else "at least"
        raise InvalidParameterError(parameter, value, f"a Fraction or an int, {word} {low}")
    return Fraction(value)


def is_exact(value: object) -> TypeGuard[int | Fraction]:
    """Returns whether `value` is a number that says exactly what it is: an int or a Fraction."""
    return isinstance(value, int | Fraction) and not isinstance(value, bool)


def check_delta(delta: object) -> float:
    """Returns `delta` as a float, strictly between 0 and 1."""
    return check_real("delta", delta, low=0.0, high=1.0, open_low=True, open_high=True)


def check_closed_delta(delta: object) -> float:
    """Returns `delta` as a float from 0 to 1, rounded down: what is true of less is true of it."""
    return _not_above(check_real("delta", delta, low=0.0, high=1.0), delta)


def check_extended_epsilon(epsilon: object) -> float:
    """Returns `epsilon` as a float of at least 0, rounded down; infinity is one, and a number beyond floats none."""
    if isinstance(epsilon, float | np.floating) and epsilon == math.inf:
        return math.inf
    if is_exact(epsilon) and epsilon > _LARGEST:
        return _LARGEST
    return _not_above(check_real("epsilon", epsilon, low=0.0), epsilon)


def _not_above(number: float, value: object) -> float:
    """Returns the float that a checked value was rounded to, or the next one below if that is above the value."""
    above = isinstance(value, int | Fraction | np.longdouble) and number > value
    return math.nextafter(number, -math.inf) if above else number


def check_member(parameter: str, value: object, kind: type[_Member]) -> _Member:
    """Returns `value` if it is a member of the enumeration `kind`."""
    if not isinstance(value, kind):
        raise InvalidParameterError(parameter, value, f"one of {', '.join(str(member) for member in kind)}")
    return value


def check_path(parameter: str, value: object) -> Path:
    """Returns the path of a file; an empty text, or one with a zero character, names none."""
    if isinstance(value, str | os.PathLike):
        try:
            text = os.fsencode(value)
        except (TypeError, ValueError):
            text = b""
        if text and b"\0" not in text:
            return Path(os.fsdecode(text))
    raise InvalidParameterError(parameter, value, "the path of a file")


def check_paths(parameter: str, value: object) -> tuple[Path, ...]:
    """Returns the paths of files."""
    paths = check_sequence(parameter, value, allowed="a list of the paths of files")
    return tuple(check_path(parameter, path) for path in paths)


def check_sequence(parameter: str, value: object, *, allowed: str) -> Sequence[object]:
    """Returns `value` if it is a list or another sequence; a text, bytes or a view of them is none."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray | memoryview):
        raise InvalidParameterError(parameter, type(value).__name__, allowed)
    return value


def float_below(number: Fraction) -> float:
    """Returns the number as a float, or the next float below: what a float cannot say must not flatter."""
    near = float(number)
    return near if near <= number else math.nextafter(near, 0.0)


def float_above(number: Fraction) -> float:
    """Returns the number as a float, or the next float above."""
    near = float(number)
    return near if near >= number else math.nextafter(near, math.inf)


def _range(noun: str, low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> str:
    text = noun
    if low > -math.inf:
        text += f", {'above' if open_low else 'at least'} {low:g}" if low < 1e6 else f", at least {low}"
    if high < math.inf:
        joint = " and" if low > -math.inf else ","
        text += f"{joint} {'below' if open_high else 'at most'} " + ("2**63" if high == MAX_COUNT else f"{high:g}")
    return f"{text}, and finite" if noun == "a number" else text
