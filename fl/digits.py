"""The handwritten digits that come with the package: 1797 grey images of 8 x 8 pixels.

The data is the test set of the UCI "Optical Recognition of Handwritten Digits" (E. Alpaydin and
C. Kaynak, 1998); its licence lies beside it in `data/LICENSE-digits.txt`.
"""

import gzip
from importlib import resources
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["load_digits"]

_BRIGHTEST_PIXEL: Final = 16


def load_digits() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Returns the images and their digits.

    Returns:
        Features, float64 of shape (1797, 64), each pixel from 0 (white) to 1 (black); and labels, int64
        of shape (1797,), each from 0 to 9.
    """
    compressed = resources.files("fl").joinpath("data", "digits.csv.gz").read_bytes()
    lines = gzip.decompress(compressed).decode("ascii").splitlines()
    table: npt.NDArray[Any] = np.loadtxt(lines, delimiter=",", dtype=np.int64)
    return table[:, :-1] / _BRIGHTEST_PIXEL, table[:, -1].copy()
