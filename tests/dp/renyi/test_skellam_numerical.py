"""Numerical Renyi divergences of Skellam noise: never below the true ones, and hardly above."""

import math
from fractions import Fraction
from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp.errors import InvalidParameterError
from dp.events import Skellam
from dp.renyi import skellam_numerical as divergence
from dp.renyi.distributed import skellam_rdp
from dp.renyi.skellam_numerical import numerical_skellam_rdp
from tests.kit import skellam_oracle as oracle

TIGHT = 2e-11
"""What results are raised by, and some rounding."""

VARIANCES = [Fraction(1, 2**20), Fraction(1, 1000), Fraction(1, 3), Fraction(2), Fraction(17, 2), Fraction(100)]
POINTS = [
    *(
        (variance, shift, order)
        for variance in VARIANCES
        for shift in (1, 2, 7, 40)
        for order in (1.02, 1.3, 2, 3.7, 16)
    ),
    *((variance, 1, order) for variance in VARIANCES for order in (100.0, 256.5, 600.0)),
    (Fraction(100), 8, 256.0),
    (Fraction(1000), 3, 2.5),
    (Fraction(1000), 30, 17.25),
    (Fraction(10**4), 1, 1.05),
    (Fraction(10**4), 1, 5.3),
    (Fraction(10**4), 70, 6.0),
]


def fresh(order, variance, shift):
    """As `oracle.package_divergence`, with nothing kept from a call before."""
    divergence._table.cache_clear()
    return oracle.package_divergence(order, variance, shift)


def excess(value, variance, shift, order):
    true = oracle.divergence(order, variance, shift)
    return float((mp.mpf(value) - true) / true)


def rdp(order, event, bound=numerical_skellam_rdp):
    return float(bound(np.array([float(order)]), event)[0])


def test_the_oracle_knows_bessel_functions():
    for variance, x in ((Fraction(1, 3), 60), (Fraction(17, 2), 90), (Fraction(100), 127)):
        with mp.workdps(50):
            true = mp.log(mp.besseli(x, oracle.number(variance))) - oracle.number(variance)
        assert abs(oracle.log_probabilities(variance, 128)[x] / true - 1) < 1e-35


@pytest.mark.parametrize(("variance", "shift", "order"), POINTS)
def test_an_upper_bound_and_a_tight_one(variance, shift, order):
    assert 0 <= excess(oracle.package_divergence(order, variance, shift), variance, shift, order) < TIGHT


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.fractions(Fraction(1, 100), 60, max_denominator=1000),
    st.integers(1, 30),
    st.floats(1 + 2**-6, 30),
)
def test_an_upper_bound_anywhere(variance, shift, order):
    assert 0 <= excess(oracle.package_divergence(order, variance, shift), variance, shift, order) < TIGHT


def test_the_published_bound_is_three_times_too_large_for_little_noise():
    event = Skellam(Fraction(2), 1, 1)
    assert round(oracle.package_divergence(16, 2, 1), 2) == 1.50
    assert round(rdp(16, event, skellam_rdp), 2) == 4.75
    assert rdp(16, event, oracle.least_package_rdp) == rdp(16, event) == oracle.package_divergence(16, 2, 1)


def test_the_window_is_about_the_peak_and_not_about_zero():
    assert round(oracle.package_divergence(256, 100, 8), 2) == 16.34
    narrow = oracle.divergence(256, Fraction(100), 8, window=14 * 10 + 60)
    assert round(float(narrow), 2) == 10.80


@pytest.mark.parametrize("deviations", [0.5, 2.0, 4.0])
@pytest.mark.parametrize(("variance", "shift", "order"), POINTS[::3])
def test_what_a_window_leaves_out_is_bounded(monkeypatch, variance, shift, order, deviations):
    # Any finite bound on the rest is taken, however large, so the windows are as narrow as they were made.
    monkeypatch.setattr(divergence, "_STANDARD_DEVIATIONS", deviations)
    monkeypatch.setattr(divergence, "_LEFT_OUT", 1e300)
    assert excess(fresh(order, variance, shift), variance, shift, order) >= 0


@pytest.mark.parametrize(("variance", "shift", "order"), POINTS[::3])
def test_a_window_that_is_too_narrow_is_made_wider(monkeypatch, variance, shift, order):
    monkeypatch.setattr(divergence, "_STANDARD_DEVIATIONS", 0.5)
    assert 0 <= excess(fresh(order, variance, shift), variance, shift, order) < TIGHT


@pytest.mark.parametrize("near_one", [1e-9, 1.0])
@pytest.mark.parametrize(
    ("variance", "shift", "order"), [(100, 1, 1.3), (10**4, 5, 2.0), (10**4, 1, 20.0), (9, 2, 2.0)]
)
def test_both_ways_to_sum_agree(monkeypatch, variance, shift, order, near_one):
    expected = oracle.package_divergence(order, variance, shift)
    monkeypatch.setattr(divergence, "_NEAR_ONE", near_one)
    # Without taking the 1 out, the digits of S - 1 are those that a double has left.
    assert fresh(order, variance, shift) == pytest.approx(expected, rel=1e-12 + 1e-14 / (expected * (order - 1)))


@pytest.mark.parametrize("variance", ["1/5", "3", "80", "1000"])
def test_the_bounds_on_the_steps_of_log_p(variance):
    mu = oracle.number(variance)
    with mp.workdps(40):
        log_p = oracle.log_probabilities(Fraction(variance), 300)
        for x in range(299):
            step = log_p[x] - log_p[x + 1]
            assert mp.asinh((x + mp.mpf(1) / 2) / mu) <= step <= mp.asinh((x + 1) / mu)


@pytest.mark.parametrize(
    ("variance", "squared", "order"), [(2, 30, 3.5), (70, 401, 2.0), (1, 1000, 40.0), (5000, 65, 9.0)]
)
def test_an_event_costs_the_worst_shift(variance, squared, order):
    rates = [oracle.package_divergence(order, variance, k) / k**2 for k in range(1, math.isqrt(squared) + 1)]
    assert rdp(order, Skellam(Fraction(variance), squared, squared)) == pytest.approx(squared * max(rates), rel=1e-13)


@pytest.mark.parametrize("worst", [1, 4, 9])
def test_the_worst_shift_may_be_any(monkeypatch, worst):
    true = divergence._divergences

    def raised(order, variance, shifts):
        return np.where(shifts == worst, 50.0 * worst**2, true(order, variance, shifts))

    monkeypatch.setattr(divergence, "_divergences", raised)
    divergence._worst_rate.cache_clear()
    assert rdp(3, Skellam(Fraction(77), 99, 99)) == 99 * 50.0
    divergence._worst_rate.cache_clear()


@pytest.mark.slow
@given(st.lists(st.integers(-12, 12), min_size=1, max_size=20).filter(any), st.floats(1.05, 40))
def test_no_vector_costs_more_than_its_length_allows(vector, order):
    squared = sum(k * k for k in vector)
    event = Skellam(Fraction(13, 2), squared, sum(map(abs, vector)))
    cost = math.fsum(oracle.package_divergence(order, event.variance, abs(k)) for k in vector if k)
    assert cost <= rdp(order, event) * (1 + 1e-13)


@pytest.mark.parametrize("variance", [Fraction(1, 50), Fraction(1), Fraction(10), Fraction(300), Fraction(10**4)])
def test_the_published_formula_is_above_at_orders_between_integers_too(variance):
    for order in (1.05, 1.5, 2, 2.5, 3.3, 8.5, 20.25, 64, 200.5):
        for shift in (1, 2, 5, 20, 60):
            formula = rdp(order, Skellam(variance, shift**2, shift), skellam_rdp)
            assert oracle.package_divergence(order, variance, shift) < formula


@pytest.mark.parametrize("order", [1.01, 2.0, 5.5, 80.0, 2500.0])
@pytest.mark.parametrize("bound", [numerical_skellam_rdp, oracle.least_package_rdp])
def test_more_noise_is_never_more_divergence(order, bound):
    variances = [Fraction(1, 2**20), Fraction(1, 7), 1, 30, 999, 9999, Fraction(19999, 2), 10**4]
    variances += [10**4 + Fraction(1, 3), 10001, 10010, 10100, 12000, 10**5, 10**9]
    costs = [rdp(order, Skellam(Fraction(variance), 90, 80), bound) for variance in variances]
    assert all(more <= less * (1 + 1e-12) for less, more in pairwise(costs))
    assert costs[-1] < costs[0]


def test_divergences_rise_with_the_order():
    orders = [1.0, 1.001, 1 + 2**-6, 1.02, 1.5, 2, 10, 1e3, 1e5]
    costs = [rdp(order, Skellam(Fraction(40), 2, 2)) for order in orders]
    assert costs == sorted(costs)
    assert costs[0] == costs[2] < costs[3]


def test_far_more_noise_than_evaluated_costs_what_is_published():
    event = Skellam(Fraction(10**6), 50, 50)
    assert rdp(4, event, oracle.least_package_rdp) == rdp(4, event, skellam_rdp) < rdp(4, event)


@pytest.mark.parametrize(
    ("squared", "order", "there"),
    [(1024**2, 256.0, True), (1025**2, 2.0, False), (1, 2.0**18, True), (4, 2.0**17 + 1, False)],
)
def test_where_there_is_a_numerical_bound(squared, order, there):
    for variance in (Fraction(1, 3), Fraction(10**6)):
        event = Skellam(variance, squared, squared)
        assert math.isfinite(rdp(order, event)) is there
        assert math.isfinite(rdp(order, event, oracle.least_package_rdp))


def test_hardly_any_noise_has_no_numerical_bound():
    assert rdp(2, Skellam(Fraction(1, 2**30), 1, 1)) == math.inf


def test_a_variance_between_floats_counts_as_the_smaller_one():
    for variance in (Fraction(1) - Fraction(1, 2**60), Fraction(1, 3), Fraction(2, 3), Fraction(10**4, 3)):
        below = divergence._rounded_down(variance)
        assert Fraction(below) <= variance < Fraction(math.nextafter(below, math.inf))


@pytest.mark.parametrize(
    ("parameter", "arguments"),
    [
        ("order", (1.0, 1, 1)),
        ("order", (math.nan, 1, 1)),
        ("order", (math.inf, 1, 1)),
        ("variance", (2, 1.5, 1)),
        ("variance", (2, 0, 1)),
        ("variance", (2, Fraction(1, 2**21), 1)),
        ("variance", (2, 10**4 + Fraction(1, 9), 1)),
        ("shift", (2, 1, 0)),
        ("shift", (2, 1, 1025)),
        ("shift", (2, 1, 1.0)),
        ("order times shift", (2**17, 1, 3)),
    ],
)
def test_bad_input_is_refused_by_name(parameter, arguments):
    with pytest.raises(InvalidParameterError) as caught:
        oracle.package_divergence(*arguments)
    assert caught.value.parameter == parameter
