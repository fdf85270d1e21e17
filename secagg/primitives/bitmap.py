"""Sets of clients as bitmaps over the roster: bit i, least significant first, is roster index i."""

import numpy as np
import numpy.typing as npt


def bitmap_bytes(size: int) -> int:
    """Returns the bytes of a bitmap over `size` clients."""
    return (size + 7) // 8


def encode_bitmap(present: npt.NDArray[np.bool_]) -> bytes:
    """Returns a bool array of shape (size,) as ceil(size / 8) bytes."""
    return np.packbits(present, bitorder="little").tobytes()


def decode_bitmap(data: bytes, size: int) -> npt.NDArray[np.bool_] | None:
    """Returns the bool array of shape (size,), or None where length or spare bits are wrong."""
    if len(data) != bitmap_bytes(size):
        return None
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").astype(np.bool_)
    return None if bits[size:].any() else bits[:size]
