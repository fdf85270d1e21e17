"""bfloat16 without a library of its own: the upper half of a float32.

numpy has no such dtype. Arrays of it come from the package `ml_dtypes`, as JAX, TensorFlow and others use it. Whoever
has such an array has the package, so nothing here needs to import it, except to find the dtype by its name.
"""

from importlib import import_module
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fl.errors import MissingExtraError

__all__ = ["LARGEST", "bfloat16", "is_bfloat16", "narrowed", "widened"]

_NAME: Final = "bfloat16"
_PACKAGE: Final = "ml_dtypes"
_EXPONENT: Final = 0x7F80
_LARGEST_WORD: Final = 0x7F7F
_SIGN: Final = 0x8000

LARGEST: Final = float(np.array(_LARGEST_WORD << 16, np.uint32).view(np.float32))
"""The largest finite bfloat16, 2**128 (1 - 2**-8)."""


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Returns whether a dtype is the bfloat16 of `ml_dtypes`, in the machine's byte order."""
    ours = dtype.type.__module__.partition(".")[0] == _PACKAGE
    return ours and dtype.name == _NAME and dtype.itemsize == 2 and dtype.isnative


def bfloat16() -> np.dtype[Any]:
    """Returns the dtype.

    Raises:
        MissingExtraError: the package `ml_dtypes` is not installed.
    """
    try:
        module = import_module(_PACKAGE)
    except ImportError as error:
        raise MissingExtraError(_NAME, _PACKAGE) from error
    dtype: np.dtype[Any] = np.dtype(getattr(module, _NAME))
    return dtype


def widened(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Returns a bfloat16 array as float32, every value exact."""
    words = np.asarray(array).view(np.uint16).astype(np.uint32)
    return (words << np.uint32(16)).view(np.float32)


def narrowed(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Returns finite values rounded half to even, and which of them are too large: these are the largest bfloat16.

    Args:
        values: finite.
        dtype: bfloat16.
    """
    with np.errstate(over="ignore", under="ignore"):
        single = values.astype(np.float32)
        back = single.astype(np.float64)
    bits = single.view(np.uint32)
    # To odd: cut towards zero, and the last bit tells that something was cut. So rounding twice is as rounding once.
    bits = np.where(np.abs(back) > np.abs(values), bits - np.uint32(1), bits)
    bits |= (back != values).astype(np.uint32)
    bits += np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    words = (bits >> np.uint32(16)).astype(np.uint16)
    beyond = (words & _EXPONENT) == _EXPONENT
    words[beyond] = (words[beyond] & _SIGN) | _LARGEST_WORD
    return words.view(dtype), beyond
