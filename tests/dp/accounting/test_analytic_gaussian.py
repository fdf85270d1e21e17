"""The exact profile of the Gaussian against its two terms in mpmath, where they may cancel as they like."""

import math

import mpmath as mp
import pytest

from dp.accounting.analytic_gaussian import gaussian_delta, gaussian_epsilon
from dp.accounting.roots import falling_root
from tests.kit import accounting_oracle as oracle

MUS = [1e-6, 1e-3, 0.1, 0.5, 0.999, 1.0, 3.0, 20.0, 300.0]


@pytest.mark.parametrize("mu", MUS)
def test_delta_is_exact_and_not_below(mu: float) -> None:
    for depth in (0.0, 0.5, 2.0, 8.0, 30.0):
        epsilon = mu * mu / 2 + depth * mu
        exact = oracle.gaussian_delta(mu, epsilon)
        assert exact <= gaussian_delta(mu, epsilon=epsilon) <= exact * (1 + mp.mpf("1e-11"))


@pytest.mark.parametrize("mu", MUS)
@pytest.mark.parametrize("delta", [1e-300, 1e-30, 1e-7, 1e-2, 0.5])
def test_epsilon_is_exact_and_not_below(mu: float, delta: float) -> None:
    epsilon = gaussian_epsilon(mu, delta=delta)
    assert oracle.gaussian_delta(mu, epsilon) <= delta
    if epsilon > 0:
        assert oracle.gaussian_delta(mu, epsilon * (1 - 1e-11)) > delta


def test_the_ends_of_the_profile() -> None:
    assert gaussian_epsilon(0.0, delta=1e-5) == gaussian_delta(0.0, epsilon=0.0) == 0.0
    assert gaussian_epsilon(math.inf, delta=1e-5) == math.inf
    assert gaussian_delta(math.inf, epsilon=5.0) == 1.0
    assert gaussian_epsilon(1e200, delta=1e-5) == math.inf
    assert gaussian_delta(1.0, epsilon=1e6) == 0.0
    # An epsilon beyond what a double resolves against mu: still above mu^2/2, where delta is a half.
    assert gaussian_epsilon(1e9, delta=1e-5) >= 0.5e18


def test_a_root_is_where_the_function_was_seen_not_to_exceed() -> None:
    for power in (0.1, 1.0, 7.0):
        seen = {}

        def excess(x: float, power: float = power, seen: dict[float, float] = seen) -> float:
            seen[x] = 2.0 - x**power
            return seen[x]

        root = falling_root(excess, low=0.0, high=2000.0, tolerance=1e-9)
        assert seen[root] <= 0
        assert abs(root - 2 ** (1 / power)) <= 1e-9 + 1e-12 * root


def test_a_root_of_a_function_that_jumps_or_is_infinite() -> None:
    assert 3.0 < falling_root(lambda x: 1.0 if x <= 3 else -1.0, low=0.0, high=10.0, tolerance=1e-6) <= 3.0 + 1e-6
    assert (
        3.0
        < falling_root(lambda x: math.inf if x <= 3 else -math.inf, low=0.0, high=10.0, tolerance=1e-6)
        <= 3.0 + 1e-6
    )
    assert falling_root(lambda x: 1.0 - x, low=0.0, high=1e300, tolerance=0.0) == 1.0
