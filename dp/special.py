"""Scipy's special functions, loaded when one is first needed: importing scipy takes half a second.

Scipy comes with the extra `dp`. Without it, the first function that needs it raises `MissingExtraError`.
"""

from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
import numpy.typing as npt

from dp.errors import MissingExtraError

__all__ = ["erf", "erfcinv", "erfcx", "erfcx_at", "ndtr", "ndtri"]

_Array = npt.NDArray[np.float64]


def erf(x: _Array) -> _Array:
    """Returns the error function of each entry."""
    return np.asarray(_special().erf(x))


def erfcx(x: _Array) -> _Array:
    """Returns e^(x^2) erfc(x) of each entry."""
    return np.asarray(_special().erfcx(x))


def erfcx_at(x: float) -> float:
    """Returns e^(x^2) erfc(x) of one number, in half the time that an array of one takes."""
    return float(_special().erfcx(x))


def erfcinv(x: float) -> float:
    """Returns the inverse of the complementary error function."""
    return float(_special().erfcinv(x))


def ndtr(x: float) -> float:
    """Returns the standard normal distribution function."""
    return float(_special().ndtr(x))


def ndtri(x: float) -> float:
    """Returns the inverse of the standard normal distribution function."""
    return float(_special().ndtri(x))


@cache
def _special() -> ModuleType:
    try:
        return import_module("scipy.special")
    except ModuleNotFoundError as error:  # pragma: no cover - run in a fresh process by the tests
        raise MissingExtraError("dp", "scipy") from error
