"""Divergences of sampled Gaussians against mpmath, from the definitions."""

import math

import mpmath as mp
import numpy as np
import pytest

from dp.renyi.sampled_gaussian import largest_real_order, poisson_gaussian_rdp
from dp.renyi.sampled_without_replacement import gaussian_without_replacement_rdp
from tests.kit import accounting_oracle as oracle


def poisson(q: float, sigma: float, order: float) -> float:
    return float(poisson_gaussian_rdp(order, probability=np.array([q]), noise_multiplier=np.array([sigma]))[0])


def without_replacement(part: float, sigma: float, order: float) -> float:
    return float(
        gaussian_without_replacement_rdp(order, fraction=np.array([part]), noise_multiplier=np.array([sigma]))[0]
    )


def relative(value: float, exact: mp.mpf) -> float:
    return float((mp.mpf(value) - exact) / exact)


@pytest.mark.slow
@pytest.mark.parametrize(("q", "sigma", "order"), [(1e-8, 0.3, 1.5), (0.5, 1.0, 7.25), (1e-3, 5.0, 63.5)])
def test_the_oracle_agrees_with_an_adaptive_quadrature(q: float, sigma: float, order: float) -> None:
    assert (
        abs(
            relative(
                float(oracle.poisson_gaussian(q, sigma, order)), oracle.poisson_gaussian_by_quadrature(q, sigma, order)
            )
        )
        < 1e-15
    )


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.3, 0.45, 1.0, 2.0, 7.0, 50.0])
@pytest.mark.parametrize("q", [1e-8, 1e-4, 0.03, 0.5])
def test_real_orders_are_exact(q: float, sigma: float) -> None:
    for order in (1 + 1e-6, 1.01, 1.5, 1.99, 2.01, 6.5, 17.3, 63.9):
        assert abs(relative(poisson(q, sigma, order), oracle.poisson_gaussian(q, sigma, order))) < 1e-12, order


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0, 7.0, 50.0])
@pytest.mark.parametrize("q", [1e-8, 1e-4, 0.03, 0.5])
def test_integer_orders_are_exact(q: float, sigma: float) -> None:
    for order in (2, 3, 5, 17, 64, 65, 200, 1000, 10**4):
        assert abs(relative(poisson(q, sigma, order), oracle.poisson_gaussian(q, sigma, order))) < 1e-12, order


@pytest.mark.parametrize(("q", "sigma", "order"), [(1e-4, 2.0, 72.6), (1e-4, 2.0, 340.5), (0.01, 20.0, 1000.3)])
def test_real_orders_are_exact_far_above_64(q: float, sigma: float, order: float) -> None:
    assert abs(relative(poisson(q, sigma, order), oracle.poisson_gaussian(q, sigma, order))) < 1e-12


@pytest.mark.parametrize(
    ("q", "sigma", "order"), [(1e-4, 0.3, 2000.5), (0.1, 0.3, 5000.25), (0.01, 0.05, 1.5), (0.01, 0.05, 60.5)]
)
def test_where_real_orders_are_interpolated_the_bound_is_above_the_truth_and_below_the_next_integer(
    q: float, sigma: float, order: float
) -> None:
    assert order > largest_real_order(np.array([sigma])) or math.floor(order) == 1
    low, high = math.floor(order), math.ceil(order)
    exact_high = oracle.poisson_gaussian(q, sigma, high)
    bound = poisson(q, sigma, order)
    assert bound <= exact_high * (1 + 1e-12)
    if low > 1:
        exact_low = oracle.poisson_gaussian(q, sigma, low)
        # (alpha - 1) rho is convex: the tangent of the chord on the left is below it, the chord above.
        chord = ((high - order) * (low - 1) * exact_low + (order - low) * (high - 1) * exact_high) / (order - 1)
        assert abs(relative(bound, chord)) < 1e-12
        assert bound >= exact_low


@pytest.mark.parametrize(("q", "sigma"), [(1e-8, 0.3), (0.01, 1.0), (0.5, 50.0), (1e-4, 5.0)])
def test_order_1_is_the_kullback_leibler_divergence(q: float, sigma: float) -> None:
    assert abs(relative(poisson(q, sigma, 1.0), oracle.kullback_leibler(q, sigma))) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("formula", [poisson_gaussian_rdp, gaussian_without_replacement_rdp])
def test_many_pairs_at_once_are_each_what_they_are_alone(formula) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(5)
    q, sigma = 10.0 ** rng.uniform(-8, 0, 80), 10.0 ** rng.uniform(-1.2, 2, 80)
    q[:3], sigma[3:6] = (0.0, 1.0, 1.0), (1e-120, 1e160, 0.02)
    for order in (1.0, 1.3, 2.0, 9.5, 40.0, 64.0, 65.0, 200.5, 900.0):
        together = formula(order, q, sigma)
        alone = [formula(order, q[i : i + 1], sigma[i : i + 1])[0] for i in range(len(q))]
        np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-300)
        assert (together >= 0).all()


def test_sums_cut_short_lose_nothing() -> None:
    # At these, most of a thousand terms are proved to be negligible; the oracle adds all of them.
    for q, sigma in ((1e-4, 30.0), (1e-6, 20.0), (1e-8, 50.0)):
        assert abs(relative(poisson(q, sigma, 700), oracle.poisson_gaussian(q, sigma, 700))) < 1e-12


def test_divergences_without_a_sample_or_with_everybody() -> None:
    assert poisson(0.0, 1.0, 5.0) == without_replacement(0.0, 1.0, 5.0) == 0.0
    assert poisson(1.0, 2.0, 5.0) == without_replacement(1.0, 2.0, 5.0) == 5 / 8


@pytest.mark.parametrize("formula", [poisson, without_replacement])
def test_absurd_noise_gives_no_nan_and_no_false_comfort(formula) -> None:  # type: ignore[no-untyped-def]
    for order in (1.0, 1.5, 2.0, 64.0, 65.5):
        assert formula(0.01, 1e-200, order) == math.inf
        assert 1e10 < formula(0.01, 1e-7, order) < math.inf
        assert 0 <= formula(0.01, 1e200, order) < 1e-100
        assert 0 <= formula(1e-300, 1.0, order) < 1e-100
