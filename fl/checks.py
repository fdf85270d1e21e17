"""What a number must be before anything is computed from it: the refusals that all of `fl` needs.

Each function returns the value, or raises `InvalidParameterError` with the parameter's name, what was offered, and what
is allowed. NaN is in no range, and a bool is no number.
"""

import math
import sys
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from typing import Final, TypeGuard, TypeVar, cast

import numpy as np

from secagg import InvalidParameterError

__all__ = ["LARGEST_FLOAT", "check_integer", "check_names", "check_number", "is_integer", "is_number", "plain"]

_Value = TypeVar("_Value")

LARGEST_FLOAT: Final = sys.float_info.max


def is_integer(value: object) -> TypeGuard[int | np.integer]:
    """Returns whether a value is an integer of Python or numpy. A bool is none, and a span of time is none."""
    # numpy derives timedelta64 from its integers.
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64)


def is_number(value: object) -> TypeGuard[float | np.integer | np.floating]:
    """Returns whether a value is an integer or a float of Python or numpy; it may be NaN or infinite."""
    return is_integer(value) or isinstance(value, float | np.floating)


def plain(value: _Value) -> _Value:
    """Returns a text or bool of numpy as Python's own, and anything else as it is."""
    if type(value) is np.str_:
        return cast("_Value", str(value))
    return cast("_Value", bool(value)) if isinstance(value, np.bool_) else value


def check_integer(parameter: str, value: object, *, low: int, high: int) -> int:
    """Returns `value`, a Python or numpy integer, as an int from `low` to `high`; a whole float is refused."""
    number = int(value) if isinstance(value, np.integer) and is_integer(value) else value
    if type(number) is not int or not low <= number <= high:
        raise InvalidParameterError(parameter, value, f"an int from {low} to {high}")
    return number


def check_number(
    parameter: str,
    value: object,
    *,
    low: float = -LARGEST_FLOAT,
    high: float = LARGEST_FLOAT,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Returns `value` as a float from `low` to `high`. An open end is excluded itself, and infinity always is."""
    if not is_number(value) and not isinstance(value, Fraction):
        raise InvalidParameterError(parameter, type(value).__name__, _range(low, high, open_low, open_high))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    above = number > low if open_low else number >= low
    below = number < high if open_high else number <= high
    if not (above and below and math.isfinite(number)):
        raise InvalidParameterError(parameter, value, _range(low, high, open_low, open_high))
    return number


def check_names(parameter: str, names: object) -> tuple[str | int, ...]:
    """Returns names of arrays, keys or places, as a tuple. A single text is refused: its letters would be the names."""
    listed: list[object] | None = None
    if isinstance(names, Iterable) and not isinstance(names, str | bytes):
        # Whatever claims to be iterable may not be: a released memoryview, an array without an axis.
        with suppress(TypeError, ValueError):
            listed = list(names)
    found = [name if isinstance(name, str) else int(name) for name in listed or () if _is_name(name)]
    if listed is None or len(found) < len(listed):
        raise InvalidParameterError(parameter, type(names).__name__, "a list of arrays' names")
    return tuple(found)


def _is_name(name: object) -> TypeGuard[str | int | np.integer]:
    return isinstance(name, str) or is_integer(name)


def _range(low: float, high: float, open_low: bool, open_high: bool) -> str:
    text = "a finite number"
    if low > -LARGEST_FLOAT:
        text += f", {'above' if open_low else 'at least'} {low:.6g}"
    if high < LARGEST_FLOAT:
        text += f", {'below' if open_high else 'at most'} {high:.6g}"
    return text
