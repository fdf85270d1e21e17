"""Packing a million words at the widths that sums of quantised vectors have."""

import numpy as np
import pytest

from secagg.primitives import add_packed, pack, unpack, word_dtype

LENGTH = 10**6
widths = pytest.mark.parametrize("modulus_bits", [12, 16, 20, 24, 27, 32, 40])


def some_words(modulus_bits: int) -> np.ndarray:
    words = np.random.default_rng(modulus_bits).integers(0, 1 << modulus_bits, LENGTH, np.uint64)
    return words.astype(word_dtype(modulus_bits))


def pack_by_bits(words: np.ndarray, modulus_bits: int) -> bytes:
    bits = np.unpackbits(words.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    return np.packbits(bits[:, :modulus_bits].reshape(-1), bitorder="little").tobytes()


@widths
def test_pack(benchmark, modulus_bits: int):
    words = some_words(modulus_bits)
    assert benchmark(pack, words, modulus_bits) == pack_by_bits(words, modulus_bits)


@widths
def test_unpack(benchmark, modulus_bits: int):
    words = some_words(modulus_bits)
    assert np.array_equal(benchmark(unpack, pack_by_bits(words, modulus_bits), LENGTH, modulus_bits), words)


@widths
def test_add_packed(benchmark, modulus_bits: int):
    words = some_words(modulus_bits)
    packed = pack_by_bits(words, modulus_bits)

    def fresh():
        return (np.ones(LENGTH, words.dtype), packed, modulus_bits), {}

    accumulators = []

    def add(accumulator, data, bits):
        add_packed(accumulator, data, bits)
        accumulators.append(accumulator)

    benchmark.pedantic(add, setup=fresh, rounds=20)
    assert np.array_equal(accumulators[-1], words + words.dtype.type(1))
