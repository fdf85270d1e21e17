"""The published bounds for noise that is added in shares."""

import functools
import itertools
import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp.events import DistributedDiscreteGaussian, Skellam
from dp.renyi import distributed
from dp.renyi.distributed import distributed_discrete_gaussian_rdp, skellam_rdp
from tests.kit import skellam_oracle as oracle

ORDERS = [1.0001, 1.5, 2.0, 17.25, 300.0, 10**4]

sensitivities = st.one_of(st.integers(1, 50), st.integers(1, 10**12))
variances = st.one_of(
    st.fractions(Fraction(1, 10**6), 10**9, max_denominator=10**6), st.integers(1, 10**20).map(Fraction)
)
local_variances = st.one_of(st.fractions(Fraction(1, 4), 5, max_denominator=1000), st.integers(1, 10**8).map(Fraction))
orders = st.one_of(st.sampled_from(ORDERS), st.floats(1 + 1e-6, 1e5))


def one(bound, order, event):
    (value,) = bound(np.array([float(order)]), event)
    return float(value)


def gaussian_formula(order, event):
    """All three bounds for every number of shares up to the event's."""
    alpha, variance, d = mp.mpf(order), oracle.number(event.local_variance), event.dimension
    tau, bounds = mp.mpf(0), []
    for n in range(1, event.shares + 1):
        if n > 1:
            k = mp.mpf(n - 1)
            tau += 10 * mp.exp(-2 * mp.pi**2 * variance * k / (k + 1))
        squared = event.squared_sensitivity / (n * variance)
        absolute = event.l1_sensitivity / mp.sqrt(n * variance)
        bounds += [
            alpha / 2 * squared + tau * d,
            alpha / 2 * (squared + 2 * absolute * tau + tau**2 * d),
            alpha / 2 * (mp.sqrt(squared) + mp.sqrt(d) * tau) ** 2,
        ]
    return bounds


@given(variances, sensitivities, sensitivities, orders)
def test_skellam_bound_is_its_formula(variance, squared, absolute, order):
    with mp.workdps(oracle.DIGITS):
        true = oracle.skellam_formula(order, variance, squared, absolute)
        assert abs(one(skellam_rdp, order, Skellam(variance, squared, absolute)) / true - 1) < 1e-12


@pytest.mark.parametrize("squared", [1, 10**6])
def test_skellam_bound_takes_either_of_its_terms(squared):
    few, many = Skellam(Fraction(100), squared, squared), Skellam(Fraction(1, 100), squared, squared)
    for event, first in ((few, True), (many, False)):
        flat = 2 * squared / (2 * float(event.variance)) + 1.5 * squared / float(event.variance)
        assert (one(skellam_rdp, 2, event) < flat * (1 - 1e-9)) is first


@settings(deadline=None)
@given(local_variances, st.integers(1, 40), sensitivities, sensitivities, st.integers(1, 2**20), orders)
def test_discrete_gaussian_bound_is_its_formula(variance, shares, squared, absolute, dimension, order):
    event = DistributedDiscreteGaussian(variance, shares, squared, absolute, dimension)
    with mp.workdps(oracle.DIGITS):
        true = min(gaussian_formula(order, event))
        assert abs(one(distributed_discrete_gaussian_rdp, order, event) / true - 1) < 1e-12


@functools.cache
def cases():
    """Many events and an order, with all three bounds for each number of shares."""
    found = []
    for variance, shares, squared, absolute, dimension in itertools.product(
        ("1/4", "3/10", "2/5", "1/2"), (2, 9, 30), (1, 10**3, 10**6), (1, 10**3, 10**6), (1, 10**3, 10**6)
    ):
        event = DistributedDiscreteGaussian(Fraction(variance), shares, squared, absolute, dimension)
        found += [(event, order, gaussian_formula(order, event)) for order in (1.5, 10.0)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("fewer", [False, True])
def test_each_of_the_three_bounds_is_the_least_somewhere(which, fewer):
    found = 0
    for event, order, bounds in cases():
        least = min(range(len(bounds)), key=bounds.__getitem__)
        if least % 3 == which and (least // 3 < event.shares - 1) is fewer:
            found += 1
            assert one(distributed_discrete_gaussian_rdp, order, event) == pytest.approx(
                float(bounds[least]), rel=1e-12
            )
    assert found


@pytest.mark.slow
@pytest.mark.parametrize("shares", [1023, 1024, 1025, 2048, 3000])
def test_sums_over_rows_are_sums(shares):
    event = DistributedDiscreteGaussian(Fraction(7, 5), shares, 3000, 3000, 2000)
    with mp.workdps(30):
        for order in (1.1, 6.0):
            true = float(min(gaussian_formula(order, event)))
            assert one(distributed_discrete_gaussian_rdp, order, event) == pytest.approx(true, rel=1e-12)


@given(
    local_variances,
    st.integers(1, 3000),
    st.integers(1, 50),
    sensitivities,
    sensitivities,
    st.integers(1, 2**20),
    orders,
)
def test_more_shares_are_never_more_divergence(variance, shares, more, squared, absolute, dimension, order):
    few = DistributedDiscreteGaussian(variance, shares, squared, absolute, dimension)
    many = DistributedDiscreteGaussian(variance, shares + more, squared, absolute, dimension)
    bound = distributed_discrete_gaussian_rdp
    assert one(bound, order, many) <= one(bound, order, few)


def test_the_formula_itself_rises_with_the_shares():
    # What the minimum over fewer shares is there for.
    event = DistributedDiscreteGaussian(Fraction(1, 4), 200, 10, 10, 1000)
    bounds = gaussian_formula(2, event)
    assert min(bounds[-3:]) > 10 * min(bounds)
    assert one(distributed_discrete_gaussian_rdp, 2, event) == pytest.approx(float(min(bounds)), rel=1e-12)


def test_a_single_share_is_a_discrete_gaussian():
    event = DistributedDiscreteGaussian(Fraction(9, 2), 1, 7, 5, 64)
    assert one(distributed_discrete_gaussian_rdp, 3, event) == pytest.approx(3 * 7 / (2 * 4.5), rel=1e-15)


def test_all_orders_at_once_are_each_alone():
    wanted = np.linspace(1.01, 200, 57)
    gaussian = DistributedDiscreteGaussian(Fraction(3, 5), 30, 500, 700, 300)
    for bound, event in ((distributed_discrete_gaussian_rdp, gaussian), (skellam_rdp, Skellam(Fraction(11), 50, 60))):
        assert bound(wanted, event).tolist() == [one(bound, order, event) for order in wanted]


def test_extreme_events_give_numbers():
    largest = 2**127
    for variance in (Fraction(1, 4), Fraction(10**300)):
        event = DistributedDiscreteGaussian(variance, 10**12, largest, largest, largest)
        assert 0 <= one(distributed_discrete_gaussian_rdp, 2, event) <= math.inf
        assert 0 <= one(distributed_discrete_gaussian_rdp, 1e9, event) <= math.inf
    for variance in (Fraction(1, 10**300), Fraction(10**300)):
        assert 0 <= one(skellam_rdp, 2, Skellam(variance, largest, largest)) <= math.inf


def test_only_small_curves_are_remembered():
    """A file of a few hundred events whose curves are 25 MB each would fill a machine."""
    usual = DistributedDiscreteGaussian(Fraction(1000), 2**20, 2**40, 2**50, 10**6)
    hostile = DistributedDiscreteGaussian(Fraction(1, 2), 2**20, 2**20, 2**20, 10**6)
    small = distributed._small_curves(usual)
    assert small is not None
    assert small.squared.nbytes < 2**17
    assert distributed._small_curves(hostile) is None
    assert distributed._curves.cache_parameters()["maxsize"] <= 4
