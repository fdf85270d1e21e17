"""Noise for a target and back."""

import math
from fractions import Fraction
from typing import Any

import pytest

from dp.accounting.accountant import RdpAccountant
from dp.accounting.calibration import calibrate, noise_multiplier
from dp.errors import InvalidParameterError
from dp.events import DiscreteGaussian, DistributedDiscreteGaussian, Event, Gaussian, PoissonSampled, Skellam
from dp.vocabulary import Relation, Unit

NAN = float("nan")


def epsilon(event: Event, count: int, delta: float) -> float:
    return RdpAccountant().compose(event, count).epsilon(delta).value


@pytest.mark.parametrize("target", [0.01, 0.3, 1.0, 8.0, 200.0])
@pytest.mark.parametrize(("probability", "count"), [(0.01, 1000), (1e-4, 10**6), (1.0, 1), (1.0, 10**4), (0.9, 3)])
@pytest.mark.parametrize("delta", [1e-9, 1e-4])
def test_the_noise_is_enough_and_hardly_less_is_not(
    target: float, probability: float, count: int, delta: float
) -> None:
    noise = noise_multiplier(target, delta, probability=probability, count=count)
    assert epsilon(PoissonSampled(probability, Gaussian(noise)), count, delta) <= target
    assert epsilon(PoissonSampled(probability, Gaussian(noise * (1 - 1e-6))), count, delta) > target


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "least"),
    [
        (lambda v: Skellam(Fraction(v), 10**4, 10**4), 1e-3),
        (lambda v: DiscreteGaussian(Fraction(v), 49, Relation.ZERO_OUT, Unit.CLIENT), 1e-3),
        (lambda v: DistributedDiscreteGaussian(Fraction(v), 100, 10**4, 10**4, 128), 0.25),
    ],
)
def test_the_variance_that_was_evaluated_is_the_one_returned(make: Any, least: float) -> None:
    variance = calibrate(make, 2.0, 1e-6, count=20, least=least)
    assert epsilon(make(variance), 20, 1e-6) <= 2.0
    assert epsilon(make(variance * (1 - 1e-6)), 20, 1e-6) > 2.0


def test_what_was_spent_before_counts_and_is_left_as_it_is() -> None:
    spent = RdpAccountant().compose(PoissonSampled(0.01, Gaussian(1.0)), 1000)
    noise = calibrate(Gaussian, 4.0, 1e-5, count=10, spent=spent)
    assert len(spent.events) == 1
    assert spent.copy().compose(Gaussian(noise), 10).epsilon(1e-5).value <= 4.0
    assert noise > calibrate(Gaussian, 4.0, 1e-5, count=10)
    with pytest.raises(InvalidParameterError, match="epsilon"):
        calibrate(Gaussian, 2.0, 1e-5, spent=spent)


def test_where_the_least_noise_is_enough_it_is_what_comes_back() -> None:
    assert calibrate(Gaussian, 1e6, 1e-5, least=0.5) == 0.5
    assert calibrate(lambda noise: PoissonSampled(1e-9, Gaussian(noise)), 1.0, 1e-5, least=0.125) == 0.125


def test_where_no_noise_is_enough_the_text_says_so() -> None:
    with pytest.raises(InvalidParameterError, match="reachable"):
        calibrate(Gaussian, 0.1, 1e-5, most=10.0)
    with pytest.raises(InvalidParameterError, match="reachable"):
        calibrate(lambda noise: Gaussian(1.0), 0.1, 1e-5)


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"epsilon": 0}, "epsilon"),
        ({"epsilon": -1.0}, "epsilon"),
        ({"epsilon": NAN}, "epsilon"),
        ({"epsilon": math.inf}, "epsilon"),
        ({"delta": 0.0}, "delta"),
        ({"delta": NAN}, "delta"),
        ({"count": 0}, "count"),
        ({"count": 1.5}, "count"),
        ({"probability": 0}, "probability"),
        ({"probability": 1.1}, "probability"),
        ({"probability": NAN}, "probability"),
        ({"relation": "zero-out"}, "relation"),
        ({"unit": None}, "unit"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        noise_multiplier(**{"epsilon": 1.0, "delta": 1e-5} | arguments)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(("least", "most"), [(0.0, 1.0), (NAN, 1.0), (2.0, 2.0), (2.0, NAN)])
def test_bad_ranges_are_named(least: float, most: float) -> None:
    with pytest.raises(InvalidParameterError, match="least|most"):
        calibrate(Gaussian, 1.0, 1e-5, least=least, most=most)
