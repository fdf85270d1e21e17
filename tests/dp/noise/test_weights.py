"""The weights and thresholds of the noise distributions against mpmath, which shares no code with them."""

import math
from fractions import Fraction
from itertools import pairwise

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

from dp.noise.table import THRESHOLD_BITS, thresholds_of
from dp.noise.weights import exp_minus, gaussian_weights, skellam_weights
from tests.kit.noise_oracle import AWKWARD, TINY, gaussian_pmf, real, skellam_pmf

narrow = pytest.mark.parametrize(
    "variance", [Fraction(1, 2**80), TINY, Fraction(1, 4), Fraction(1), AWKWARD, Fraction(100)], ids=str
)


@pytest.fixture(autouse=True)
def precision():
    with mpmath.workprec(700):
        yield


KINDS = {"gaussian": (gaussian_weights, gaussian_pmf), "skellam": (skellam_weights, skellam_pmf)}
each_kind = pytest.mark.parametrize("kind", KINDS)


def total_of(weights: list[int]) -> int:
    return 2 * sum(weights) - weights[0]


def check_weight(kind: str, weights: list[int], total: int, variance: Fraction, k: int) -> None:
    found, exact = mp.mpf(weights[k]) / total, KINDS[kind][1](variance, k)
    assert abs(found - exact) < mp.mpf(2) ** -180
    assert abs(found / exact - 1) < mp.mpf(2) ** -40


@pytest.mark.slow
@given(exponent=st.fractions(0, 400, max_denominator=10**12), bits=st.integers(1, 400))
@settings(deadline=None, max_examples=300)
def test_exp_minus_is_right_to_two_units(exponent: Fraction, bits: int):
    with mpmath.workprec(1200):
        exact = mp.exp(-real(exponent)) * 2**bits
        assert abs(exp_minus(exponent, bits) - exact) < 2


@pytest.mark.parametrize(
    "exponent", [Fraction(0), Fraction(1, 2**200), Fraction(2**60), Fraction(1, 255), Fraction(1, 257)]
)
def test_exp_minus_at_its_borders(exponent: Fraction):
    with mpmath.workprec(1200):
        assert abs(exp_minus(exponent, 160) - mp.exp(-real(exponent)) * 2**160) < 2


@each_kind
@narrow
def test_all_weights_are_the_distribution(kind: str, variance: Fraction):
    make, pmf = KINDS[kind]
    weights = make(variance)
    total = total_of(weights)
    assert all(abs(mp.mpf(weight) / total - pmf(variance, k)) < mp.mpf(2) ** -180 for k, weight in enumerate(weights))


@each_kind
@pytest.mark.parametrize("variance", [Fraction(1), AWKWARD, Fraction(10**4), Fraction(10**6) + Fraction(1, 3)], ids=str)
@pytest.mark.parametrize("deviations", [0, 1, 5, 10, 11, 12, 13, 14])
def test_weights_are_right_and_far_tails_relative_to_themselves_too(kind: str, variance: Fraction, deviations: int):
    weights = KINDS[kind][0](variance)
    check_weight(kind, weights, total_of(weights), variance, round(deviations * float(variance) ** 0.5))


@pytest.mark.slow
@each_kind
def test_the_widest_table_is_right(kind: str):
    variance = Fraction(10**8)
    weights = KINDS[kind][0](variance)
    total = total_of(weights)
    for k in [0, 1, 2, 9999, 10000, 54321, 100000, 120001, 140000]:
        check_weight(kind, weights, total, variance, k)


@pytest.mark.parametrize("k", [0, 1, 17, 1000])
def test_the_two_oracles_for_bessel_functions_agree(k: int):
    variance = Fraction(10**5)
    series = mp.exp(-(10**5)) * mp.besseli(k, 10**5)
    assert abs(skellam_pmf(variance, k) / series - 1) < mp.mpf(2) ** -200


@pytest.mark.parametrize("variance", [TINY, Fraction(1), AWKWARD, Fraction(10**4), Fraction(10**8) - TINY], ids=str)
def test_each_gaussian_weight_is_within_its_bound(variance: Fraction):
    for k, weight in list(enumerate(gaussian_weights(variance)))[:: math.ceil(variance / 10**5)]:
        exact = mp.exp(-(mp.mpf(k) ** 2) / (2 * real(variance))) * mp.mpf(2) ** 384
        assert abs(weight - exact) < 3 * (k + 1) ** 2


@each_kind
@pytest.mark.parametrize("variance", [TINY, Fraction(1), AWKWARD, Fraction(10**4)], ids=str)
def test_what_is_left_out_is_less_than_promised(kind: str, variance: Fraction):
    make, pmf = KINDS[kind]
    last = len(make(variance)) - 1
    # Beyond the last both tails fall at least as fast as a geometric series of this ratio.
    first, ratio = pmf(variance, last + 1), pmf(variance, last + 2) / pmf(variance, last + 1)
    assert 2 * first / (1 - ratio) < mp.mpf(2) ** -199


@each_kind
@pytest.mark.parametrize("variance", [TINY, Fraction(1, 4), Fraction(1), AWKWARD, Fraction(100)], ids=str)
def test_thresholds_are_the_rounded_distribution_function(kind: str, variance: Fraction):
    make, pmf = KINDS[kind]
    weights = make(variance)
    thresholds = thresholds_of([weights[0], *(2 * weight for weight in weights[1:])])
    assert thresholds
    unit = mp.mpf(2) ** THRESHOLD_BITS
    cumulative = mp.mpf(0)
    for k, threshold in enumerate([*thresholds, 2**THRESHOLD_BITS]):
        cumulative += pmf(variance, k) * (2 if k else 1)
        assert abs(threshold - cumulative * unit) < 0.5001


@given(weights=st.lists(st.integers(0, 2**70), min_size=1, max_size=40).filter(any))
def test_thresholds_are_monotone_and_end_at_all(weights: list[int]):
    thresholds = thresholds_of(weights)
    assert thresholds == sorted(thresholds)
    assert all(0 <= threshold < 2**THRESHOLD_BITS for threshold in thresholds)
    ends = [*thresholds, *[2**THRESHOLD_BITS] * (len(weights) - len(thresholds))]
    for k, end in enumerate(ends):
        assert abs(end - Fraction(sum(weights[: k + 1]) * 2**THRESHOLD_BITS, sum(weights))) <= Fraction(1, 2)


@each_kind
@pytest.mark.parametrize("variance", [Fraction(10**4), Fraction(10**6)], ids=str)
def test_thresholds_of_real_tables_rise_strictly(kind: str, variance: Fraction):
    weights = KINDS[kind][0](variance)
    thresholds = thresholds_of([weights[0], *(2 * weight for weight in weights[1:])])
    sigma = float(variance) ** 0.5
    # From half of 2**-160 on nothing is left of the tail, and that is where the table ends: 14.6 sigma.
    assert 14.5 * sigma < len(thresholds) < 14.8 * sigma
    body = thresholds[: int(14 * sigma)]
    assert all(a < b for a, b in pairwise(body))
