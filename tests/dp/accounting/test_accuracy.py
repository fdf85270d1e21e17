"""Divergences, epsilons and calibrated noise against exact values, in the corners where digits are lost.

The exact values come from the comparison of accountants: by other methods than the library's, and than those of the
oracle of the other tests, with sixty digits.
"""

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest

from benchmarks.compare.accountants import exact
from dp.accounting.accountant import Method, RdpAccountant
from dp.accounting.calibration import calibrate, noise_multiplier
from dp.events import DiscreteGaussian, Gaussian, PoissonSampled
from dp.renyi.sampled_gaussian import poisson_gaussian_rdp
from dp.vocabulary import Relation, Unit
from tests.kit import accounting_oracle as oracle

ALLOWED = 1e-12
"""Relative, on either side, for real orders to 64 and integers to 10**4."""

QS = [1e-8, 1e-6, 1e-3, 0.5]
SIGMAS = [0.3, 0.37, 1.7, 50.0]


def rdp(q: float, sigma: float, order: float) -> float:
    return float(poisson_gaussian_rdp(float(order), probability=np.array([q]), noise_multiplier=np.array([sigma]))[0])


def off(q: float, sigma: float, order: float) -> float:
    """Returns the relative error; below 0 is too small."""
    value, truth = rdp(q, sigma, order), exact.renyi(q, sigma, order)
    assert value >= 0
    return float((value - truth) / truth)


def logarithmic(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def steep(rng: np.random.Generator, low: float, high: float) -> tuple[float, float, float]:
    """Returns q, sigma and an order near 2 sigma^2 log(1/q), where the divergence turns steep.

    The last term of the binomial sum is about 1 there, and the logarithms of its factors are 10^5.
    """
    while True:
        q, order = logarithmic(rng, 1e-8, 0.4), rng.uniform(low, high)
        sigma = math.sqrt(order / (2 * math.log(1 / q))) * (1 + rng.normal() * 10 / (order * math.log(1 / q)))
        if 0.3 <= sigma <= 50:
            return q, sigma, order


@pytest.mark.parametrize(
    ("q", "sigma", "order"),
    [(1e-8, 50.0, 1.01), (0.5, 0.3, 40.5), (1e-6, 1.7, 63.99), (1e-4, 5.0, 700), (0.5, 50.0, 9)],
)
def test_two_exact_values_are_one(q: float, sigma: float, order: float) -> None:
    assert abs(exact.renyi(q, sigma, order) / oracle.poisson_gaussian(q, sigma, order) - 1) < 1e-25


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("q", QS)
def test_real_orders_are_exact_beside_1_beside_integers_and_up_to_64(q: float, sigma: float) -> None:
    for order in (1 + 1e-9, 1.001, 2 - 1e-9, 2 + 1e-9, 3.7, 17 + 1e-6, 63.99):
        assert abs(off(q, sigma, order)) <= ALLOWED, order


@pytest.mark.slow
def test_real_orders_are_exact_wherever_they_are() -> None:
    rng = np.random.default_rng(11)
    for _ in range(40):
        case = logarithmic(rng, 1e-8, 0.5), logarithmic(rng, 0.3, 50.0), float(rng.uniform(1, 64))
        assert abs(off(*case)) <= ALLOWED, case


@pytest.mark.slow
def test_integer_orders_are_exact_wherever_they_are() -> None:
    rng = np.random.default_rng(12)
    for _ in range(40):
        order = float(rng.integers(2, 65) if rng.random() < 0.5 else round(logarithmic(rng, 65, 10**4)))
        case = logarithmic(rng, 1e-8, 0.5), logarithmic(rng, 0.3, 50.0), order
        assert abs(off(*case)) <= ALLOWED, case


@pytest.mark.parametrize(
    ("q", "sigma", "order"),
    [
        (0.0016831757771506022, 33.18605316518454, 10**4),
        (0.0019306050787486469, 27.72572946056196, 9143),
        (0.0015196849351277254, 46.76510394565582, 10**4),
        (0.004001405477998616, 34.194335549372, 6194),
    ],
)
def test_large_orders_times_small_parts_lose_no_digits(q: float, sigma: float, order: float) -> None:
    # (1 + r)^alpha - 1 - alpha r is about 1, and as a sum over alpha - 1 it would be the difference of 1 and 1.
    assert abs(off(q, sigma, order)) <= ALLOWED


@pytest.mark.parametrize(
    ("q", "sigma", "order"),
    [
        (1.8095938179753582e-08, 16.112778804104163, 9257),
        (2.189558407909463e-08, 16.720007493040963, 9861),
        (6.485590473008518e-08, 16.24178569990647, 8733),
        (6.285536517914847e-07, 18.457348131236152, 9730),
    ],
)
def test_where_the_divergence_turns_steep_integers_are_exact(q: float, sigma: float, order: int) -> None:
    assert abs(off(q, sigma, order)) <= ALLOWED


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high", "seed"), [(3, 64, 13), (100, 10**4, 14)])
def test_where_the_divergence_turns_steep_random_orders_are_exact(low: float, high: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(20):
        q, sigma, order = steep(rng, low, high)
        order = float(round(order)) if high > 64 else order
        assert abs(off(q, sigma, order)) <= ALLOWED, (q, sigma, order)


@pytest.mark.slow
def test_between_integers_above_64_it_is_an_upper_bound_and_below_the_next_integer() -> None:
    rng = np.random.default_rng(15)
    cases = [steep(rng, 400, 10**4) for _ in range(20)]
    cases += [(logarithmic(rng, 1e-8, 0.5), logarithmic(rng, 4, 50), logarithmic(rng, 65, 10**4)) for _ in range(20)]
    for q, sigma, order in cases:
        # By the oracle's trapezoid: the series of `exact` take seconds at these orders.
        truth = oracle.poisson_gaussian(q, sigma, order)
        assert rdp(q, sigma, order) >= truth * (1 - mp.mpf(ALLOWED)), (q, sigma, order)
        assert rdp(q, sigma, order) <= rdp(q, sigma, math.ceil(order)) * (1 + ALLOWED), (q, sigma, order)


@pytest.mark.slow
def test_tiny_noise_has_a_huge_divergence_at_every_order() -> None:
    # The largest terms are beyond every float there. Some of these orders are interpolated.
    rng = np.random.default_rng(19)
    for sigma in (0.006, 0.01, 0.0155, 0.02, 0.03, 0.036, 0.05, 0.1, 0.2):
        for order in (1 + 1e-6, 1.05, 1.4, 1.77, 1.99, 2.01, 3.3, 9.0, 33.3):
            q = logarithmic(rng, 1e-8, 0.9)
            assert off(q, sigma, order) >= -ALLOWED, (q, sigma, order)


@pytest.mark.slow
def test_tiny_noise_and_hardly_any_sample_lose_nothing_beyond_the_end_of_the_quadrature() -> None:
    for q, sigma in ((1e-19, 0.287), (1e-20, 0.29), (4e-37, 0.185), (4e-88, 0.09)):
        for order in (1 + 2.0**-20, 1.3, 1.9):
            assert abs(off(q, sigma, order)) <= ALLOWED, (q, sigma, order)


def test_divergences_are_never_negative_and_never_fall_with_the_order() -> None:
    rng = np.random.default_rng(16)
    q = np.concatenate([10.0 ** rng.uniform(-300, 0, 50), 10.0 ** rng.uniform(-9, 0, 150), [1e-8, 0.5, 1.0]])
    sigma = np.concatenate([10.0 ** rng.uniform(-2, 3, 200), [50.0, 0.3, 0.3]])
    before = np.zeros(len(q))
    for order in (1.0, 1 + 1e-9, 1.01, 1.5, 2.0, 2.5, 7.0, 40.3, 63.5, 64.0, 64.5, 65.0, 130.0, 999.5, 1000.0, 9999.0):
        now = poisson_gaussian_rdp(order, probability=q, noise_multiplier=sigma)
        assert (now >= before * (1 - ALLOWED)).all(), order
        assert np.isfinite(now).all()
        before = now


@pytest.mark.slow
def test_epsilon_is_above_the_exact_curve_converted_and_hardly() -> None:
    rng = np.random.default_rng(17)
    found = 0
    for _ in range(30):
        q, sigma = logarithmic(rng, 1e-7, 0.5), logarithmic(rng, 0.4, 50.0)
        count, delta = round(logarithmic(rng, 2, 10**6)), logarithmic(rng, 1e-10, 1e-5)
        bound = RdpAccountant().compose(PoissonSampled(q, Gaussian(sigma)), count).epsilon(delta)
        if bound.method is Method.RDP:
            found += 1
            with mp.workdps(exact.DIGITS):
                # As in the last test.
                far = bound.order > 100
                curve = oracle.poisson_gaussian if far else exact.renyi
                truth = exact.converted(count * curve(q, sigma, bound.order), bound.order, delta)
                assert truth <= bound.value <= truth * (1 + mp.mpf("2e-11")), (q, sigma, count, delta)
    assert found > 20


@pytest.mark.parametrize("delta", [1e-10, 1e-5, 0.01])
@pytest.mark.parametrize(
    ("sigma", "count"), [(0.3, 1), (0.3, 10**6), (1.0, 7), (50.0, 1), (50.0, 10**6), (3.3, 12345), (1e4, 1)]
)
def test_without_sampling_it_is_the_exact_gaussian(sigma: float, count: int, delta: float) -> None:
    truth = exact.gaussian_epsilon(sigma, count, delta)
    for event in (Gaussian(sigma), PoissonSampled(1.0, Gaussian(sigma))):
        value = RdpAccountant().compose(event, count).epsilon(delta).value
        assert truth <= value <= truth * (1 + mp.mpf("1e-9"))


@pytest.mark.slow
def test_calibrated_noise_is_enough_in_exact_arithmetic_and_hardly_too_much() -> None:
    rng = np.random.default_rng(18)
    for _ in range(20):
        q = logarithmic(rng, 1e-6, 1.0)
        target, delta = logarithmic(rng, 0.05, 50.0), logarithmic(rng, 1e-10, 1e-5)
        count = round(logarithmic(rng, 2, 10**6))
        noise = noise_multiplier(target, delta, probability=q, count=count)
        bound = RdpAccountant().compose(PoissonSampled(q, Gaussian(noise)), count).epsilon(delta)
        assert bound.value <= target
        less = RdpAccountant().compose(PoissonSampled(q, Gaussian(noise * (1 - 1e-6))), count)
        assert less.epsilon(delta).value > target, (q, target, delta, count)
        if bound.method is Method.RDP:
            curve = oracle.poisson_gaussian if bound.order > 100 else exact.renyi
            with mp.workdps(exact.DIGITS):
                assert exact.converted(count * curve(q, noise, bound.order), bound.order, delta) <= target


@pytest.mark.parametrize("target", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("count", [1, 1000])
def test_calibrated_gaussians_keep_the_promise_as_the_rationals_that_they_are(target: float, count: int) -> None:
    noise = noise_multiplier(target, 1e-6, count=count)
    with mp.workdps(exact.DIGITS):
        mu = mp.sqrt(count) / mp.mpf(noise)
        assert exact.gaussian_delta(mu, mp.mpf(target)) <= 1e-6

    def lattice(variance: float) -> DiscreteGaussian:
        return DiscreteGaussian(Fraction(variance), 100, Relation.ZERO_OUT, Unit.CLIENT)

    variance = Fraction(calibrate(lattice, target, 1e-6, count=count))
    bound = (
        RdpAccountant().compose(DiscreteGaussian(variance, 100, Relation.ZERO_OUT, Unit.CLIENT), count).epsilon(1e-6)
    )
    assert bound.value <= target
    with mp.workdps(exact.DIGITS):
        # alpha Delta2^2 / 2 sigma^2 with the variance as the rational.
        curve = count * mp.mpf(bound.order) * 50 * variance.denominator / variance.numerator
        assert exact.converted(curve, bound.order, 1e-6) <= target
