"""Dense bit strings against one Python integer per vector, cut with shifts and masks."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import InvalidInputError, InvalidParameterError
from secagg.primitives.packing import add_packed, check_packed, pack, packed_size, unpack, word_dtype

WIDTHS = range(1, 65)
LENGTHS = (0, 1, 7, 8, 9, 63, 64, 65, 200)
# More words than one block of 2000 groups, and no multiple of a group: for uint8 16,000 and for uint32 64,000.
LONG = {5: 16_000 + 16_003, 12: 32_000 + 17, 20: 64_000 + 33, 31: 64_000, 40: 128_000 + 1}


def to_bytes(words: list[int], modulus_bits: int) -> bytes:
    number = sum(word << (i * modulus_bits) for i, word in enumerate(words))
    return number.to_bytes(-(-len(words) * modulus_bits // 8), "little")


def to_words(data: bytes, length: int, modulus_bits: int) -> list[int]:
    number = int.from_bytes(data, "little")
    return [number >> (i * modulus_bits) & ((1 << modulus_bits) - 1) for i in range(length)]


def some_words(length: int, modulus_bits: int) -> npt.NDArray[np.unsignedinteger]:
    rng = np.random.default_rng(1000 * modulus_bits + length)
    words = rng.integers(0, (1 << modulus_bits) - 1, length, np.uint64, endpoint=True)
    return words.astype(word_dtype(modulus_bits))


vectors = st.integers(1, 64).flatmap(
    lambda bits: st.tuples(st.just(bits), st.lists(st.integers(0, 2**bits - 1), max_size=150))
)


@given(vectors)
def test_packing_is_one_long_little_endian_integer(vector: tuple[int, list[int]]):
    modulus_bits, words = vector
    packed = pack(np.array(words, word_dtype(modulus_bits)), modulus_bits)
    assert packed == to_bytes(words, modulus_bits)
    assert len(packed) == packed_size(len(words), modulus_bits=modulus_bits)


@given(st.integers(1, 64), st.binary(max_size=150))
def test_unpacking_cuts_the_integer_into_words(modulus_bits: int, data: bytes):
    length = 8 * len(data) // modulus_bits
    used = length * modulus_bits
    data = (int.from_bytes(data, "little") % 2**used).to_bytes(-(-used // 8), "little")
    words = unpack(data, length=length, modulus_bits=modulus_bits)
    assert words.dtype == word_dtype(modulus_bits)
    assert words.tolist() == to_words(data, length, modulus_bits)


@pytest.mark.parametrize("modulus_bits", WIDTHS)
def test_every_width_packs_and_unpacks_at_the_edges_of_groups(modulus_bits: int):
    for length in LENGTHS:
        words = some_words(length, modulus_bits)
        packed = to_bytes(words.tolist(), modulus_bits)
        assert pack(words, modulus_bits) == packed
        assert unpack(packed, length=length, modulus_bits=modulus_bits).tolist() == words.tolist()
        full = np.full(length, (1 << modulus_bits) - 1, word_dtype(modulus_bits))
        assert pack(full, modulus_bits) == to_bytes(full.tolist(), modulus_bits)
        assert np.array_equal(unpack(pack(full, modulus_bits), length=length, modulus_bits=modulus_bits), full)


@pytest.mark.parametrize(("modulus_bits", "length"), LONG.items())
def test_vectors_longer_than_a_block_pack_and_unpack(modulus_bits: int, length: int):
    words = some_words(length, modulus_bits)
    bits = (words[:, np.newaxis].astype("<u8").view(np.uint8)).reshape(length, 8)
    bits = np.unpackbits(bits, axis=1, bitorder="little")[:, :modulus_bits]
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    assert pack(words, modulus_bits) == packed
    assert np.array_equal(unpack(packed, length=length, modulus_bits=modulus_bits), words)


@given(vectors)
def test_adding_packed_words_wraps_at_the_width_of_the_dtype(vector: tuple[int, list[int]]):
    modulus_bits, words = vector
    dtype = word_dtype(modulus_bits)
    start = some_words(len(words), 8 * dtype.itemsize)
    accumulator = start.copy()
    add_packed(accumulator, to_bytes(words, modulus_bits), modulus_bits)
    modulus = 2 ** (8 * dtype.itemsize)
    assert accumulator.tolist() == [(a + b) % modulus for a, b in zip(start.tolist(), words, strict=True)]


@pytest.mark.parametrize(("modulus_bits", "length"), LONG.items())
def test_adding_goes_through_all_blocks(modulus_bits: int, length: int):
    words = some_words(length, modulus_bits)
    accumulator = np.ones(length, words.dtype)
    add_packed(accumulator, memoryview(pack(words, modulus_bits)), modulus_bits)
    assert np.array_equal(accumulator, words + words.dtype.type(1))


@pytest.mark.parametrize("modulus_bits", [1, 8, 20, 32, 40])
def test_bytes_may_be_a_view_at_any_address(modulus_bits: int):
    words = some_words(200, modulus_bits)
    view = memoryview(b"xyz" + pack(words, modulus_bits))[3:]
    assert np.array_equal(unpack(view, length=200, modulus_bits=modulus_bits), words)


def test_unpacked_words_are_a_fresh_array():
    data = bytearray(b"\x01\x02\x03\x04")
    words = unpack(memoryview(data), length=4, modulus_bits=8)
    data[0] = 9
    words[1] = 7
    assert words.tolist() == [1, 7, 3, 4]
    assert data[1] == 2


@settings(max_examples=50)
@given(vectors, st.integers(-2, 2))
def test_any_other_length_is_refused(vector: tuple[int, list[int]], difference: int):
    modulus_bits, words = vector
    packed = to_bytes(words, modulus_bits)
    other = packed + bytes(difference) if difference > 0 else packed[: len(packed) + difference]
    if len(other) == len(packed):
        check_packed(other, length=len(words), modulus_bits=modulus_bits)
        return
    accumulator = np.zeros(len(words), word_dtype(modulus_bits))
    for refuse in (
        lambda: check_packed(other, length=len(words), modulus_bits=modulus_bits),
        lambda: unpack(other, length=len(words), modulus_bits=modulus_bits),
        lambda: add_packed(accumulator, other, modulus_bits),
    ):
        with pytest.raises(InvalidInputError, match="bytes"):
            refuse()


@pytest.mark.parametrize("modulus_bits", [bits for bits in WIDTHS if bits % 8])
def test_every_padding_bit_must_be_zero(modulus_bits: int):
    for length in (1, 3, 9):
        packed = pack(some_words(length, modulus_bits), modulus_bits)
        check_packed(packed, length=length, modulus_bits=modulus_bits)
        for bit in range(length * modulus_bits % 8 or 8, 8):
            damaged = packed[:-1] + bytes([packed[-1] | 1 << bit])
            accumulator = np.zeros(length, word_dtype(modulus_bits))
            with pytest.raises(InvalidInputError, match="padding"):
                add_packed(accumulator, damaged, modulus_bits)
            assert not accumulator.any()


@pytest.mark.parametrize("modulus_bits", [bits for bits in WIDTHS if bits not in {8, 16, 32, 64}])
def test_a_word_of_the_modulus_or_more_is_refused_and_not_shown(modulus_bits: int):
    words = np.zeros(70, word_dtype(modulus_bits))
    words[69] = 1 << modulus_bits
    with pytest.raises(InvalidInputError, match="too large") as caught:
        pack(words, modulus_bits)
    assert str(1 << modulus_bits) not in str(caught.value).replace(f"2**{modulus_bits}", "")


@pytest.mark.parametrize(
    "words",
    [
        np.zeros(4, np.uint16),
        np.zeros(4, np.int32),
        np.zeros(4, ">u4"),
        np.zeros((2, 2), np.uint32),
        np.zeros(8, np.uint32)[::2],
    ],
)
def test_arrays_of_another_form_are_refused(words: npt.NDArray[np.unsignedinteger]):
    with pytest.raises(InvalidInputError, match="words"):
        pack(words, 20)
    with pytest.raises(InvalidInputError, match="accumulator"):
        add_packed(words, bytes(10), 20)


def test_a_read_only_accumulator_is_refused():
    accumulator = np.zeros(4, np.uint32)
    accumulator.flags.writeable = False
    with pytest.raises(InvalidInputError, match="read-only"):
        add_packed(accumulator, bytes(10), 20)


def test_a_view_with_gaps_is_refused():
    with pytest.raises(InvalidInputError, match="gaps"):
        check_packed(memoryview(bytes(20))[::2], length=4, modulus_bits=20)


@pytest.mark.parametrize("modulus_bits", [0, 65])
def test_a_modulus_out_of_range_is_refused(modulus_bits: int):
    for refuse in (
        lambda: packed_size(1, modulus_bits=modulus_bits),
        lambda: check_packed(b"", length=0, modulus_bits=modulus_bits),
        lambda: unpack(b"", length=0, modulus_bits=modulus_bits),
        lambda: pack(np.zeros(0, np.uint8), modulus_bits),
    ):
        with pytest.raises(InvalidParameterError, match="modulus_bits"):
            refuse()


def test_a_negative_length_is_refused():
    with pytest.raises(InvalidParameterError, match="length"):
        packed_size(-1, modulus_bits=8)
