"""The rotation of a million coordinates, its inverse, and the masks and residuals of compression, on one core.

Aims for 2**20 coordinates: a rotation within 10 ms in float32 and 16 in float64, signs and checks included. It starts
no threads of the BLAS, whatever their number is set to. With `-s` the time is printed, from the fastest round.
"""

import math

import numpy as np
import pytest

from fl.codecs.error_feedback import ErrorFeedback
from fl.codecs.low_bit import LowBit
from fl.codecs.rotation import Rotation, RotationBuffers
from fl.codecs.sparsify import RandomK

SIZE = 1 << 20
SEED = bytes(range(32))
DTYPES = (np.float32, np.float64)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def some_vector(size: int, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(size).normal(size=size).astype(dtype)


def report(benchmark, what: str) -> None:
    if benchmark.stats is not None:
        print(f"\n{what}: {1e3 * benchmark.stats.stats.min:.2f} ms")


@each_dtype
@pytest.mark.parametrize("bits", [10, 16, 17, 18, 19, 20, 22, 24])
def test_forward(benchmark, dtype: type, bits: int):
    """Round after round: a new seed, the same memory."""
    size = 1 << bits
    vector, out = some_vector(size, dtype), np.empty(size, dtype)
    buffers = RotationBuffers(size, dtype)
    rotated = benchmark(lambda: Rotation(size, SEED, dtype, buffers).forward(vector, out))
    rotation = Rotation(size, SEED, dtype)
    length = float(np.linalg.norm(vector.astype(np.float64)))
    assert abs(float(np.linalg.norm(rotated.astype(np.float64))) - length) <= rotation.norm_error(length)
    assert np.allclose(rotation.inverse(rotated), vector, atol=1e-5)
    report(benchmark, f"forward, 2**{bits}, {dtype.__name__}")


@each_dtype
def test_inverse(benchmark, dtype: type):
    vector, out = some_vector(SIZE, dtype), np.empty(SIZE, dtype)
    rotation = Rotation(SIZE, SEED, dtype)
    rotated = rotation.forward(vector)
    assert np.allclose(benchmark(rotation.inverse, rotated, out), vector, atol=1e-5)
    report(benchmark, f"inverse, 2**20, {dtype.__name__}")


@each_dtype
def test_signs_alone(benchmark, dtype: type):
    rotation = Rotation(SIZE, SEED, dtype)
    vector, out = np.ones(SIZE, dtype), np.empty(SIZE, dtype)
    benchmark(rotation._change_signs, vector, out)
    assert abs(float(out.sum())) < 6 * math.sqrt(SIZE)
    report(benchmark, f"signs, 2**20, {dtype.__name__}")


@pytest.mark.parametrize("kept", [SIZE // 100, SIZE // 10, SIZE // 2])
def test_random_mask(benchmark, kept: int):
    chosen = benchmark(RandomK, SIZE, kept, SEED)
    assert len(np.unique(chosen.indices)) == kept
    report(benchmark, f"random-k mask, {kept} of 2**20")


def test_error_feedback(benchmark):
    vector, sent = some_vector(SIZE), np.zeros(SIZE)
    feedback = ErrorFeedback(SIZE)

    def whole_round() -> None:
        feedback.keep(feedback.add(vector), sent)
        feedback.commit()

    benchmark.pedantic(whole_round, rounds=20)
    # Additions in the same order, so to the last bit.
    expected = np.zeros(SIZE)
    for _ in range(20 if benchmark.stats is not None else 1):
        expected = vector + expected
    assert np.array_equal(feedback.residual, expected)
    report(benchmark, "error feedback, one round, 2**20")


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_low_bit_encoding(benchmark, bits: int):
    vector = some_vector(SIZE)
    low_bit = LowBit(SIZE, bits, float(np.linalg.norm(vector)), 100, 1, SEED)
    words = benchmark(low_bit.encode, vector, 1)
    assert words.shape == (low_bit.vector_length,)
    assert words.max() <= low_bit.levels
    report(benchmark, f"low-bit encoding, {bits} bits, 2**20")
