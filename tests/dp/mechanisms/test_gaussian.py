"""The Gaussian mechanism for real vectors: what it accounts for, what rounding can do, its distribution, refusals.

Tests of distributions use fixed seeds and the quantile that a right mechanism exceeds with probability 10**-6.
"""

import ast
import hashlib
import math
import pickle
import secrets
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dp.accounting.accountant import RdpAccountant
from dp.accounting.calibration import calibrate
from dp.errors import InvalidParameterError
from dp.events import DiscreteGaussian, Gaussian, PoissonSampled
from dp.mechanisms import adaptive_clipping, clipping, float_vectors, lattice
from dp.mechanisms import gaussian as gaussian_mechanism
from dp.mechanisms.gaussian import GaussianMechanism
from dp.mechanisms.lattice import from_lattice
from dp.noise.keystream import Keystream
from dp.vocabulary import Relation, Unit
from tests.kit.gaussian_releases import ALWAYS_UP, SEED, mechanism, noise_of, rounded
from tests.kit.noise_oracle import words_of

SECRET = 1234.5678
FALSE_POSITIVE = 1e-6
ORDERS = [1.5, 2.0, 8.0, 64.0, 1000.0]

each_relation = pytest.mark.parametrize("relation", Relation)
dimensions = st.integers(1, 10**6) | st.sampled_from([2**30, 2**40])


# --- What is accounted for ---


@given(
    sensitivity=st.floats(2.0**-500, 2.0**500),
    # Small, so that it fits every dimension and price.
    multiplier=st.floats(1e-6, 1e-4),
    dimension=dimensions,
    price=st.floats(2.0**-30, 1.0),
    relation=st.sampled_from(Relation),
    unit=st.sampled_from(Unit),
)
@settings(deadline=None)
def test_the_event_is_what_is_done_and_has_the_curve_of_the_multiplier(
    sensitivity: float, multiplier: float, dimension: int, price: float, relation: Relation, unit: Unit
):
    ours = mechanism(sensitivity, multiplier, dimension, relation, unit, max_price=price)
    assert ours.event == DiscreteGaussian(ours.variance, ours.squared_sensitivity, relation, unit)
    assert type(ours.variance) is Fraction
    assert type(ours.squared_sensitivity) is int
    assert ours.variance == Fraction(multiplier) ** 2 * ours.squared_sensitivity
    # The lattice: a power of two, the largest one within the price.
    assert math.frexp(ours.spacing)[0] == 0.5
    with mpmath.workprec(300):
        for spacing, within in ((ours.spacing, True), (2 * ours.spacing, False)):
            on_lattice = mpmath.mpf(sensitivity) / spacing
            squared = mpmath.ceil((on_lattice + 2 * mpmath.sqrt(dimension)) ** 2)
            assert (squared / on_lattice**2 - 1 <= price * (1 + 1e-12)) == within
        on_lattice = mpmath.mpf(sensitivity) / ours.spacing
        bound = (on_lattice + 2 * mpmath.sqrt(dimension)) ** 2
        assert bound <= ours.squared_sensitivity <= mpmath.ceil(bound * (1 + mpmath.mpf(2) ** -52))
        paid = ours.variance.numerator * mpmath.mpf(ours.spacing) ** 2 / ours.variance.denominator
        continuous = (mpmath.mpf(multiplier) * sensitivity) ** 2
        assert 0 < paid / continuous - 1 <= price
        assert ours.price == pytest.approx(float(paid / continuous - 1), rel=1e-12)


@each_relation
@pytest.mark.parametrize("dimension", [1, 1000, 10**6, 2**30])
@pytest.mark.parametrize("multiplier", [0.3, 1.0, 3.9])
def test_at_the_default_lattice_nothing_is_lost(relation: Relation, dimension: int, multiplier: float):
    ours = mechanism(0.1, multiplier, dimension, relation)
    on_lattice = RdpAccountant().compose(ours.event).rdp(ORDERS)
    continuous = RdpAccountant().compose(Gaussian(multiplier, relation)).rdp(ORDERS)
    assert on_lattice == pytest.approx(continuous, rel=1e-14)
    assert 0 < ours.price <= 1e-6


def test_epsilon_is_that_of_the_event_and_never_below_the_continuous_one():
    ours = mechanism(1.0, 1.1, 1000)
    for delta in (1e-5, 1e-9):
        sampled = RdpAccountant().compose(PoissonSampled(0.01, ours.event), 1000).epsilon(delta).value
        continuous = RdpAccountant().compose(PoissonSampled(0.01, Gaussian(1.1)), 1000).epsilon(delta).value
        assert continuous * (1 - 1e-9) <= sampled < math.inf
        alone = RdpAccountant().compose(ours.event).epsilon(delta).value
        assert RdpAccountant().compose(Gaussian(1.1)).epsilon(delta).value <= alone < math.inf


def test_it_can_be_calibrated_by_its_event():
    multiplier = calibrate(lambda z: mechanism(1.0, z, 1000).event, 1.0, 1e-6, least=0.1, most=1000.0)
    assert RdpAccountant().compose(mechanism(2.0, multiplier, 1000).event).epsilon(1e-6).value <= 1.0


@each_relation
def test_the_clip_norm_follows_from_the_relation(relation: Relation):
    assert mechanism(3.0, relation=relation).clip_norm == (1.5 if relation is Relation.REPLACE_ONE else 3.0)


# --- What comes out ---


def test_the_noise_is_as_large_as_the_event_says():
    size = 200_000
    for relation, sensitivity, multiplier in ((Relation.ADD_REMOVE, 3.0, 2.0), (Relation.REPLACE_ONE, 0.01, 0.5)):
        ours = mechanism(sensitivity, multiplier, size, relation)
        values = np.random.default_rng(5).standard_normal(size) * sensitivity
        released = ours._release(values, noise_of(ours), Keystream(SEED))
        statistic = ((released - values) ** 2).sum() / (multiplier * sensitivity) ** 2
        # The price and the variance of rounding are a millionth, and a deviation is three thousandths.
        low, high = stats.chi2.ppf([FALSE_POSITIVE / 2, 1 - FALSE_POSITIVE / 2], size)
        assert low < statistic < high
        normal = stats.norm.cdf((released - values) / (multiplier * sensitivity))
        assert stats.kstest(normal, "uniform").pvalue > FALSE_POSITIVE


def test_what_is_released_is_the_input_the_rounding_and_the_noise():
    for price in (1e-6, 1.0):
        ours = mechanism(1.0, 2.0, 20_000, max_price=price)
        values = np.random.default_rng(6).standard_normal(20_000)
        steps = rounded(ours, values, Keystream(SEED)) + noise_of(ours)
        released = ours._release(values, noise_of(ours), Keystream(SEED))
        assert released.dtype == np.float64
        assert (released / ours.spacing).tolist() == steps.tolist()


@pytest.mark.parametrize("price", [1e-6, 1.0])
def test_rounding_is_the_references(price: float):
    """Once more with fractions, and with words out of single AES blocks."""
    ours = mechanism(0.3, 0.7, 9000, max_price=price)
    values = np.random.default_rng(8).standard_normal(9000)
    expected = []
    for entry, word in zip(values.tolist(), words_of(SEED), strict=False):
        exact = Fraction(entry) / Fraction(ours.spacing)
        down = math.floor(exact)
        expected.append(down + (Fraction(word >> 11, 2**53) < exact - down))
    assert rounded(ours, values, Keystream(SEED)).tolist() == expected


VECTORS = [
    ((1.0, 1.0, 1000), 1e-6, "03faa906f370ea74e22e2735c7732120"),
    ((0.3, 0.7, 1000), 1e-2, "af8fbf4e08c4901f152faac6f4e475e1"),
    ((1e-3, 40.0, 1000), 1.0, "4cb6339e2956437bccaf07a51d451a01"),
]


@pytest.mark.parametrize(("figures", "price", "digest"), VECTORS, ids=str)
def test_known_answers(figures: Any, price: float, digest: str):
    """Bytes that must not change without a word."""
    ours = mechanism(*figures, max_price=price)
    values = np.arange(1000) * figures[0] / 777
    released = ours._release(values, noise_of(ours), Keystream(bytes(32)))
    assert hashlib.sha256(released.astype("<f8").tobytes()).hexdigest()[:32] == digest


def test_all_randomness_is_seeds_of_the_system(monkeypatch: pytest.MonkeyPatch):
    ours = mechanism(1.0, 1.0, 100)
    values = np.linspace(-1, 1, 100)
    for release, inner, given_ in (
        (ours.release, ours._release, values),
        (ours.release_sum, ours._release_sum, [values, values]),
    ):
        seeds = iter([SEED, bytes(32)])
        monkeypatch.setattr(secrets, "token_bytes", lambda size, seeds=seeds: next(seeds)[:size])
        assert np.array_equal(release(given_), inner(given_, noise_of(ours), Keystream(bytes(32))))
        assert next(seeds, None) is None


def test_two_releases_differ():
    ours = mechanism(1.0, 1.0, 100)
    assert not np.array_equal(ours.release(np.zeros(100)), ours.release(np.zeros(100)))
    assert not np.array_equal(ours.release_sum([]), ours.release_sum([]))


def test_an_empty_sum_looks_like_any_other():
    ours = mechanism(1.0, 1.0, 100)
    released = ours._release_sum([], noise_of(ours), ALWAYS_UP)
    assert np.array_equal(released, noise_of(ours) * ours.spacing)


def test_the_input_is_left_as_it_is():
    ours = mechanism(1.0, 1.0, 100)
    values = np.linspace(-5, 5, 100)
    kept = values.copy()
    released = ours.release(values)
    ours.release_sum([values])
    assert np.array_equal(values, kept)
    assert released.flags.writeable
    assert not np.shares_memory(released, values)


def test_other_dtypes_are_the_same_numbers():
    ours = mechanism(100.0, 1.0, 3)
    expected = rounded(ours, np.array([1.0, -2.0, 3.0]), Keystream(SEED))
    for dtype in (np.float16, np.float32, ">f4", np.int8, np.uint16):
        vector = np.array([1, 2**16 - 2 if dtype is np.uint16 else -2, 3]).astype(dtype)
        if dtype is np.uint16:
            expected = rounded(ours, np.array([1.0, 2.0**16 - 2, 3.0]), Keystream(SEED))
        assert np.array_equal(rounded(ours, vector, Keystream(SEED)), expected)


@given(step=st.integers(-(2**53), 2**53), exponent=st.integers(-540, 440))
def test_multiples_become_floats_exactly(step: int, exponent: int):
    spacing = math.ldexp(1.0, exponent)
    assert Fraction(float(from_lattice(np.array([step]), spacing)[0])) == step * Fraction(spacing)


def test_beyond_2_to_the_53_what_is_released_depends_on_the_multiple_alone():
    assert from_lattice(np.array([2**53 + 1, 2**61 + 1]), 0.5).tolist() == [2.0**52, 2.0**60]


# --- Refusals ---


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(2),
        np.zeros(4),
        np.zeros((1, 3)),
        np.zeros((3, 1)),
        np.array([]),
        np.array(0.0),
        np.zeros(3, bool),
        np.zeros(3, complex),
        np.zeros(3, np.longdouble),
        np.array([SECRET, 0, 0], object),
        np.array([SECRET, math.nan, 0]),
        np.array([SECRET, math.inf, 0]),
        np.array([SECRET, -math.inf, 0], np.float16),
        [SECRET, 0.0, 0.0],
        None,
    ],
    ids=lambda vector: f"{type(vector).__name__}-{getattr(vector, 'dtype', '')}-{getattr(vector, 'shape', '')}",
)
def test_other_vectors_are_refused(vector: Any):
    for release, parameter in (
        (lambda: mechanism().release(vector), "vector"),
        (lambda: mechanism().release_sum([np.zeros(3), vector]), "vectors[1]"),
    ):
        with pytest.raises(InvalidParameterError) as error:
            release()
        assert error.value.parameter == parameter
        assert "1234" not in str(error.value)
        assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


@pytest.mark.parametrize("vectors", [None, 1, np.zeros(3), np.zeros((3, 2)), np.zeros((2, 3, 1)), "abc"], ids=repr)
def test_other_collections_are_refused(vectors: Any):
    with pytest.raises(InvalidParameterError, match="^vectors"):
        mechanism().release_sum(vectors)


def test_a_value_out_of_range_is_refused_and_not_clamped():
    for spread in (1.0, 2.0**-500, 2.0**500):
        ours = mechanism(spread)
        largest = ours.largest_value
        assert largest > 1e6 * spread
        assert rounded(ours, np.array([largest, -largest, 0.0]), ALWAYS_UP).tolist() == [2**61, -(2**61), 0]
        for sign in (1, -1):
            beyond = np.array([0.0, 0.0, sign * math.nextafter(largest, math.inf)])
            with pytest.raises(InvalidParameterError, match="too large") as error:
                ours.release(beyond)
            assert error.value.parameter == "vector"
    # A clipped vector is never too large.
    mechanism(2.0**500).release_sum([np.full(3, 1e308)])


def test_a_sum_of_more_vectors_than_integers_hold_is_refused(monkeypatch: pytest.MonkeyPatch):
    assert mechanism(dimension=10**9).largest_count > 10**6
    assert mechanism(dimension=2**40, multiplier=1e-5, max_price=2.0**-30).largest_count > 100
    assert all(
        ours.largest_count * (Fraction(ours.clip_norm) / Fraction(ours.spacing) + 1) <= 2**61
        for ours in (mechanism(), mechanism(0.3, dimension=10**6), mechanism(max_price=1.0))
    )
    monkeypatch.setattr(gaussian_mechanism, "LARGEST_ROUNDED", 2 * math.ceil(1.0 / mechanism().spacing) + 2)
    assert mechanism().largest_count == 2
    mechanism().release_sum(np.zeros((2, 3)))

    def rows() -> Iterator[np.ndarray]:
        yield from np.zeros((3, 3))
        raise AssertionError("more was taken than is needed to refuse")

    with pytest.raises(InvalidParameterError, match="at most 2"):
        mechanism().release_sum(rows())


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"l2_sensitivity": 0.0}, "l2_sensitivity"),
        ({"l2_sensitivity": -1.0}, "l2_sensitivity"),
        ({"l2_sensitivity": math.nan}, "l2_sensitivity"),
        ({"l2_sensitivity": math.inf}, "l2_sensitivity"),
        ({"l2_sensitivity": 2.0**501}, "l2_sensitivity"),
        ({"l2_sensitivity": "1"}, "l2_sensitivity"),
        ({"noise_multiplier": 0.0}, "noise_multiplier"),
        ({"noise_multiplier": -1.0}, "noise_multiplier"),
        ({"noise_multiplier": math.nan}, "noise_multiplier"),
        ({"noise_multiplier": math.inf}, "noise_multiplier"),
        ({"noise_multiplier": 1e300}, "noise_multiplier"),
        ({"noise_multiplier": 1e-300}, "noise_multiplier"),
        ({"noise_multiplier": True}, "noise_multiplier"),
        ({"dimension": 0}, "dimension"),
        ({"dimension": 3.0}, "dimension"),
        ({"dimension": 2**40 + 1}, "dimension"),
        ({"relation": "add-remove"}, "relation"),
        ({"unit": "example"}, "unit"),
        ({"max_price": 0.0}, "max_price"),
        ({"max_price": math.nan}, "max_price"),
        ({"max_price": 1.1}, "max_price"),
    ],
    ids=str,
)
def test_other_parameters_are_refused(fields: dict[str, Any], parameter: str):
    good = {
        "l2_sensitivity": 1.0,
        "noise_multiplier": 1.0,
        "dimension": 3,
        "relation": Relation.ZERO_OUT,
        "unit": Unit.CLIENT,
    }
    with pytest.raises(InvalidParameterError) as error:
        GaussianMechanism(**(good | fields))
    assert error.value.parameter == parameter


def test_a_large_multiplier_has_room_at_a_higher_price():
    with pytest.raises(InvalidParameterError, match="a larger max_price allows more"):
        mechanism(1.0, 1000.0, 10**6)
    assert mechanism(1.0, 1000.0, 10**6, max_price=1e-5).price <= 1e-5


def test_it_is_frozen_and_compares_and_survives_pickling():
    ours = mechanism(1, Fraction(3, 2), np.int64(5))
    assert ours == mechanism(1.0, 1.5, 5)
    assert hash(ours) == hash(mechanism(1.0, 1.5, 5))
    assert pickle.loads(pickle.dumps(ours)) == ours
    with pytest.raises(FrozenInstanceError):
        ours.variance = Fraction(1)  # type: ignore[misc]


@pytest.mark.parametrize("module", [adaptive_clipping, clipping, float_vectors, gaussian_mechanism, lattice])
def test_no_generator_of_floats_is_in_reach(module: Any):
    """Neither `random` nor any of numpy's generators is named in the code."""
    tree = ast.parse(Path(module.__file__).read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {part for alias in node.names for part in alias.name.split(".")}
            names |= set((getattr(node, "module", None) or "").split("."))
    assert not names & {"random", "RandomState", "default_rng", "Generator", "urandom", "SystemRandom", "scipy"}
