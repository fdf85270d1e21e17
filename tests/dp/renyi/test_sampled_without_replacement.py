"""A sample of a fixed size: the bound is the integral, and lies where it must."""

import math

import mpmath as mp
import numpy as np
import pytest

from dp.renyi.sampled_gaussian import poisson_gaussian_rdp
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
@pytest.mark.parametrize(("part", "sigma"), [(0.05, 0.5), (1e-4, 1.0), (0.6, 1.0), (0.05, 4.0)])
def test_sampling_without_replacement_is_the_integral_over_the_hockey_stick_profiles(part: float, sigma: float) -> None:
    for order in (1.2, 7.5):
        exact = oracle.without_replacement(part, sigma, order)
        assert abs(relative(without_replacement(part, sigma, order), exact)) < 1e-12, order


def normal_mixture_divergence(weights, first, second, sigma, order) -> mp.mpf:  # type: ignore[no-untyped-def]
    """Of (1-g) N(c) + g N(a) from (1-g) N(c) + g N(b)."""
    g, centre = weights

    def log_density(z, mean):  # type: ignore[no-untyped-def]
        return -((z - mean) ** 2) / (2 * sigma**2)

    spread = order + 12 * sigma + 3
    z = np.linspace(-spread, spread, 400_001)
    p = np.logaddexp(np.log1p(-g) + log_density(z, centre), np.log(g) + log_density(z, first))
    q = np.logaddexp(np.log1p(-g) + log_density(z, centre), np.log(g) + log_density(z, second))
    logs = order * p + (1 - order) * q
    norm = np.log((z[1] - z[0]) / (math.sqrt(2 * math.pi) * sigma))
    return float((np.logaddexp.reduce(logs) + norm) / (order - 1))


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("g", [0.01, 0.3])
def test_no_choice_of_neighbours_beats_the_bound_without_replacement(g: float, sigma: float) -> None:
    # One participant's 1/2 becomes -1/2; the others all hold c, so that the sum without it may lie anywhere near.
    for order in (1.5, 3.0, 12.0):
        bound = without_replacement(g, sigma, order)
        for centre in (-0.5, -0.25, 0.0, 0.5):
            for first, second in ((0.5, -0.5), (-0.5, 0.5)):
                found = normal_mixture_divergence((g, centre), first, second, sigma, order)
                assert found <= bound * (1 + 1e-9), (order, centre)


def theorem_27(g: float, sigma: float, order: int) -> mp.mpf:
    """Wang, Balle, Kasiviswanathan 2019, Theorem 27, for the Gaussian."""
    with mp.workdps(200):
        g, sigma = mp.mpf(g), mp.mpf(sigma)

        def moment(j: int) -> mp.mpf:
            return mp.exp(mp.mpf(j * (j - 1)) / (2 * sigma**2))

        def difference(j: int) -> mp.mpf:
            return mp.fsum((-1) ** (j - i) * mp.binomial(j, i) * moment(i) for i in range(j + 1))

        total = 1 + g**2 * mp.binomial(order, 2) * min(4 * mp.expm1(1 / sigma**2), 2 * mp.exp(1 / sigma**2))
        for j in range(3, order + 1):
            low, high = difference(2 * (j // 2)), difference(2 * -(-j // 2))
            total += g**j * mp.binomial(order, j) * min(4 * mp.sqrt(low * high), 2 * moment(j))
        return mp.log(total) / (order - 1)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("g", [1e-4, 0.01, 0.3])
def test_the_bound_without_replacement_lies_between_poisson_sampling_and_theorem_27(g: float, sigma: float) -> None:
    for order in (2, 3, 8, 20):
        bound = without_replacement(g, sigma, order)
        assert poisson(g, sigma, order) * (1 - 1e-12) <= bound <= float(theorem_27(g, sigma, order)) * (1 + 1e-12)
