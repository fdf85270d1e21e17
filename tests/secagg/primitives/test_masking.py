"""Sums of masks against a loop over plain integers."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import InvalidInputError, InvalidParameterError
from secagg.primitives import masking
from secagg.primitives.masking import MaskTask, apply_masks, reduce_to_modulus, sum_masks, word_dtype
from secagg.primitives.prg import CHACHA20_STREAM_BYTES, Suite, keystream

LENGTHS = (0, 1, 63, 64, 65, 1000)
Words = npt.NDArray[np.unsignedinteger]


def some_keys(count: int) -> list[bytes]:
    return [bytes([number % 256, number // 256]) * 16 for number in range(count)]


def naive(start: list[int], item_bytes: int, add: list[bytes], subtract: list[bytes], suite: Suite) -> list[int]:
    total = list(start)
    for sign, keys in ((1, add), (-1, subtract)):
        for key in keys:
            stream = keystream(suite, key, length=len(start) * item_bytes)
            for i in range(len(start)):
                total[i] += sign * int.from_bytes(stream[i * item_bytes : (i + 1) * item_bytes], "little")
    return [value % 2 ** (8 * item_bytes) for value in total]


def some_words(length: int, dtype: np.dtype) -> Words:
    return np.random.default_rng(length).integers(0, 2**64 - 1, length, np.uint64, endpoint=True).astype(dtype)


@pytest.mark.parametrize("suite", list(Suite))
@pytest.mark.parametrize("modulus_bits", [8, 16, 32, 64])
@pytest.mark.parametrize("length", LENGTHS)
def test_masks_are_added_and_subtracted_word_by_word(suite: Suite, modulus_bits: int, length: int):
    dtype = word_dtype(modulus_bits)
    keys = some_keys(5)
    words = some_words(length, dtype)
    expected = naive(words.tolist(), dtype.itemsize, keys[:3], keys[3:], suite)
    apply_masks(words, add=keys[:3], subtract=keys[3:], suite=suite)
    assert words.tolist() == expected


def test_vectors_longer_than_a_chunk_and_more_keys_than_are_opened_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "_CHUNK_BYTES", 128)
    monkeypatch.setattr(masking, "_KEYS_AT_ONCE", 2)
    keys = some_keys(5)
    words = some_words(100, np.dtype("<u4"))
    expected = naive(words.tolist(), 4, keys[:3], keys[3:], Suite.AES_128_CTR)
    apply_masks(words, add=keys[:3], subtract=keys[3:], suite=Suite.AES_128_CTR)
    assert words.tolist() == expected


@given(st.integers(0, 300), st.integers(0, 4), st.integers(0, 4))
def test_subtracting_what_was_added_restores_the_vector(length: int, added: int, subtracted: int):
    keys = some_keys(added + subtracted)
    start = some_words(length, np.dtype("<u2"))
    words = start.copy()
    apply_masks(words, add=keys[:added], subtract=keys[added:], suite=Suite.CHACHA20)
    assert added + subtracted == 0 or length < 8 or not np.array_equal(words, start)
    apply_masks(words, add=keys[added:], subtract=keys[:added], suite=Suite.CHACHA20)
    assert np.array_equal(words, start)


def test_no_masks_change_nothing():
    words = np.arange(10, dtype=np.uint32)
    apply_masks(words, add=[], subtract=[], suite=Suite.AES_128_CTR)
    assert words.tolist() == list(range(10))


@pytest.mark.parametrize("suite", list(Suite))
@pytest.mark.parametrize("start", [0, 32, 160])
def test_a_range_of_the_sum_is_a_slice_of_the_sum(suite: Suite, start: int):
    keys = some_keys(4)
    whole = sum_masks(MaskTask(suite, np.dtype("<u2"), add=keys[:2], subtract=keys[2:], coordinates=range(300)))
    part = sum_masks(MaskTask(suite, np.dtype("<u2"), add=keys[:2], subtract=keys[2:], coordinates=range(start, 297)))
    assert np.array_equal(part, whole[start:297])
    assert naive([0] * 300, 2, keys[:2], keys[2:], suite) == whole.tolist()


@pytest.mark.parametrize(
    "accumulator",
    [
        np.zeros(4, np.int32),
        np.zeros(4, np.float32),
        np.zeros(4, ">u4"),
        np.zeros((2, 2), np.uint32),
        np.zeros(8, np.uint32)[::2],
    ],
)
def test_an_accumulator_of_another_form_is_refused(accumulator: Words):
    with pytest.raises(InvalidInputError, match="accumulator"):
        apply_masks(accumulator, add=some_keys(1), subtract=[], suite=Suite.AES_128_CTR)


def test_a_read_only_accumulator_is_refused():
    accumulator = np.zeros(4, np.uint32)
    accumulator.flags.writeable = False
    with pytest.raises(InvalidInputError, match="accumulator"):
        apply_masks(accumulator, add=some_keys(1), subtract=[], suite=Suite.AES_128_CTR)


def test_a_bad_key_is_refused_before_anything_is_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "_KEYS_AT_ONCE", 1)
    words = np.zeros(100, np.uint32)
    for add, subtract in (([*some_keys(2), b"hidden"], []), (some_keys(2), [b"hidden"])):
        with pytest.raises(InvalidParameterError) as caught:
            apply_masks(words, add=add, subtract=subtract, suite=Suite.AES_128_CTR)
        assert "hidden" not in str(caught.value)
        assert not words.any()


def test_an_unknown_suite_and_a_range_past_the_stream_are_refused():
    with pytest.raises(InvalidParameterError, match="suite"):
        apply_masks(np.zeros(1, np.uint8), add=some_keys(1), subtract=[], suite=7)  # type: ignore[arg-type]
    end = CHACHA20_STREAM_BYTES
    with pytest.raises(InvalidParameterError, match="ChaCha20"):
        sum_masks(
            MaskTask(
                Suite.CHACHA20, np.dtype("<u1"), add=some_keys(1), subtract=[], coordinates=range(end - 64, end + 1)
            )
        )


@given(st.integers(1, 64))
def test_reducing_keeps_the_low_bits(modulus_bits: int):
    words = some_words(50, word_dtype(modulus_bits))
    expected = [word % 2**modulus_bits for word in words.tolist()]
    reduce_to_modulus(words, modulus_bits)
    assert words.tolist() == expected


def test_reducing_refuses_another_dtype_or_modulus():
    with pytest.raises(InvalidInputError, match="words"):
        reduce_to_modulus(np.zeros(1, np.uint64), 32)
    with pytest.raises(InvalidParameterError, match="modulus_bits"):
        reduce_to_modulus(np.zeros(1, np.uint64), 65)
