"""fl.codecs.quantize: real vectors to words that cannot wrap, and back.

The oracles compute with Python integers and fractions, and with a ChaCha20 written out below.
"""

import dataclasses
import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fl.codecs.quantize import Quantizer
from fl.errors import ModulusTooSmallError
from secagg.errors import InvalidInputError, InvalidParameterError, LocalError

SEED = bytes(range(32))


def chacha20_words(key: bytes, count: int) -> list[int]:
    """The first `count` little-endian 64-bit words of the keystream for a zero nonce (RFC 8439, section 2.3)."""

    def rotate(value: int, bits: int) -> int:
        return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF

    words: list[int] = []
    for block in range((count + 7) // 8):
        start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), block, 0, 0, 0]
        state = list(start)
        columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
        diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
        for _ in range(10):
            for a, b, c, d in columns + diagonals:
                for x, y, z, bits in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
                    state[x] = (state[x] + state[y]) & 0xFFFFFFFF
                    state[z] = rotate(state[z] ^ state[x], bits)
        mixed = [(one + other) & 0xFFFFFFFF for one, other in zip(state, start, strict=True)]
        words += [low | high << 32 for low, high in zip(mixed[::2], mixed[1::2], strict=True)]
    return words[:count]


def exact_mean(vectors: Sequence[Sequence[float]], weights: Sequence[int], clip: float) -> list[Fraction]:
    bound = Fraction(clip)
    clipped = [[max(-bound, min(bound, Fraction(entry))) for entry in vector] for vector in vectors]
    return [
        sum((weight * entry for weight, entry in zip(weights, column, strict=True)), Fraction(0)) / sum(weights)
        for column in zip(*clipped, strict=True)
    ]


def session_sum(words: Sequence[np.ndarray], modulus_bits: int) -> np.ndarray:
    """What a session returns, added up as Python integers and reduced as the masks would."""
    columns = zip(*(vector.tolist() for vector in words), strict=True)
    return np.array([sum(column) % 2**modulus_bits for column in columns], dtype=np.uint64)


@given(modulus_bits=st.integers(1, 64), clients=st.integers(1, 2**32), weight_cap=st.integers(1, 2**63 - 1))
@example(modulus_bits=64, clients=1, weight_cap=1)
@example(modulus_bits=32, clients=2**32 - 1, weight_cap=1000)
@example(modulus_bits=32, clients=2**32, weight_cap=1000)
@example(modulus_bits=8, clients=51, weight_cap=7)
@example(modulus_bits=8, clients=5, weight_cap=51)
@example(modulus_bits=8, clients=5, weight_cap=52)
@settings(deadline=None)
def test_the_modulus_is_filled_exactly_or_refused(modulus_bits: int, clients: int, weight_cap: int):
    if clients >= 2**modulus_bits:
        with pytest.raises(ModulusTooSmallError) as caught:
            Quantizer(1.0, modulus_bits, clients, weight_cap)
        error = caught.value
        assert (error.clients, error.weight_cap, error.modulus_bits) == (clients, weight_cap, modulus_bits)
        assert 2 ** (error.needed - 1) - 1 < clients <= 2**error.needed - 1
        if error.needed <= 64:
            Quantizer(1.0, error.needed, clients, weight_cap)
        return
    quantizer = Quantizer(1.0, modulus_bits, clients, weight_cap)
    assert clients * quantizer.levels < 2**modulus_bits <= clients * quantizer.levels + clients
    base = quantizer.levels + 1
    assert base ** (quantizer.weight_digits - 1) <= weight_cap or quantizer.weight_digits == 1
    assert base**quantizer.weight_digits > weight_cap
    assert quantizer.word_dtype.itemsize == min(size for size in (1, 2, 4, 8) if 8 * size >= modulus_bits)


@pytest.mark.parametrize("modulus_bits", range(1, 13))
def test_every_small_cohort_fills_its_modulus(modulus_bits: int):
    for clients in range(1, 2**modulus_bits):
        levels = Quantizer(1.0, modulus_bits, clients, 1).levels
        assert levels == max(n for n in (levels - 1, levels, levels + 1) if n * clients < 2**modulus_bits)


@pytest.mark.parametrize("modulus_bits", [2, 3, 7, 8, 9, 16, 17, 24, 31, 32, 33, 48, 52, 53, 54, 55, 60, 63, 64])
@pytest.mark.parametrize("clients", [1, 2, 3, 10])
@pytest.mark.parametrize("clip", [1.0, 0.1, 3e-7, 1e9])
def test_everybody_at_the_largest_value_and_weight_does_not_wrap(modulus_bits: int, clients: int, clip: float):
    if clients >= 2**modulus_bits:
        pytest.skip("refused at construction, as tested above")
    quantizer = Quantizer(clip, modulus_bits, clients, weight_cap=1000)
    vector = np.array([clip, -clip, 1e300, -1e300, clip])
    words = [quantizer.encode(vector, 1000) for _ in range(clients)]
    for encoded in words:
        assert encoded.dtype == quantizer.word_dtype
        assert max(encoded.tolist()) <= quantizer.levels
        # Within float64's own rounding of L, and exact where L is small.
        assert encoded[0] >= quantizer.levels - quantizer.levels // 2**50 - 1
        assert encoded[1] == encoded[3] == 0
    unreduced = [sum(column) for column in zip(*(encoded.tolist() for encoded in words), strict=True)]
    assert max(unreduced) < 2**modulus_bits
    mean, total_weight = quantizer.decode(session_sum(words, modulus_bits), clients)
    assert total_weight == 1000 * clients
    step = 2 * clip / quantizer.levels
    for decoded, expected in zip(mean.tolist(), [clip, -clip, clip, -clip, clip], strict=True):
        assert abs(decoded - expected) <= step + clip * 2.0**-48


@pytest.mark.parametrize("length", [0, 1, 9, 40])
def test_words_are_the_documented_function_of_the_seed(length: int):
    # Values, factor and product are dyadic here, so float64 computes v without rounding and the oracle is exact.
    quantizer = Quantizer(clip=2.0, modulus_bits=20, clients=1, weight_cap=4)
    values = [Fraction(17 * i % 1021 - 510, 256) for i in range(length)]
    words = quantizer._encode(np.array([float(value) for value in values]), 3, SEED)
    expected, ups = [], 0
    for value, word in zip(values, chacha20_words(SEED, length), strict=True):
        scaled = (value + 2) / 4 * Fraction(3, 4) * (2**20 - 1)
        rounded_up = Fraction(word >> 11, 2**53) < scaled - math.floor(scaled)
        expected.append(math.floor(scaled) + rounded_up)
        ups += rounded_up
    assert words.tolist() == [*expected, 3]
    # This seed and these values round both down and up.
    assert length < 40 or 0 < ups < length


@pytest.mark.slow
def test_the_keystream_goes_on_from_chunk_to_chunk():
    quantizer = Quantizer(clip=1.0, modulus_bits=1, clients=1, weight_cap=1)
    length = 3 * 2**14 + 5
    words = quantizer._encode(np.zeros(length), 1, SEED)[:length]
    expected = [int(word >> 63 == 0) for word in chacha20_words(SEED, length)]
    assert words.tolist() == expected


def test_a_fresh_seed_is_drawn_for_every_vector():
    quantizer = Quantizer(clip=1.0, modulus_bits=16, clients=3, weight_cap=7)
    vector = np.linspace(-1, 1, 500)
    assert quantizer.encode(vector, 5).tolist() != quantizer.encode(vector, 5).tolist()


weights_and_vectors = st.integers(1, 5).flatmap(
    lambda length: st.lists(
        st.tuples(
            st.integers(0, 50), st.lists(st.floats(-8, 8, allow_subnormal=True), min_size=length, max_size=length)
        ),
        min_size=1,
        max_size=6,
    )
)


@pytest.mark.slow
@given(
    survivors=weights_and_vectors,
    dropped=st.integers(0, 3),
    modulus_bits=st.integers(4, 64),
    clip=st.one_of(st.floats(1e-3, 10), st.sampled_from([1.0, 2.0**-500, 2.0**500])),
)
@settings(deadline=None, max_examples=300)
def test_the_decoded_mean_is_within_the_stated_bound(
    survivors: list[tuple[int, list[float]]], dropped: int, modulus_bits: int, clip: float
):
    weights = [weight for weight, _ in survivors]
    quantizer = Quantizer(clip, modulus_bits, len(survivors) + dropped, weight_cap=50)
    words = [quantizer.encode(np.array(vector), weight) for weight, vector in survivors]
    total = session_sum(words, modulus_bits)
    if sum(weights) == 0:
        with pytest.raises(InvalidInputError, match="weight 0"):
            quantizer.decode(total, len(survivors))
        return
    mean, total_weight = quantizer.decode(total, len(survivors))
    assert total_weight == sum(weights)
    # The bound of the module's docstring, as fractions.
    noise = Fraction(clip) * 2 * 50 * len(survivors) / (quantizer.levels * sum(weights))
    bound = noise + (noise + Fraction(clip)) / 2**48
    assert bound <= Fraction(quantizer.error_bound(len(survivors), total_weight)) <= bound * (1 + Fraction(1, 2**50))
    exact = exact_mean([vector for _, vector in survivors], weights, clip)
    assert all(abs(Fraction(value) - truth) < bound for value, truth in zip(mean.tolist(), exact, strict=True))


def test_the_bound_is_not_slack_by_much():
    """With one client the error comes within 1 % of the bound, so a smaller one would be wrong.

    False-positive rate exp(-100): each of 10**6 errors is that large with probability 10**-4.
    """
    quantizer = Quantizer(clip=1.0, modulus_bits=8, clients=1, weight_cap=1)
    rng = np.random.default_rng(1)
    vector = rng.uniform(-1, 1, 1_000_000)
    mean, _ = quantizer.decode(quantizer.encode(vector, 1), 1)
    worst = np.abs(mean - vector).max()
    assert 0.99 * quantizer.error_bound(1, 1) < worst < quantizer.error_bound(1, 1)


def hoeffding_radius(draws: int, spread: float) -> float:
    """By how much a mean of draws, each from an interval of length `spread`, errs with probability 1e-9 at most.

    Hoeffding (1963), Theorem 2: P(|error| >= r) <= 2 exp(-2 * draws * r**2 / spread**2).
    """
    return spread * math.sqrt(math.log(2 / 1e-9) / (2 * draws))


@pytest.mark.parametrize("fraction", [1 / 1024, 0.1, 0.5, 0.75, 1 - 1 / 1024])
@pytest.mark.parametrize("whole", [0, 1, 200])
def test_rounding_is_unbiased(fraction: float, whole: int):
    """False-positive rate at most 1e-9 a case (Hoeffding's bound, exact at any size); finds a bias of 0.003."""
    draws = 1_000_000
    quantizer = Quantizer(clip=127.5, modulus_bits=8, clients=1, weight_cap=1)
    value = whole + fraction
    words = quantizer.encode(np.full(draws, value - 127.5), 1)[:draws]
    assert set(np.unique(words).tolist()) == {whole, whole + 1}
    observed = int(words.sum(dtype=np.int64)) / draws
    assert abs(observed - value) < hoeffding_radius(draws, 1.0)


def test_the_weighted_mean_is_unbiased_and_its_variance_as_stated():
    """False-positive rate at most 2e-9: two Hoeffding bounds of 1e-9 over independent coordinates."""
    draws, weights, values, clip = 400_000, [1, 7, 4], [-0.313, 0.771, 0.05], 1.0
    quantizer = Quantizer(clip, modulus_bits=6, clients=5, weight_cap=8)
    words = [quantizer.encode(np.full(draws, value), weight) for value, weight in zip(values, weights, strict=True)]
    mean, total_weight = quantizer.decode(session_sum(words, 6), 3)
    assert total_weight == 12
    truth = float(exact_mean([[value] for value in values], weights, clip)[0])
    step = 2 * clip * 8 / (12 * 12)
    assert quantizer.levels == 12
    errors = mean - truth
    assert abs(errors.mean()) < hoeffding_radius(draws, 3 * step)
    scaled = [(value + clip) / (2 * clip) * weight / 8 * 12 for value, weight in zip(values, weights, strict=True)]
    fractions = [value % 1 for value in scaled]
    variance = sum(f * (1 - f) for f in fractions) * step**2
    assert variance < 3 / 4 * step**2
    # Each squared error lies in [0, (3 step)**2].
    assert abs((errors**2).mean() - variance) < hoeffding_radius(draws, 9 * step**2)


def test_a_client_of_weight_zero_sends_only_zeros():
    quantizer = Quantizer(clip=1.0, modulus_bits=32, clients=10, weight_cap=100)
    assert quantizer.encode(np.array([1.0, -1.0, 0.3]), 0).tolist() == [0, 0, 0, 0]


@given(weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=5), modulus_bits=st.integers(3, 64))
@settings(deadline=None)
def test_the_total_weight_is_exact_on_any_grid(weights: list[int], modulus_bits: int):
    quantizer = Quantizer(1.0, modulus_bits, clients=5, weight_cap=10**6)
    total = session_sum([quantizer.encode(np.zeros(0), weight) for weight in weights], modulus_bits)
    if sum(weights):
        mean, total_weight = quantizer.decode(total, len(weights))
        assert (mean.shape, total_weight) == ((0,), sum(weights))


def test_clipped_coordinates_are_counted():
    quantizer = Quantizer(clip=0.5, modulus_bits=32, clients=3, weight_cap=1)
    assert quantizer.clipped_count(np.array([0.5, -0.5, 0.5000001, -3.0, 0.0, 1e308])) == 3


def test_a_tiny_or_huge_coordinate_is_no_trouble():
    quantizer = Quantizer(clip=2.0**500, modulus_bits=64, clients=1, weight_cap=2**63 - 1)
    words = quantizer.encode(np.array([5e-324, -1.7e308, 1.7e308]), 2**63 - 1)
    assert words[1] == 0
    assert 2**64 - 2**12 <= int(words[2]) <= 2**64 - 1
    assert abs(int(words[0]) - 2**63) <= 2**12


@pytest.mark.parametrize(
    "weight", [-1, 11, True, np.True_, 1.0, np.float64(1), "1", None, np.int64(-1), np.uint8(200), 2**70]
)
def test_a_weight_out_of_range_is_refused_without_being_told(weight: Any):
    quantizer = Quantizer(clip=1.0, modulus_bits=32, clients=3, weight_cap=10)
    with pytest.raises(InvalidInputError, match="weight") as caught:
        quantizer.encode(np.zeros(2), weight)
    assert caught.value.field == "weight"
    assert str(2**70) not in str(caught.value)
    assert "200" not in str(caught.value)


@pytest.mark.parametrize("weight", [0, 10, np.int8(10), np.uint64(10)])
def test_numpy_integers_are_weights(weight: Any):
    quantizer = Quantizer(clip=1.0, modulus_bits=32, clients=3, weight_cap=10)
    assert quantizer.encode(np.zeros(0), weight).tolist() == [int(weight)]


@pytest.mark.parametrize(
    "vector",
    [
        np.array([0.0, np.nan]),
        np.array([np.inf]),
        np.append(np.zeros(2**15), -np.inf),
        np.zeros((2, 2)),
        np.zeros(2, np.float32),
        np.zeros(2, np.int64),
        [0.0],
    ],
    ids=lambda vector: f"{type(vector).__name__}",
)
def test_an_unusable_vector_is_refused(vector: Any):
    quantizer = Quantizer(clip=1.0, modulus_bits=32, clients=3, weight_cap=10)
    for use in (lambda: quantizer.encode(vector, 1), lambda: quantizer.clipped_count(vector)):
        with pytest.raises(InvalidInputError, match="vector"):
            use()


@pytest.mark.parametrize(
    "change",
    [
        {"clip": 0.0},
        {"clip": -1.0},
        {"clip": math.nan},
        {"clip": math.inf},
        {"clip": True},
        {"clip": "1"},
        {"clip": 2.0**-501},
        {"clip": 2.0**501},
        {"clip": 10**400},
        {"modulus_bits": 0},
        {"modulus_bits": 65},
        {"modulus_bits": 32.0},
        {"clients": 0},
        {"clients": True},
        {"clients": 2**32 + 1},
        {"weight_cap": 0},
        {"weight_cap": 2**63},
    ],
    ids=str,
)
def test_a_parameter_out_of_range_is_refused(change: dict[str, Any]):
    parameters: dict[str, Any] = {"clip": 1.0, "modulus_bits": 64, "clients": 3, "weight_cap": 10}
    Quantizer(**parameters)
    with pytest.raises(InvalidParameterError, match=next(iter(change))):
        Quantizer(**(parameters | change))


def test_too_many_clients_are_told_what_they_need():
    with pytest.raises(ModulusTooSmallError, match=r"256 clients .* at least 9") as caught:
        Quantizer(1.0, modulus_bits=8, clients=256, weight_cap=10)
    assert isinstance(caught.value, OverflowError)
    assert isinstance(caught.value, LocalError)


@pytest.mark.parametrize(
    ("total", "text"),
    [
        ([0, 0], "another type"),
        (np.zeros(3), "another type"),
        (np.zeros(3, np.int64), "another type"),
        (np.zeros((3, 1), np.uint32), "another type"),
        (np.zeros(0, np.uint32), "too short"),
        (np.array([2 * 51 + 1, 1], np.uint32), "a word exceeds what 2 clients"),
        (np.array([0, 2 * 10 + 1], np.uint32), "weights sum to more than 2 clients"),
        (np.array([0, 0], np.uint32), "weight 0"),
    ],
)
def test_a_sum_that_cannot_be_one_is_refused(total: Any, text: str):
    quantizer = Quantizer(1.0, modulus_bits=8, clients=5, weight_cap=10)
    assert quantizer.levels == 51
    quantizer.decode(np.array([2 * 51, 2 * 10], np.uint32), 2)
    with pytest.raises(InvalidInputError, match=text):
        quantizer.decode(total, 2)


@pytest.mark.parametrize("survivors", [0, -1, 6, 2.0, True])
def test_a_count_of_survivors_out_of_range_is_refused(survivors: Any):
    quantizer = Quantizer(1.0, modulus_bits=8, clients=5, weight_cap=10)
    with pytest.raises(InvalidParameterError, match="survivors"):
        quantizer.decode(np.array([0, 1], np.uint8), survivors)
    with pytest.raises(InvalidParameterError, match="survivors"):
        quantizer.error_bound(survivors, 1)


def test_a_quantizer_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Quantizer(1.0, 8, 5, 10).clip = 2.0  # type: ignore[misc]
