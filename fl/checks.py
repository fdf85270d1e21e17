"""What a number must be before anything is computed from it: the refusals that all of `fl` needs.

Each function returns the value, or raises `InvalidParameterError` with the parameter's name, what was offered, and what
is allowed. NaN is in no range, and a bool is no number.
"""

import math
import sys
from fractions import Fraction
from typing import Final

import numpy as np

from secagg import InvalidParameterError

__all__ = ["LARGEST_FLOAT", "check_integer", "check_number"]

LARGEST_FLOAT: Final = sys.float_info.max


def check_integer(parameter: str, value: object, *, low: int, high: int) -> int:
    """Returns `value`, a Python or numpy integer, as an int from `low` to `high`; a whole float is refused."""
    number = int(value) if isinstance(value, np.integer) else value
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
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | Fraction | np.integer | np.floating):
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


def _range(low: float, high: float, open_low: bool, open_high: bool) -> str:
    text = "a finite number"
    if low > -LARGEST_FLOAT:
        text += f", {'above' if open_low else 'at least'} {low:.6g}"
    if high < LARGEST_FLOAT:
        text += f", {'below' if open_high else 'at most'} {high:.6g}"
    return text
