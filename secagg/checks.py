"""What a number must be before anything is computed from it: one place for the refusals that all rooms need.

Each function returns the value in Python's own type, or raises `InvalidParameterError` naming the parameter. A bool is
no number, and NaN is in no range.
"""

import math
from fractions import Fraction
from typing import Final

import numpy as np

from secagg.errors import InvalidParameterError

__all__ = [
    "MAX_CLIENT_ID",
    "check_callable",
    "check_client_id",
    "check_executor",
    "check_fraction",
    "check_integer",
    "check_type",
]

MAX_CLIENT_ID: Final = 2**64 - 1


def check_integer(parameter: str, value: object, *, low: int, high: int) -> int:
    """Returns `value`, a Python int or a numpy integer, as an int from `low` to `high`.

    Raises:
        InvalidParameterError: with what was offered.
    """
    # numpy derives spans of time from its integers.
    number = int(value) if isinstance(value, np.integer) and not isinstance(value, np.timedelta64) else value
    # A subclass of int could print as anything.
    if type(number) is not int or not low <= number <= high:
        raise InvalidParameterError(parameter, value, f"a Python int from {low} to {high}")
    return number


def check_fraction(parameter: str, value: object, *, below: Fraction = Fraction(1)) -> float:
    """Returns `value`, a Python or numpy number, as the float whose decimals it shows: at least 0 and below `below`.

    Raises:
        InvalidParameterError: with what was offered.
    """
    part = math.nan
    if isinstance(value, np.floating):
        # By its decimals: a numpy.float32 of 0.1 is meant as 0.1.
        part = float(np.format_float_scientific(value))
    elif isinstance(value, np.integer) or type(value) is int:
        # No other integer is a part of anything, and the largest are no floats.
        part = 0.0 if value == 0 else math.nan
    elif type(value) is float:
        part = value
    if not 0 <= part < below:
        raise InvalidParameterError(parameter, value, f"a number, at least 0 and below {below}")
    return part


def check_type(parameter: str, value: object, expected: type) -> None:
    """Refuses what is no instance of a class.

    Raises:
        InvalidParameterError: with the type that was offered, as the value itself may be a secret.
    """
    if not isinstance(value, expected):
        raise InvalidParameterError(parameter, type(value).__name__, f"of type {expected.__name__}")


def check_callable(parameter: str, value: object) -> None:
    """Refuses what is neither None nor to be called.

    Raises:
        InvalidParameterError: with the type that was offered.
    """
    if value is not None and not callable(value):
        raise InvalidParameterError(parameter, type(value).__name__, "to be called, or None")


def check_executor(executor: object) -> None:
    """Refuses what is neither None nor has `submit`, as executors do.

    Raises:
        InvalidParameterError: with the type that was offered.
    """
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise InvalidParameterError("executor", type(executor).__name__, "an Executor or None")


def check_client_id(parameter: str, client: object) -> int:
    """Returns a client's id, a Python int or a numpy integer, as an int.

    Raises:
        InvalidParameterError: it is no integer from 0 to 2**64 - 1.
    """
    number = int(client) if isinstance(client, np.integer) and not isinstance(client, np.timedelta64) else client
    if type(number) is not int or not 0 <= number <= MAX_CLIENT_ID:
        raise InvalidParameterError(parameter, client, "a Python int from 0 to 2**64 - 1")
    return number
