"""The samplers' share of delta: what comes out keeps the promise with the share that it needs itself."""

import math
from fractions import Fraction

import numpy as np
import pytest

from dp.accounting.accountant import Bound, Method
from dp.accounting.sampler_share import bound_with_samplers, epsilons_with_samplers
from dp.noise.samplers import TOTAL_VARIATION_BITS

DELTA = Fraction(1, 10**6)


def linear(delta: float) -> Bound:
    """As if epsilon were the logarithm of 1/delta."""
    return Bound(-math.log(delta), 2.0, Method.RDP)


@pytest.mark.parametrize("samples", [0, 1, 10**12, 10**17])
@pytest.mark.parametrize("assumed", [None, 14.0, 1.0])
def test_what_is_set_aside_is_enough(samples: int, assumed: float | None) -> None:
    bound = bound_with_samplers(linear, DELTA, samples, assumed=assumed)
    share = Fraction(samples, 2**TOTAL_VARIATION_BITS) * (1 + Fraction(math.exp(bound.value)))
    assert Fraction(math.exp(-bound.value)) + share <= DELTA * (1 + Fraction(1, 10**9))
    assert bound.value >= linear(float(DELTA)).value


def test_many_at_once_are_as_each_alone() -> None:
    samples = np.array([0.0, 10.0**12, 10.0**16])
    many = epsilons_with_samplers(lambda deltas: -np.log(deltas), DELTA, samples)
    alone = [bound_with_samplers(linear, DELTA, int(number)).value for number in samples]
    assert many == pytest.approx(alone, rel=1e-9)


def test_samplers_that_use_up_delta_leave_no_guarantee() -> None:
    assert bound_with_samplers(linear, DELTA, 2**90).value == math.inf
    assert epsilons_with_samplers(lambda deltas: -np.log(deltas), DELTA, np.array([2.0**90])).tolist() == [math.inf]
