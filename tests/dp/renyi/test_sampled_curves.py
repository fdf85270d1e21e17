"""Sampling of any mechanism: the published sums, evaluated as they are printed."""

import math

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest

from dp.renyi.sampled_curves import PoissonSampledCurve, SampledCurve, WithoutReplacementCurve
from tests.kit import accounting_oracle as oracle


def gaussian(sigma: float):  # type: ignore[no-untyped-def]
    def curve(orders: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return orders / (2 * sigma**2)

    return curve


def printed_poisson(q: float, sigma: float, order: int) -> mp.mpf:
    """Zhu, Wang 2019, Theorem 5."""
    with mp.workdps(60):
        q, sigma = mp.mpf(q), mp.mpf(sigma)
        total = (1 - q) ** (order - 1) * (order * q - q + 1)
        total += mp.binomial(order, 2) * q**2 * (1 - q) ** (order - 2) * mp.exp(2 / (2 * sigma**2))
        for k in range(3, order + 1):
            moment = mp.exp((k - 1) * k / (2 * sigma**2))
            total += 3 * mp.binomial(order, k) * q**k * (1 - q) ** (order - k) * moment
        return min(mp.log(total) / (order - 1), order / (2 * sigma**2))


def printed_without_replacement(q: float, sigma: float, order: int) -> mp.mpf:
    """Wang, Balle, Kasiviswanathan 2019, Theorem 9, where the pure loss is infinite."""
    with mp.workdps(60):
        q, sigma = mp.mpf(q), mp.mpf(sigma)
        total = 1 + q**2 * mp.binomial(order, 2) * min(4 * mp.expm1(1 / sigma**2), 2 * mp.exp(1 / sigma**2))
        for k in range(3, order + 1):
            total += 2 * q**k * mp.binomial(order, k) * mp.exp((k - 1) * k / (2 * sigma**2))
        return min(mp.log(total) / (order - 1), order / (2 * sigma**2))


KINDS = [(PoissonSampledCurve, printed_poisson), (WithoutReplacementCurve, printed_without_replacement)]


@pytest.mark.parametrize(("kind", "printed"), KINDS)
@pytest.mark.parametrize("q", [1e-9, 1e-3, 0.2, 0.9])
@pytest.mark.parametrize("sigma", [0.5, 2.0, 100.0])
def test_integer_orders_are_the_printed_formula(kind: type[SampledCurve], printed, q: float, sigma: float) -> None:  # type: ignore[no-untyped-def]
    curve = kind(gaussian(sigma), q)
    for order in (2, 3, 4, 30, 11, 200):
        exact = printed(q, sigma, order)
        assert abs(float((curve(np.array([float(order)]))[0] - exact) / exact)) < 1e-12, order


@pytest.mark.parametrize(("kind", "printed"), KINDS)
def test_between_integers_the_bound_is_the_chord(kind: type[SampledCurve], printed) -> None:  # type: ignore[no-untyped-def]
    curve = kind(gaussian(2.0), 0.05)
    at = curve(np.array([1.0, 1.5, 2.0, 7.0, 7.25, 8.0]))
    assert at[1] <= at[2]
    assert at[0] <= at[2]
    assert math.isclose(6.25 * at[4], 0.75 * 6 * at[3] + 0.25 * 7 * at[5], rel_tol=1e-13)


@pytest.mark.parametrize(("kind", "printed"), KINDS)
def test_sampling_never_costs(kind: type[SampledCurve], printed) -> None:  # type: ignore[no-untyped-def]
    orders = np.array([1.0, 1.3, 2.0, 3.7, 40.0, 90.5])
    for sigma in (0.2, 1.0, 30.0):
        for q in (1e-6, 0.5, 0.999):
            assert (kind(gaussian(sigma), q)(orders) <= gaussian(sigma)(orders)).all()


def test_for_a_gaussian_the_general_bound_is_no_smaller_than_the_truth() -> None:
    for q in (1e-4, 0.01, 0.3):
        for sigma in (0.5, 1.0, 4.0):
            curve = PoissonSampledCurve(gaussian(sigma), q)
            for order in (1.5, 2.0, 5.5, 16.0):
                assert curve(np.array([order]))[0] >= oracle.poisson_gaussian(q, sigma, order) * (1 - mp.mpf("1e-12"))


@pytest.mark.parametrize(("kind", "printed"), KINDS)
def test_an_infinite_divergence_stays_infinite(kind: type[SampledCurve], printed) -> None:  # type: ignore[no-untyped-def]
    def curve(orders: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(orders < 5, orders, np.inf)

    assert kind(curve, 0.1)(np.array([4.0, 4.5, 5.0, 9.0])).tolist()[1:] == [4.5, math.inf, math.inf]
