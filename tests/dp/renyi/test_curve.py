"""The sum of curves: which formula belongs to which event, and nothing else."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from dp.accounting.accountant import Bound, Method, RdpAccountant
from dp.errors import UnsupportedEventError
from dp.events import (
    Composed,
    DiscreteGaussian,
    DistributedDiscreteGaussian,
    Event,
    Gaussian,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.renyi.distributed import distributed_discrete_gaussian_rdp, skellam_rdp
from dp.vocabulary import Relation, Unit

ZERO_OUT, REPLACE_ONE, ADD_REMOVE = Relation.ZERO_OUT, Relation.REPLACE_ONE, Relation.ADD_REMOVE


CLIENT, EXAMPLE = Unit.CLIENT, Unit.EXAMPLE


SKELLAM = Skellam(Fraction(10**5), 100, 100)


SHARES = DistributedDiscreteGaussian(Fraction(100), 50, 100, 100, 64)


CENTRAL = DiscreteGaussian(Fraction(100), 100, ZERO_OUT, CLIENT)


def spent(event: Event, count: int = 1) -> RdpAccountant:
    return RdpAccountant().compose(event, count)


def sampled(q: float, sigma: float) -> PoissonSampled:
    return PoissonSampled(q, Gaussian(sigma))


def converted(order: float, rdp: float, delta: float) -> float:
    return rdp + math.log((order - 1) / order) - (math.log(delta) + math.log(order)) / (order - 1)


def test_composition_adds_curves_and_nothing_else() -> None:
    a, b, c = sampled(0.01, 1.0), sampled(0.02, 2.0), Gaussian(30.0)
    orders = np.array([1.0, 1.5, 2.0, 10.0, 33.3, 64.0, 200.0])
    whole = spent(a, 5).compose(b, 7).compose(c, 11)
    parts = 5 * spent(a).rdp(orders) + 7 * spent(b).rdp(orders) + 11 * spent(c).rdp(orders)
    np.testing.assert_allclose(whole.rdp(orders), parts, rtol=1e-13)
    assert whole.epsilon(1e-6).value < sum(spent(e, n).epsilon(1e-6).value for e, n in ((a, 5), (b, 7), (c, 11)))
    again = RdpAccountant()
    for _ in range(5):
        again.compose(Composed(((b, 1), (Composed(((a, 1), (c, 2))), 1))))
    again.compose(b, 2).compose(c)
    assert dict(again.events) == dict(whole.events) == {a: 5, b: 7, c: 11}
    assert again.epsilon(1e-6) == whole.epsilon(1e-6)


def test_a_sample_of_several_gaussians_is_a_sample_of_one() -> None:
    several = PoissonSampled(0.01, Composed(((Gaussian(2.0), 3), (Gaussian(4.0), 4))))
    assert spent(several, 100).epsilon(1e-5).value == pytest.approx(spent(sampled(0.01, 1.0), 100).epsilon(1e-5).value)


@pytest.mark.slow
def test_thousands_of_different_rounds_are_the_sum_of_each() -> None:
    rng = np.random.default_rng(3)
    for low, high in ((1e-3, 0.05), (1e-6, 1e-5)):
        pairs = list(zip(rng.uniform(low, high, 1500), rng.uniform(0.5, 3, 1500), strict=True))
        accountant = RdpAccountant()
        for q, sigma in pairs:
            accountant.compose(sampled(q, sigma))
        bound = accountant.epsilon(1e-6)
        some = [spent(sampled(q, sigma)).rdp([bound.order])[0] for q, sigma in pairs]
        assert math.isclose(bound.value, converted(bound.order, math.fsum(some), 1e-6), rel_tol=1e-11)
        orders = 1 + (bound.order - 1) * np.linspace(0.9, 1.1, 21)
        others = accountant.rdp(orders)
        assert bound.value <= min(map(converted, orders, others, [1e-6] * 21)) * (1 + 1e-9)


def test_the_curves_of_integer_noise_are_the_published_ones() -> None:
    orders = np.array([2.0, 3.0, 17.0, 200.0])
    np.testing.assert_allclose(spent(CENTRAL).rdp(orders), orders * 100 / 200, rtol=1e-14)
    shares = distributed_discrete_gaussian_rdp(orders, SHARES)
    np.testing.assert_allclose(spent(SHARES).rdp(orders), shares, rtol=1e-14)
    far = Skellam(Fraction(10**7), 100, 100)
    np.testing.assert_allclose(spent(far).rdp(orders), skellam_rdp(orders, far), rtol=1e-14)
    near = Skellam(Fraction(2), 1, 1)
    assert (spent(near).rdp(orders) < skellam_rdp(orders, near)).all()


def test_between_integers_the_published_skellam_bound_is_used_as_far_as_convexity_goes() -> None:
    far = Skellam(Fraction(10**7), 100, 100)
    at = spent(far).rdp([1.0, 1.5, 2.0, 5.0, 5.5, 6.0])
    assert at[0] == at[1] == at[2]
    assert math.isclose(4.5 * at[4], 0.5 * 4 * at[3] + 0.5 * 5 * at[5], rel_tol=1e-13)


@dataclass(frozen=True)
class Unknown(Event):
    relation: Relation = ADD_REMOVE
    unit: Unit = EXAMPLE


@dataclass(eq=True)
class Unhashable(Event):
    relation: Relation = ADD_REMOVE
    unit: Unit = EXAMPLE


@pytest.mark.parametrize(
    "event",
    [
        None,
        Gaussian,
        "gaussian",
        Event(),
        Unknown(),
        Unhashable(),
        Composed(((Gaussian(1.0), 1), (Unknown(), 0))),
        PoissonSampled(0.0, Unknown()),
        PoissonSampled(0.1, SKELLAM),
        PoissonSampled(0.1, SHARES),
        PoissonSampled(1.0, Composed(((SKELLAM, 1),))),
        PoissonSampled(0.1, Gaussian(1.0, REPLACE_ONE)),
        PoissonSampled(0.1, sampled(0.1, 1.0)),
        SampledWithoutReplacement(9, 3, SampledWithoutReplacement(9, 3, Gaussian(1.0, REPLACE_ONE))),
    ],
)
def test_an_event_without_a_bound_is_refused_and_changes_nothing(event: Any) -> None:
    accountant = RdpAccountant()
    for call in (
        lambda: accountant.compose(event),
        lambda: accountant.would_exceed(event, 1, 1.0, 1e-5),
        lambda: accountant.remaining(event, 1.0, 1e-5),
    ):
        with pytest.raises(UnsupportedEventError):
            call()
    assert accountant.epsilon(1e-5) == Bound(0.0, None, Method.NOTHING)
    assert accountant.compose(Gaussian(1.0, ZERO_OUT, CLIENT)).events
