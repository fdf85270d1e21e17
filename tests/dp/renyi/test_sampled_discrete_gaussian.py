"""The discrete Gaussian on a Poisson sample, against the exact law summed in mpmath."""

import itertools
import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dp import DiscreteGaussian, Gaussian, PoissonSampled, RdpAccountant
from dp.renyi.sampled_discrete_gaussian import (
    largest_smooth_order,
    poisson_discrete_gaussian_rdp,
    root_ratio_below,
)
from dp.renyi.sampled_gaussian import poisson_gaussian_rdp
from dp.vocabulary import Relation, Unit

DIGITS = 40


def bound(q: float, sigma: float, order: float) -> float:
    return float(poisson_discrete_gaussian_rdp(order, np.array([q]), np.array([sigma]))[0])


def exact(q: float, variance: float, shift: tuple[int, ...], order: float) -> mp.mpf:
    """The larger direction of the divergence of (1 - q) N + q (N + v) and N on the integers, by summation."""
    with mp.workdps(DIGITS):
        q, variance, order = mp.mpf(q), mp.mpf(variance), mp.mpf(order)
        reach = int(mp.ceil(14 * mp.sqrt(variance) + max(shift) * (order + 1))) + 3
        # Coordinates with the same shift matter by their inner product with it alone; few are summed one by one.
        ones = [{x: mp.exp(-(mp.mpf(x) ** 2) / (2 * variance)) for x in range(-reach, reach + 1)} for _ in shift]
        total = mp.fprod(mp.fsum(one.values()) for one in ones)
        norm = sum(v * v for v in shift)
        inner: dict[int, mp.mpf] = {0: mp.mpf(1)}
        for one, v in zip(ones, shift, strict=True):
            following: dict[int, mp.mpf] = {}
            for (at, weight), (x, mass) in itertools.product(inner.items(), one.items()):
                following[at + v * x] = following.get(at + v * x, mp.mpf(0)) + weight * mass
            inner = following
        up = down = mp.mpf(0)
        for at, weight in inner.items():
            ratio = 1 - q + q * mp.exp((2 * mp.mpf(at) - norm) / (2 * variance))
            up += weight / total * ratio**order
            down += weight / total * ratio ** (1 - order)
        return max(mp.log(up), mp.log(down)) / (order - 1)


CASES = [
    (q, variance, shift, order)
    for q in (1e-3, 0.1, 0.9)
    for variance, shift in ((0.05, (1,)), (0.3, (1,)), (1.0, (1,)), (2.25, (3,)), (1.0, (1, 1)), (6.0, (2, 1)))
    for order in (1.05, 1.5, 2.0, 2.5, 3.0, 7.3)
]


@pytest.mark.slow
@pytest.mark.parametrize(("q", "variance", "shift", "order"), CASES)
def test_it_is_never_below_the_exact_law(q: float, variance: float, shift: tuple[int, ...], order: float) -> None:
    sigma = math.sqrt(variance / sum(v * v for v in shift))
    true = exact(q, variance, shift, order)
    assert bound(q, sigma, order) >= true * (1 - mp.mpf(10) ** -12)
    if order == math.floor(order):
        assert bound(q, sigma, order) <= true * (1 + mp.mpf(10) ** -11)


@pytest.mark.slow
@given(
    q=st.floats(1e-6, 1.0),
    variance=st.floats(0.02, 9.0),
    shift=st.sampled_from([(1,), (2,), (5,), (1, 1), (1, 2)]),
    order=st.floats(1.01, 6.0),
)
@settings(deadline=None, max_examples=40)
@example(q=0.5, variance=0.02, shift=(1,), order=1.5)
def test_it_is_never_below_the_exact_law_anywhere(
    q: float, variance: float, shift: tuple[int, ...], order: float
) -> None:
    sigma = math.sqrt(variance / sum(v * v for v in shift))
    assert bound(q, sigma * (1 - 1e-12), order) >= exact(q, variance, shift, order) * (1 - mp.mpf(10) ** -10)


@given(q=st.floats(0, 1), sigma=st.floats(1e-3, 1e6), order=st.floats(1, 1e4), more=st.floats(1, 4))
@settings(deadline=None, max_examples=100)
@example(q=0.0, sigma=1e-3, order=1.5, more=1.0)
@example(q=1.0, sigma=0.2, order=1.0, more=1.0)
def test_it_is_between_the_continuous_one_and_none_at_all(q: float, sigma: float, order: float, more: float) -> None:
    value = bound(q, sigma, order)
    low = float(poisson_gaussian_rdp(order, np.array([q]), np.array([sigma]))[0])
    assert not math.isnan(value)
    # With less noise neither is above the other.
    assert value >= low * (1 - 1e-11) or sigma < 0.5
    assert value <= max(order, 1 + 2.0**-10) / 2 / sigma / sigma * (1 + 1e-9)
    assert bound(q, sigma, order * more) >= value * (1 - 1e-9) or order * more != order


@pytest.mark.parametrize("sigma", [2.0, 5.0, 100.0])
def test_with_noise_of_two_or_more_it_is_the_continuous_gaussians(sigma: float) -> None:
    for order in (1.001, 1.3, 2.5, 33.3, 1000.0):
        low = float(poisson_gaussian_rdp(order, np.array([0.01]), np.array([sigma]))[0])
        assert math.isclose(bound(0.01, sigma, order), low, rel_tol=1e-9 if order > 1.01 else 1e-6)
    assert largest_smooth_order(np.array([0.01]), noise_multiplier=np.array([sigma])) > 2


def test_little_noise_has_no_smooth_orders() -> None:
    assert largest_smooth_order(np.array([0.01]), noise_multiplier=np.array([0.4])) == 1.0


def test_the_root_of_a_ratio_is_rounded_down_whatever_its_size() -> None:
    for variance, sensitivity in (
        (Fraction(2), 1),
        (Fraction(1, 3), 7),
        (Fraction(10**400), 1),
        (Fraction(1), 10**400),
    ):
        root = root_ratio_below(variance, sensitivity)
        assert 0 <= root < math.inf
        assert Fraction(root) ** 2 <= variance / sensitivity
        if root < 1e149:
            assert Fraction(root) ** 2 * (1 + Fraction(1, 2**48)) >= variance / sensitivity


def test_an_accountant_gives_it_the_continuous_gaussians_epsilon() -> None:
    """The best peers account for it so."""
    # With so little noise as 0.8 the best order is between 1 and 2, or beside an integer.
    for sigma, q, count, above in ((1.0, 0.01, 1000, 1e-3), (2.0, 0.1, 100, 1e-9), (0.8, 0.02, 50, 1e-2)):
        variance = Fraction(sigma) ** 2 * 10**6
        discrete = DiscreteGaussian(variance, 10**6, Relation.ADD_REMOVE, Unit.EXAMPLE)
        ours = RdpAccountant().compose(PoissonSampled(q, discrete), count).epsilon(1e-5).value
        continuous = RdpAccountant().compose(PoissonSampled(q, Gaussian(sigma)), count).epsilon(1e-5).value
        assert continuous * (1 - 1e-9) <= ours <= continuous * (1 + above)


def test_a_lattice_of_width_one_is_no_continuous_gaussian() -> None:
    """Where the lattice shows, the discrete law is another one."""
    q, variance, order = 0.5, 0.02, 1.5
    true = float(exact(q, variance, (1,), order))
    continuous = float(poisson_gaussian_rdp(order, np.array([q]), np.array([math.sqrt(variance)]))[0])
    assert true != pytest.approx(continuous, rel=1e-3)
    assert bound(q, math.sqrt(variance), order) >= true
