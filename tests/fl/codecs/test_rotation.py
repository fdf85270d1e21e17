"""The rotation against the recursive definition in integers, its signs against bits of AES, and what it refuses."""

import hashlib
import math
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard

from fl.codecs.rotation import Rotation, RotationBuffers, padded
from secagg.errors import InvalidInputError, InvalidParameterError

SEED = bytes(range(32))
DTYPES = (np.float32, np.float64)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def signs_of(seed: bytes, dimension: int) -> list[int]:
    key = hashlib.sha256(b"fl rotation signs 1" + seed).digest()
    encryptor = Cipher(algorithms.AES128(key[:16]), modes.CTR(key[16:])).encryptor()
    stream = encryptor.update(bytes(dimension // 8 + 1))
    return [-1 if stream[i // 8] >> (i % 8) & 1 else 1 for i in range(dimension)]


def walsh_hadamard(values: Sequence[int]) -> list[int]:
    """Sylvester's recursion, H_2n = [[H_n, H_n], [H_n, -H_n]], without the factor n**-1/2."""
    if len(values) == 1:
        return list(values)
    half = len(values) // 2
    top, bottom = walsh_hadamard(values[:half]), walsh_hadamard(values[half:])
    sums = [a + b for a, b in zip(top, bottom, strict=True)]
    return sums + [a - b for a, b in zip(top, bottom, strict=True)]


def norm(values: Any) -> float:
    return math.sqrt(math.fsum(float(value) ** 2 for value in values))


def parity(numbers: np.ndarray) -> np.ndarray:
    for shift in (16, 8, 4, 2, 1):
        numbers = numbers ^ (numbers >> shift)
    return numbers & 1


def some_vector(dimension: int, dtype: type, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=dimension).astype(dtype)


def test_the_oracle_is_the_hadamard_matrix():
    values = [3, 1, -4, 1, 5, -9, 2, 6]
    assert walsh_hadamard(values) == (hadamard(8) @ values).tolist()


@each_dtype
@pytest.mark.parametrize("dimension", [*(2**bits for bits in range(13)), 3, 17, 100, 257, 4095])
def test_every_size_is_the_definition(dimension: int, dtype: type):
    length = padded(dimension)
    values = np.random.default_rng(dimension).integers(-1000, 1001, dimension).tolist()
    signed = [sign * value for sign, value in zip(signs_of(SEED, dimension), values, strict=True)]
    expected = [value / math.sqrt(length) for value in walsh_hadamard(signed + [0] * (length - dimension))]
    rotation = Rotation(dimension, SEED, dtype)
    rotated = rotation.forward(np.array(values, dtype))
    assert (rotated.dtype, rotated.shape) == (dtype, (length,))
    # The oracle divides in float64.
    bound = rotation.norm_error(norm(values)) + 1e-15 * norm(values)
    assert norm(float(a) - b for a, b in zip(rotated, expected, strict=True)) <= bound


@each_dtype
@pytest.mark.parametrize("dimension", [*(2**bits for bits in range(13)), 3, 17, 100, 257, 4095])
def test_the_inverse_is_the_definition(dimension: int, dtype: type):
    length = padded(dimension)
    values = np.random.default_rng(dimension).integers(-1000, 1001, length).tolist()
    signs = signs_of(SEED, dimension)
    expected = [s * value / math.sqrt(length) for s, value in zip(signs, walsh_hadamard(values), strict=False)]
    rotation = Rotation(dimension, SEED, dtype)
    back = rotation.inverse(np.array(values, dtype))
    assert (back.dtype, back.shape) == (dtype, (dimension,))
    bound = rotation.norm_error(norm(values)) + 1e-15 * norm(values)
    assert norm(float(a) - b for a, b in zip(back, expected, strict=True)) <= bound


@each_dtype
@pytest.mark.parametrize("bits", [*range(13, 21), 24])
def test_a_spike_becomes_one_row_of_the_matrix_at_every_size(bits: int, dtype: type):
    """Every magnitude is the same float: one product for each digit, and sums of zeros."""
    if bits == 24 and dtype is np.float64:
        pytest.skip("a quarter of a gigabyte, for the same steps as in float32")
    length, place = 2**bits, 2**bits * 5 // 7
    rotation = Rotation(length, SEED, dtype)
    vector = np.zeros(length, dtype)
    vector[place] = 1
    rotated = rotation.forward(vector)
    magnitude = abs(rotated[0])
    assert abs(float(magnitude) * 2.0 ** (bits / 2) - 1) <= rotation.norm_error(1)
    row = 1 - 2 * parity(np.arange(length, dtype=np.uint32) & np.uint32(place)).astype(np.int8)
    assert np.array_equal(rotated, row * magnitude * np.sign(rotated[0]).astype(dtype))


@each_dtype
def test_the_first_spike_has_no_signs_but_its_own(dtype: type):
    rotated = Rotation(64, SEED, dtype).forward(np.eye(1, 64, dtype=dtype)[0])
    assert rotated.tolist() == [signs_of(SEED, 1)[0] / 8] * 64


@given(
    dimension=st.integers(1, 3000),
    dtype=st.sampled_from(DTYPES),
    exponent=st.integers(-30, 30),
    seed=st.binary(min_size=32, max_size=32),
)
@settings(deadline=None, max_examples=60)
def test_there_and_back_with_the_norm_as_it_was(dimension: int, dtype: type, exponent: int, seed: bytes):
    rotation = Rotation(dimension, seed, dtype)
    vector = some_vector(dimension, dtype, dimension) * dtype(2.0**exponent)
    length = norm(vector)
    bound = rotation.norm_error(length)
    rotated = rotation.forward(vector)
    assert abs(norm(rotated) - length) <= bound + 1e-15 * length
    back = rotation.inverse(rotated)
    assert norm(back.astype(np.float64) - vector) <= bound + rotation.norm_error(length + bound)


@given(
    dimension=st.integers(1, 300), clients=st.integers(1, 6), dtype=st.sampled_from(DTYPES), seed=st.integers(0, 2**32)
)
@settings(deadline=None, max_examples=60)
def test_the_sum_of_rotated_vectors_is_the_rotated_sum(dimension: int, clients: int, dtype: type, seed: int):
    # Integers whose sum every float here holds: only the rotations round.
    vectors = np.random.default_rng(seed).integers(-1000, 1001, (clients, dimension)).astype(dtype)
    rotation = Rotation(dimension, SEED, dtype)
    rotated = [rotation.forward(vector).astype(np.float64) for vector in vectors]
    total = vectors.sum(axis=0)
    allowed = math.fsum(rotation.norm_error(norm(vector)) for vector in vectors)
    summed = np.sum(rotated, axis=0)
    assert norm(summed - rotation.forward(total)) <= (allowed + rotation.norm_error(norm(total))) * (1 + 1e-9)
    # A server adds in float64 and goes back.
    exact = Rotation(dimension, SEED, np.float64)
    assert norm(exact.inverse(summed) - total) <= allowed + exact.norm_error(2 * norm(summed))


def test_the_bound_is_what_the_text_says_and_not_slack_by_orders():
    assert 1.78e-5 < Rotation(2**20, SEED, np.float32).norm_error(1) < 1.8e-5
    assert 3.3e-14 < Rotation(2**20, SEED, np.float64).norm_error(1) < 3.4e-14
    rotation = Rotation(2**12, SEED, np.float32)
    vector = some_vector(2**12, np.float32)
    reference = Rotation(2**12, SEED, np.float64).forward(vector.astype(np.float64))
    error = norm(rotation.forward(vector) - reference)
    assert rotation.norm_error(norm(vector)) / 200 < error < rotation.norm_error(norm(vector))


def test_the_bound_of_nothing_is_next_to_nothing():
    assert 0 < Rotation(1000, SEED, np.float32).norm_error(0) < 1e-33
    assert 0 < Rotation(1000, SEED, np.float64).norm_error(np.float32(0)) < 1e-300


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, True, "1", None], ids=repr)
def test_a_norm_that_is_none_is_refused(value: Any):
    with pytest.raises(InvalidParameterError, match="norm"):
        Rotation(4, SEED, np.float64).norm_error(value)


@pytest.mark.parametrize("dimension", [1, 7, 8, 9, 100, 2**16 - 1, 2**16 + 1, 2**16 + 8, 3 * 2**16 + 5])
def test_signs_are_the_documented_bits_whatever_the_dtype(dimension: int):
    expected = signs_of(SEED, dimension)
    for dtype in DTYPES:
        out = np.empty(dimension, dtype)
        Rotation(dimension, SEED, dtype)._change_signs(np.ones(dimension, dtype), out)
        assert out.tolist() == expected


def test_the_same_seed_gives_the_same_rotation_and_another_gives_another():
    vector = some_vector(500, np.float64)
    rotated = Rotation(500, SEED, np.float64).forward(vector)
    assert np.array_equal(rotated, Rotation(500, SEED, np.float64).forward(vector))
    for place in range(32):
        other = bytearray(SEED)
        other[place] ^= 1
        assert not np.allclose(rotated, Rotation(500, bytes(other), np.float64).forward(vector))


def drawn_signs(seed: int, dimension: int) -> np.ndarray:
    out = np.empty(dimension)
    Rotation(dimension, seed.to_bytes(32, "big"), np.float64)._change_signs(np.ones(dimension), out)
    return out


def test_signs_are_fair_and_pairs_of_them_independent():
    """False-positive rate below 1e-8: 10 bounds of Hoeffding with 1e-9 each, on the seeds chosen once and for all.

    Of fair independent signs, the products of neighbours in a chain are fair and independent too, and coordinates at a
    fixed distance form chains.
    """

    def fair(signs: np.ndarray) -> bool:
        return bool(abs(signs.mean()) < math.sqrt(2 * math.log(2 / 1e-9) / len(signs)))

    first, second = drawn_signs(1, 2**18), drawn_signs(2, 2**18)
    assert fair(first)
    assert fair(first * second)
    for distance in (1, 2, 7, 8, 16, 128, 4096, 2**16):
        assert fair(first[distance:] * first[:-distance])


def test_over_seeds_every_sign_is_fair():
    """False-positive rate below 64 * 1e-9: Hoeffding for each of 64 coordinates."""
    seeds = 1000
    mean = sum(drawn_signs(seed, 64) for seed in range(seeds)) / seeds
    assert np.abs(mean).max() < math.sqrt(2 * math.log(2 / 1e-9) / seeds)


@pytest.mark.parametrize("shape", ["spikes", "constant", "heavy-tailed"])
def test_no_coordinate_is_large_after_a_rotation(shape: str):
    """False-positive rate at most 20 * 1e-9: Hoeffding's tail for each coordinate, the union bound, 20 seeds."""
    dimension = 3000
    vector = {
        "spikes": np.eye(1, dimension)[0] + np.eye(1, dimension, 77)[0],
        "constant": np.ones(dimension),
        "heavy-tailed": np.random.default_rng(5).standard_cauchy(dimension),
    }[shape]
    length = padded(dimension)
    allowed = math.sqrt(2 * math.log(2 * length / 1e-9) / length) * norm(vector)
    for seed in range(20):
        rotated = Rotation(dimension, seed.to_bytes(32, "big"), np.float64).forward(vector)
        assert np.abs(rotated).max() <= allowed
        # And that says something: one coordinate could hold all of the norm.
        assert allowed < norm(vector) / 5


@each_dtype
def test_zero_stays_zero(dtype: type):
    rotation = Rotation(1000, SEED, dtype)
    assert not rotation.forward(np.zeros(1000, dtype)).any()
    assert not rotation.inverse(np.zeros(1024, dtype)).any()


@each_dtype
@pytest.mark.parametrize("dimension", [1, 2, 16, 200, 256, 5000])
def test_memory_is_reused_and_stale_content_is_never_seen(dimension: int, dtype: type):
    rotation = Rotation(dimension, SEED, dtype)
    vectors = [some_vector(dimension, dtype, seed) for seed in range(3)]
    expected = [rotation.forward(vector) for vector in vectors]
    out, back = np.full(padded(dimension), np.nan, dtype), np.full(dimension, np.nan, dtype)
    buffers = rotation.buffers
    for vector, rotated in zip(vectors, expected, strict=True):
        for buffer in buffers.vectors:
            buffer.fill(np.nan)
        round_ = Rotation(dimension, SEED, dtype, buffers)
        assert round_.buffers is buffers
        assert round_.forward(vector, out) is out
        assert np.array_equal(out, rotated)
        assert round_.inverse(out, out=back) is back
        assert np.allclose(back, vector, atol=1e-5)
        assert np.array_equal(out, rotated)
    # Results without `out` are the caller's own.
    assert all(np.array_equal(rotation.forward(vector), kept) for vector, kept in zip(vectors, expected, strict=True))


@each_dtype
def test_a_rotation_into_given_memory_allocates_little(dtype: type):
    dimension = 2**20
    buffers = RotationBuffers(dimension, dtype)
    vector, out = some_vector(dimension, dtype), np.empty(dimension, dtype)
    tracemalloc.start()
    try:
        rotation = Rotation(dimension, SEED, dtype, buffers)
        rotation.forward(vector, out)
        rotation.inverse(out, vector)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Of 4 or 8 million bytes a vector: the signs, in bits, while they are made.
    assert peak < 2**19


def test_the_vector_is_left_alone_however_it_lies_in_memory():
    rotation = Rotation(100, SEED, np.float64)
    wide = some_vector(200, np.float64)
    vector = wide[::2].copy()
    vector.flags.writeable = False
    kept = vector.copy()
    assert np.array_equal(rotation.forward(wide[::2]), rotation.forward(vector))
    assert np.array_equal(vector, kept)
    rotated = rotation.forward(vector)
    kept = rotated.copy()
    rotation.inverse(rotated)
    assert np.array_equal(rotated, kept)


@each_dtype
def test_the_largest_vectors_are_rotated_without_overflow_and_larger_ones_refused(dtype: type):
    limit = np.finfo(dtype).max / dtype(2.0**18)
    rotation = Rotation(4096, SEED, dtype)
    # All in one coordinate after the rotation: the worst that there is.
    row = rotation.inverse(np.eye(1, 4096, dtype=dtype)[0]) * dtype(64)
    rotated = rotation.forward(np.clip(row * limit, -limit, limit))
    assert np.isfinite(rotated).all()
    assert float(rotated[0]) / 64 / float(limit) == pytest.approx(1, abs=1e-4)
    with pytest.raises(InvalidInputError, match="too large"):
        rotation.forward(np.full(4096, np.nextafter(limit, dtype(np.inf))))


@each_dtype
def test_the_smallest_vectors_err_by_no_more_than_is_said(dtype: type):
    tiny = np.finfo(dtype).smallest_subnormal
    rotation = Rotation(4096, SEED, dtype)
    vector = np.full(4096, tiny) * np.sign(some_vector(4096, dtype))
    back = rotation.inverse(rotation.forward(vector))
    bound = rotation.norm_error(norm(vector.astype(np.float64)))
    # Scaled up, as the squares of such numbers vanish.
    difference = np.abs(back.astype(np.longdouble) - vector.astype(np.longdouble)).max()
    assert float(difference * 64 / np.longdouble(bound)) < 2


@each_dtype
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 3e38])
@pytest.mark.parametrize("place", [0, 70, 99])
def test_what_is_not_finite_is_refused_and_nothing_written(dtype: type, bad: float, place: int):
    bad = bad if dtype is np.float32 else bad * 1e269
    rotation = Rotation(100, SEED, dtype)
    for turn, length, output in ((rotation.forward, 100, 128), (rotation.inverse, 128, 100)):
        vector = np.ones(length, dtype)
        vector[place] = bad
        out = np.full(output, 7, dtype)
        with pytest.raises(InvalidInputError, match="NaN, infinity") as caught:
            turn(vector, out)
        assert caught.value.field in {"vector", "rotated"}
        assert (out == 7).all()


def test_a_signalling_nan_is_refused_without_a_warning():
    vector = np.zeros(4, np.float32)
    vector.view(np.uint32)[1] = 0x7FA00000
    with pytest.raises(InvalidInputError, match="NaN"):
        Rotation(4, SEED, np.float32).forward(vector)


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(99),
        np.zeros(101),
        np.zeros(0),
        np.zeros((100, 1)),
        np.zeros(100, np.float32),
        np.zeros(100, ">f8"),
        np.zeros(100, np.int64),
        [0.0] * 100,
        None,
    ],
    ids=lambda vector: f"{type(vector).__name__}",
)
def test_another_vector_is_refused(vector: Any):
    rotation = Rotation(100, SEED, np.float64)
    with pytest.raises(InvalidInputError, match=r"vector: .*float64 of shape \(100,\)"):
        rotation.forward(vector)
    with pytest.raises(InvalidInputError, match=r"rotated: .*float64 of shape \(128,\)"):
        rotation.inverse(vector)


def unwriteable() -> np.ndarray:
    out = np.zeros(128)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    "out",
    [np.zeros(127), np.zeros(128, np.float32), [0.0], np.zeros((128, 1)), np.zeros(256)[::2], unwriteable()],
    ids=["short", "float32", "list", "matrix", "strided", "read-only"],
)
def test_another_output_is_refused(out: Any):
    with pytest.raises(InvalidInputError, match="out"):
        Rotation(100, SEED, np.float64).forward(np.zeros(100), out)


def test_an_output_that_overlaps_the_input_is_refused():
    rotation = Rotation(100, SEED, np.float64)
    memory = np.zeros(228)
    rotation.forward(memory[:100], memory[100:])
    for start in (0, 50, 99):
        with pytest.raises(InvalidInputError, match="overlaps"):
            rotation.forward(memory[:100], memory[start : start + 128])
    with pytest.raises(InvalidInputError, match="overlaps"):
        rotation.inverse(memory[:128], memory[:100])


@pytest.mark.parametrize("dimension", [0, -1, 2**32 + 1, 4.0, True, "4", None], ids=repr)
def test_another_dimension_is_refused(dimension: Any):
    for make in (padded, lambda d: RotationBuffers(d, np.float64), lambda d: Rotation(d, SEED, np.float64)):
        with pytest.raises(InvalidParameterError, match="dimension"):
            make(dimension)


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33), bytearray(32), "0" * 32, None, 7], ids=repr)
def test_another_seed_is_refused(seed: Any):
    with pytest.raises(InvalidParameterError, match="32 bytes"):
        Rotation(4, seed, np.float64)


@pytest.mark.parametrize(
    "dtype", [np.float16, np.int32, float, "float32", np.dtype("float64"), None, np.zeros(2)], ids=repr
)
def test_another_dtype_is_refused(dtype: Any):
    with pytest.raises(InvalidParameterError, match="dtype"):
        Rotation(4, SEED, dtype)


@pytest.mark.parametrize(
    "buffers",
    [RotationBuffers(8, np.float64), RotationBuffers(4, np.float32), np.zeros(4), "4"],
    ids=["longer", "float32", "array", "text"],
)
def test_buffers_of_another_size_are_refused(buffers: Any):
    with pytest.raises(InvalidParameterError, match="buffers"):
        Rotation(4, SEED, np.float64, buffers)


def test_the_next_power_of_two():
    assert [padded(d) for d in (1, 2, 3, 4, 5, 1023, 1024, 1025, 2**32)] == [1, 2, 4, 4, 8, 1024, 1024, 2048, 2**32]
    rotation = Rotation(1000, SEED, np.float64)
    assert (rotation.dimension, rotation.padded_dimension) == (1000, 1024)
