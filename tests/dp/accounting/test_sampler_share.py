"""The samplers' share of delta: what comes out keeps the promise with the share that it needs itself."""

import math
from fractions import Fraction

import numpy as np
import pytest

from dp.accounting.accountant import Bound, Method
from dp.accounting.sampler_share import bound_under_target, bound_with_samplers, epsilons_with_samplers
from dp.noise.samplers import TOTAL_VARIATION_BITS

DELTA = Fraction(1, 10**6)


def linear(delta: float) -> Bound:
    """As if epsilon were the logarithm of 1/delta."""
    return Bound(-math.log(delta), 2.0, Method.RDP)


def bound(samples: int, target: float | None = None) -> Bound:
    if target is None:
        return bound_with_samplers(linear, DELTA, samples)
    return bound_under_target(linear, delta=DELTA, samples=samples, target=target)


@pytest.mark.parametrize("samples", [0, 1, 10**12, 10**17])
@pytest.mark.parametrize("target", [None, 14.0, 1.0])
def test_what_is_set_aside_is_enough(samples: int, target: float | None) -> None:
    found = bound(samples, target).value
    share = Fraction(samples, 2**TOTAL_VARIATION_BITS) * (1 + Fraction(math.exp(found)))
    assert Fraction(math.exp(-found)) + share <= DELTA * (1 + Fraction(1, 10**9))
    assert found >= linear(float(DELTA)).value


def test_many_at_once_are_as_each_alone() -> None:
    samples = np.array([0.0, 10.0**12, 10.0**16])
    many = epsilons_with_samplers(lambda deltas: -np.log(deltas), DELTA, samples)
    alone = [bound(int(number)).value for number in samples]
    assert many == pytest.approx(alone, rel=1e-9)


@pytest.mark.parametrize("target", [None, 14.0, 1e4], ids=str)
def test_samplers_that_use_up_delta_leave_no_guarantee(target: float | None) -> None:
    assert bound(2**90, target) == Bound(math.inf, None, Method.NO_GUARANTEE)


def test_samplers_that_use_up_delta_leave_none_of_many_a_guarantee() -> None:
    many = epsilons_with_samplers(lambda deltas: -np.log(deltas), DELTA, np.array([2.0**90]))
    assert many.tolist() == [math.inf]


def test_a_share_that_grows_with_each_guess_ends_without_a_guarantee() -> None:
    """Each guess is met by an epsilon a little above it. What ledgers claim relies on the number of guesses."""
    guesses: list[float] = []

    def epsilon(delta: float) -> Bound:
        guesses.append(delta)
        return Bound(1e-6 * len(guesses), 2.0, Method.RDP)

    assert bound_with_samplers(epsilon, DELTA, 1).value == math.inf
    assert len(guesses) == 1 + 40
