"""Means at one to eight bits: unbiased where that is said, as good as the formula says, and no sum can wrap."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from fl.codecs.low_bit import LowBit, best_range_factor, expected_squared_error, unbiased_range_factor
from fl.codecs.quantize import Quantizer
from secagg.errors import InvalidInputError, InvalidParameterError
from secagg.params import AdversaryModel, SessionParams
from secagg.simulate import simulate

SEED = bytes(range(32))
PARAMETERS: dict[str, Any] = {
    "dimension": 100,
    "bits": 4,
    "clip_norm": 1.0,
    "clients": 10,
    "weight_cap": 50,
    "seed": SEED,
}


def session_sum(words: list[np.ndarray], modulus_bits: int) -> np.ndarray:
    """What a session returns, added up as Python integers and reduced as the masks would."""
    columns = zip(*(vector.tolist() for vector in words), strict=True)
    return np.array([sum(column) % 2**modulus_bits for column in columns], dtype=np.uint64)


def squared_error(low_bit: LowBit, vector: np.ndarray, survivors: int) -> float:
    """Of the mean of equal vectors, over the vector's squared norm."""
    total = sum(low_bit.encode(vector, 1).astype(np.uint64) for _ in range(survivors))
    mean, _ = low_bit.decode(total, survivors)
    return float(((mean - vector) ** 2).sum() / (vector**2).sum())


def some_vector(dimension: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=dimension)


@given(
    clients=st.integers(1, 5),
    dropped=st.integers(0, 3),
    bits=st.integers(1, 8),
    dimension=st.integers(1, 40),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=100)
def test_the_mean_is_within_the_grids_bound(clients: int, dropped: int, bits: int, dimension: int, seed: int):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(clients, dimension))
    cap = min(50, 2**bits - 1)
    weights = rng.integers(1, cap + 1, clients)
    clip = float(np.linalg.norm(vectors, axis=1).max())
    factor = unbiased_range_factor(dimension, clients + dropped, 1e-12)
    low_bit = LowBit(dimension, bits, clip, clients + dropped, cap, SEED, factor)
    words = [low_bit.encode(vector, weight) for vector, weight in zip(vectors, weights, strict=True)]
    assert all(len(word) == low_bit.vector_length and word.max() <= low_bit.levels for word in words)
    mean, total_weight = low_bit.decode(session_sum(words, low_bit.modulus_bits), clients)
    assert total_weight == weights.sum()
    exact = (weights[:, None] * vectors).sum(axis=0) / weights.sum()
    # A rotated coordinate is off by less than the quantiser's bound, and a rotation keeps lengths.
    bound = low_bit.quantizer.error_bound(clients, total_weight) * math.sqrt(low_bit.rotation.padded_dimension)
    assert np.linalg.norm(mean - exact) < bound + 1e-12 * clip


def test_a_real_session_with_a_dropout_sums_the_words():
    vectors = {client: some_vector(20, client) for client in range(7)}
    low_bit = LowBit(20, 3, 10.0, 7, 9, SEED, unbiased_range_factor(20, 7, 1e-12))
    params = SessionParams.for_cohort(
        cohort_size=7,
        vector_length=low_bit.vector_length,
        modulus_bits=low_bit.modulus_bits,
        adversary=AdversaryModel.HONEST_BUT_CURIOUS,
    )
    words = {client: low_bit.encode(vector, client + 1) for client, vector in vectors.items()}
    result = simulate(words, params, dropouts={"masked_input": [2]})
    survivors = sorted(result.survivors)
    assert survivors == [0, 1, 3, 4, 5, 6]
    mean, total_weight = low_bit.decode(result.sum, len(survivors))
    assert total_weight == sum(client + 1 for client in survivors)
    exact = sum((client + 1) * vectors[client] for client in survivors) / total_weight
    bound = low_bit.quantizer.error_bound(len(survivors), total_weight) * math.sqrt(32)
    assert np.linalg.norm(mean - exact) < bound


def test_a_number_of_bits_means_so_many_levels_and_such_a_modulus():
    for bits in range(1, 9):
        for clients in (1, 2, 3, 10, 64, 65, 100, 1000, 2**32):
            low_bit = LowBit(5, bits, 1.0, clients, 1, SEED)
            assert low_bit.levels >= 2**bits - 1
            assert clients * low_bit.levels < 2**low_bit.modulus_bits <= clients * (low_bit.levels + 1)
            assert low_bit.modulus_bits <= bits + math.ceil(math.log2(clients))
            # One bit fewer would not do.
            assert clients * (2**bits - 1) >= 2 ** (low_bit.modulus_bits - 1)


def test_one_client_says_just_so_many_bits():
    """False-positive rate below 1e-9: each of 256 values is expected 30 times at least."""
    vector = some_vector(2**14)
    for bits in range(1, 9):
        words = LowBit(2**14, bits, float(np.linalg.norm(vector)), 1, 1, SEED, 1.0).encode(vector, 1)
        assert words.dtype == np.uint8
        assert set(words.tolist()) == set(range(2**bits))


@pytest.mark.parametrize("bits", range(1, 9))
def test_everybody_at_the_ends_of_the_range_does_not_wrap(bits: int):
    # With the narrowest range nearly all coordinates are clipped to an end of it.
    low_bit = LowBit(64, bits, 1.0, 7, 3, SEED, 2.0**-6)
    vector = np.ones(64) * 1e100
    words = [low_bit.encode(vector, 3) for _ in range(7)]
    unreduced = [sum(column) for column in zip(*(word.tolist() for word in words), strict=True)]
    assert 7 * low_bit.levels in unreduced
    assert max(unreduced) < 2**low_bit.modulus_bits


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
@pytest.mark.parametrize("kind", ["gaussian", "heavy-tailed", "spike"])
def test_the_mean_is_unbiased_with_a_wide_range(bits: int, kind: str):
    """False-positive rate at most 64 * 1e-9 a case: Hoeffding for each coordinate over independent rounds.

    The words are random; the rotation is the same in all rounds, so that nothing is averaged but the rounding. An error
    of one coordinate of the vector is 64**-0.5 times a signed sum of 64 independent errors, each in a range of a step.
    Finds a bias of a third of a step.
    """
    dimension, rounds = 64, 500
    vector = {
        "gaussian": some_vector(dimension),
        "heavy-tailed": np.random.default_rng(2).standard_t(1.5, size=dimension),
        "spike": np.eye(1, dimension, 5)[0],
    }[kind]
    norm = float(np.linalg.norm(vector))
    low_bit = LowBit(dimension, bits, norm, 1, 1, SEED, unbiased_range_factor(dimension, 1))
    step = 2 * low_bit.quantizer.clip / low_bit.levels
    mean = sum(low_bit.decode(low_bit.encode(vector, 1), 1)[0] for _ in range(rounds)) / rounds
    assert np.abs(mean - vector).max() < step * math.sqrt(math.log(2 / 1e-9) / (2 * rounds))


def test_with_the_best_range_the_bias_is_towards_zero_and_no_larger_than_the_formula_says():
    """False-positive rate below 1e-9: vector and rotation are fixed, and 4 % off; rounding moves that by 0.05 %."""
    dimension, rounds = 4096, 50
    vector = some_vector(dimension)
    low_bit = LowBit(dimension, 2, float(np.linalg.norm(vector)), 1, 1, SEED)
    mean = sum(low_bit.decode(low_bit.encode(vector, 1), 1)[0] for _ in range(rounds)) / rounds
    shrunk = float(mean @ vector / (vector @ vector))
    # Of a normal coordinate, clipping to the range keeps erf(range / sqrt 2) of the component along itself.
    assert shrunk == pytest.approx(math.erf(low_bit.range_factor / math.sqrt(2)), abs=0.02)
    clipped = expected_squared_error(low_bit.range_factor, 2**60, 2**32)
    rounding = (expected_squared_error(low_bit.range_factor, low_bit.levels, 1) - clipped) / rounds
    assert ((mean - vector) ** 2).sum() / (vector**2).sum() == pytest.approx(clipped + rounding, rel=0.15)


@pytest.mark.parametrize("factor", [None, "unbiased"])
@pytest.mark.parametrize("bits", range(1, 9))
def test_the_error_is_what_the_formula_says(bits: int, factor: str | None):
    """False-positive rate below 1e-9 a case: vector and rotation are fixed and within 10 % of normal coordinates; what
    is left is rounding, with a relative standard deviation of 1 % over 2**15 coordinates.
    """
    dimension, survivors = 2**15, 3
    vector = some_vector(dimension, bits)
    chosen = None if factor is None else unbiased_range_factor(dimension, survivors)
    low_bit = LowBit(dimension, bits, float(np.linalg.norm(vector)), survivors, 1, SEED, chosen)
    expected = expected_squared_error(low_bit.range_factor, low_bit.levels, survivors)
    assert squared_error(low_bit, vector, survivors) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("kind", ["gaussian", "heavy-tailed"])
def test_every_bit_makes_the_error_smaller(kind: str):
    """False-positive rate below 1e-9: each bit leaves 0.46 of it on average, with a standard deviation below 0.01."""
    dimension, survivors = 2**12, 4
    vector = {
        "gaussian": some_vector(dimension),
        "heavy-tailed": np.random.default_rng(2).standard_t(2, size=dimension),
    }[kind]
    norm = float(np.linalg.norm(vector))
    for factor in (None, unbiased_range_factor(dimension, survivors)):
        errors = [
            squared_error(LowBit(dimension, bits, norm, survivors, 1, SEED, factor), vector, survivors)
            for bits in range(1, 9)
        ]
        assert all(more < 0.6 * fewer for fewer, more in pairwise(errors))


@pytest.mark.parametrize("bits", range(1, 9))
def test_a_spike_costs_no_more_than_the_worst_place_between_two_levels(bits: int):
    """False-positive rate below 1e-9: 4096 roundings' squares vary by 2 % at most; a variance is a step**2 / 4 at most.

    All rotated coordinates of a spike have one magnitude, so its error is not that of normal coordinates: it depends on
    where that magnitude lies on the grid.
    """
    dimension, survivors = 2**12, 4
    spike = np.eye(1, dimension, 5)[0]
    factor = unbiased_range_factor(dimension, survivors)
    low_bit = LowBit(dimension, bits, 1.0, survivors, 1, SEED, factor)
    worst = (2 * factor / low_bit.levels) ** 2 / 4 / survivors
    assert squared_error(low_bit, spike, survivors) < 1.15 * worst


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_rotation_is_worth_bits_for_a_heavy_tailed_vector(bits: int):
    """False-positive rate below 1e-9: the errors differ by a factor of 25 at least, with a standard deviation of 1."""
    dimension, survivors = 2**12, 4
    vector = np.random.default_rng(2).standard_t(2, size=dimension)
    low_bit = LowBit(
        dimension,
        bits,
        float(np.linalg.norm(vector)),
        survivors,
        1,
        SEED,
        unbiased_range_factor(dimension, survivors),
    )
    plain = Quantizer(float(np.abs(vector).max()), low_bit.modulus_bits, survivors, 1)
    mean, _ = plain.decode(sum(plain.encode(vector, 1).astype(np.uint64) for _ in range(survivors)), survivors)
    without = float(((mean - vector) ** 2).sum() / (vector**2).sum())
    assert 10 * squared_error(low_bit, vector, survivors) < without


@pytest.mark.parametrize("levels", [1, 2, 3, 5, 15, 16, 31, 255])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.5, 4.0])
def test_the_formula_is_the_integral(levels: int, factor: float):
    grid = np.linspace(-factor, factor, levels + 1)
    points = np.concatenate([np.linspace(low, high, 200)[:-1] for low, high in pairwise(grid)])
    fraction = (points + factor) / (2 * factor / levels) % 1
    variance = integrate.trapezoid(
        np.append(fraction * (1 - fraction) * (2 * factor / levels) ** 2 * stats.norm.pdf(points), 0),
        np.append(points, factor),
    )
    clipped = 2 * integrate.quad(lambda z: (z - factor) ** 2 * stats.norm.pdf(z), factor, 40)[0]
    for survivors in (1, 7):
        expected = variance / survivors + clipped
        assert expected_squared_error(factor, levels, survivors) == pytest.approx(expected, rel=1e-3)


def test_the_best_range_is_the_best():
    for levels in (1, 3, 7, 15, 255):
        for survivors in (1, 100, 10**6):
            best = best_range_factor(levels, survivors=survivors)
            least = expected_squared_error(best, levels, survivors)
            errors = [expected_squared_error(step / 16, levels, survivors) for step in range(1, 300)]
            assert min(errors) == least == errors[int(16 * best) - 1]
            finer = min(expected_squared_error(float(f), levels, survivors) for f in np.arange(0.02, 9, 0.02))
            assert finer > 0.98 * least
    # Where the search ends, at 12, is beyond the best of any parameters.
    assert best_range_factor(511, survivors=2**32) < 9


def test_more_clients_want_a_wider_range():
    factors = [best_range_factor(15, survivors=clients) for clients in (1, 10, 100, 1000, 2**32)]
    assert factors == sorted(factors)
    assert len(set(factors)) == len(factors)


def test_figures_that_the_literature_knows():
    """Deterministic rounding errs less and is biased; one unbiased bit costs the squared range, less 1."""
    # No one-bit code for a normal coordinate is below 1 - 2 / pi (Max 1960, table I); rounding at random costs more.
    assert 1 - 2 / math.pi < expected_squared_error(best_range_factor(1, survivors=1), 1, 1) < 0.46
    # Max 1960, table II: the best uniform deterministic quantisers of 4, 8 and 16 points.
    for bits, uniform in ((2, 0.1188), (3, 0.03744), (4, 0.01154)):
        levels = 2**bits - 1
        assert uniform < expected_squared_error(best_range_factor(levels, survivors=1), levels, 1) < 2 * uniform
    assert expected_squared_error(5.0, 1, 1) == pytest.approx(24, rel=1e-4)


@pytest.mark.parametrize("dimension", [64, 65, 100, 128])
def test_the_range_is_in_standard_deviations_of_the_padded_vectors_coordinates(dimension: int):
    low_bit = LowBit(dimension, 4, 3.0, 1, 1, SEED, 2.5)
    assert low_bit.quantizer.clip == pytest.approx(2.5 * 3 / math.sqrt(64 if dimension == 64 else 128), rel=1e-12)
    assert low_bit.vector_length == (64 if dimension == 64 else 128) + 1


def test_nothing_is_clipped_in_the_wide_range():
    """False-positive rate at most 30 * 1e-6, by what is tested."""
    vector = np.random.default_rng(3).standard_cauchy(1000)
    norm = float(np.linalg.norm(vector))
    for seed in range(30):
        low_bit = LowBit(1000, 4, norm, 1, 1, seed.to_bytes(32, "big"), unbiased_range_factor(1000, 1))
        assert low_bit.quantizer.clipped_count(low_bit.rotation.forward(vector)) == 0


def test_the_wide_range_is_hoeffdings_and_never_wider_than_the_norm():
    # 2 n exp(-t**2 / 2) clients = p.
    factor = unbiased_range_factor(1000, 7, 1e-3)
    assert 2 * 1024 * 7 * math.exp(-factor * factor / 2) == pytest.approx(1e-3, rel=1e-6)
    assert unbiased_range_factor(3, 7, 1e-3) == pytest.approx(2, rel=1e-8)
    assert unbiased_range_factor(3, 7, 1e-3) > 2
    assert unbiased_range_factor(2**32, 2**32, 5e-324) < 50


def test_a_longer_vector_is_scaled_to_the_clip_norm():
    vector = some_vector(100)
    vector /= np.linalg.norm(vector)
    low_bit = LowBit(100, 8, 0.5, 1, 1, SEED, unbiased_range_factor(100, 1))
    bound = low_bit.quantizer.error_bound(1, 1) * math.sqrt(128)
    for scale in (0.5, 1.0, 1e9, 1e150):
        mean, _ = low_bit.decode(low_bit.encode(vector * scale, 1), 1)
        assert np.linalg.norm(mean - 0.5 * vector) < bound
    mean, _ = low_bit.decode(low_bit.encode(vector * 0.1, 1), 1)
    assert np.linalg.norm(mean - 0.1 * vector) < bound


def test_the_vector_is_left_alone():
    vector = some_vector(100)
    kept = vector.copy()
    LowBit(**PARAMETERS).encode(vector, 1)
    assert np.array_equal(vector, kept)


@pytest.mark.parametrize("clip", [2.0**-400, 2.0**400])
def test_the_ends_of_the_clip_norms_range_work(clip: float):
    for dimension in (1, 5):
        for vector in (np.full(dimension, clip / 2), np.zeros(dimension), np.full(dimension, 5e-324)):
            low_bit = LowBit(dimension, 8, clip, 3, 1, SEED, unbiased_range_factor(dimension, 3))
            mean, _ = low_bit.decode(low_bit.encode(vector, 1), 1)
            assert np.abs(mean - vector).max() <= 0.5 * clip


def test_a_client_of_weight_zero_sends_only_zeros():
    assert not LowBit(**PARAMETERS).encode(some_vector(100), 0).any()


def test_client_and_server_of_one_setting_agree_and_the_digest_tells_others_apart():
    assert LowBit(**PARAMETERS) == LowBit(**PARAMETERS)
    assert LowBit(**PARAMETERS).digest == LowBit(**PARAMETERS).digest
    others = [
        {"dimension": 101},
        {"bits": 5},
        {"clip_norm": 2},
        {"clients": 11},
        {"weight_cap": 51},
        {"seed": bytes(32)},
        {"range_factor": 3.03125},
    ]
    digests = {LowBit(**(PARAMETERS | change)).digest for change in [{}, *others]}
    assert len(digests) == len(others) + 1
    assert all(len(digest) == 32 for digest in digests)
    # The default is a number like any other.
    chosen = LowBit(**PARAMETERS).range_factor
    assert LowBit(**PARAMETERS, range_factor=chosen).digest == LowBit(**PARAMETERS).digest


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(99),
        np.zeros((100, 1)),
        np.zeros(100, np.float32),
        [0.0] * 100,
        np.full(100, np.nan),
        np.append(np.zeros(99), np.inf),
        np.full(100, 1e200),
    ],
    ids=["short", "matrix", "float32", "list", "nan", "inf", "huge"],
)
def test_an_unusable_vector_is_refused(vector: Any):
    with pytest.raises(InvalidInputError, match="vector"):
        LowBit(**PARAMETERS).encode(vector, 1)


@pytest.mark.parametrize("weight", [-1, 51, 1.0, True, None], ids=repr)
def test_a_weight_out_of_range_is_refused(weight: Any):
    with pytest.raises(InvalidInputError, match="weight"):
        LowBit(**PARAMETERS).encode(np.zeros(100), weight)


def test_a_sum_that_cannot_be_one_is_refused():
    low_bit = LowBit(**PARAMETERS)
    total = low_bit.encode(np.zeros(100), 1)
    low_bit.decode(total, 1)
    with pytest.raises(InvalidInputError, match=r"shape \(99,\)"):
        low_bit.decode(total[:99], 1)
    with pytest.raises(InvalidInputError, match="another type"):
        low_bit.decode(total.tolist(), 1)
    with pytest.raises(InvalidInputError, match="weight 0"):
        low_bit.decode(np.zeros_like(total), 1)
    with pytest.raises(InvalidParameterError, match="survivors"):
        low_bit.decode(total, 11)


@pytest.mark.parametrize(
    "change",
    [
        {"dimension": 0},
        {"dimension": 4.0},
        {"bits": 0},
        {"bits": 9},
        {"bits": 1.0},
        {"bits": True},
        {"clip_norm": 0.0},
        {"clip_norm": math.nan},
        {"clip_norm": math.inf},
        {"clip_norm": True},
        {"clip_norm": "1"},
        {"clip_norm": 2.0**401},
        {"clip_norm": 2.0**-401},
        {"clients": 0},
        {"clients": 2**32 + 1},
        {"weight_cap": 0},
        {"weight_cap": 2**63},
        {"seed": bytes(31)},
        {"seed": None},
        {"range_factor": 0.0},
        {"range_factor": math.nan},
        {"range_factor": 2.0**17},
        {"range_factor": True},
    ],
    ids=str,
)
def test_a_parameter_out_of_range_is_refused(change: dict[str, Any]):
    LowBit(**PARAMETERS)
    with pytest.raises(InvalidParameterError, match=next(iter(change))):
        LowBit(**(PARAMETERS | change))


def best_factor(levels: Any, survivors: Any) -> float:
    return best_range_factor(levels, survivors=survivors)


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (expected_squared_error, (0.0, 1, 1), "range_factor"),
        (expected_squared_error, (1.0, 0, 1), "levels"),
        (expected_squared_error, (1.0, 1, 0), "survivors"),
        (best_factor, (0, 1), "levels"),
        (best_factor, (512, 1), "levels"),
        (expected_squared_error, (1.0, 2**64 + 1, 1), "levels"),
        (best_factor, (1, 2**33), "survivors"),
        (unbiased_range_factor, (0, 1), "dimension"),
        (unbiased_range_factor, (1, 0), "clients"),
        (unbiased_range_factor, (1, 1, 0.0), "probability"),
        (unbiased_range_factor, (1, 1, 1.0), "probability"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_an_argument_out_of_range_is_refused(function: Any, arguments: tuple[Any, ...], name: str):
    with pytest.raises(InvalidParameterError, match=name):
        function(*arguments)
