"""Bitmaps over the roster: bit i of byte i // 8, least significant first, and no spare bit set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.primitives.bitmap import bitmap_bytes, decode_bitmap, encode_bitmap


@given(st.lists(st.booleans(), max_size=70))
def test_a_bitmap_is_its_bits_from_the_least_significant_on(present: list[bool]):
    data = encode_bitmap(np.array(present, np.bool_))
    assert data == sum(bit << place for place, bit in enumerate(present)).to_bytes(-(-len(present) // 8), "little")
    assert len(data) == bitmap_bytes(len(present))
    decoded = decode_bitmap(data, len(present))
    assert decoded is not None
    assert decoded.dtype == np.bool_
    assert decoded.tolist() == present


@given(st.binary(max_size=5), st.integers(0, 40))
def test_any_bytes_are_one_set_or_none(data: bytes, size: int):
    decoded = decode_bitmap(data, size)
    fits = len(data) == bitmap_bytes(size) and int.from_bytes(data, "little") < 2**size
    assert (decoded is not None) == fits
    if decoded is not None:
        assert encode_bitmap(decoded) == data


@pytest.mark.parametrize(("data", "size"), [(b"", 1), (b"\x00\x00", 8), (b"\x02", 1), (b"\x00\x80", 15)])
def test_a_wrong_length_or_a_spare_bit_is_no_bitmap(data: bytes, size: int):
    assert decode_bitmap(data, size) is None
