"""The accountant: what it adds, what it refuses, and that its bounds are bounds."""

import math
import pickle
from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from dp.accounting.accountant import Bound, Method, RdpAccountant
from dp.errors import InvalidParameterError, UnlikeEventsError
from dp.events import (
    DiscreteGaussian,
    DistributedDiscreteGaussian,
    Event,
    Gaussian,
    NonPrivate,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.vocabulary import Relation, Unit
from tests.kit import accounting_oracle as oracle

ZERO_OUT, REPLACE_ONE, ADD_REMOVE = Relation.ZERO_OUT, Relation.REPLACE_ONE, Relation.ADD_REMOVE
CLIENT, EXAMPLE = Unit.CLIENT, Unit.EXAMPLE
NAN = float("nan")

SKELLAM = Skellam(Fraction(10**5), 100, 100)
SHARES = DistributedDiscreteGaussian(Fraction(100), 50, 100, 100, 64)
CENTRAL = DiscreteGaussian(Fraction(100), 100, ZERO_OUT, CLIENT)


def spent(event: Event, count: int = 1) -> RdpAccountant:
    return RdpAccountant().compose(event, count)


def sampled(q: float, sigma: float) -> PoissonSampled:
    return PoissonSampled(q, Gaussian(sigma))


def converted(order: float, rdp: float, delta: float) -> float:
    return rdp + math.log((order - 1) / order) - (math.log(delta) + math.log(order)) / (order - 1)


def test_the_line_that_a_user_writes() -> None:
    bound = RdpAccountant().compose(PoissonSampled(0.01, Gaussian(1.0)), 1000).epsilon(1e-5)
    assert math.isclose(bound.value, 2.101322131236, rel_tol=1e-11)
    assert bound.method is Method.RDP
    exact = 1000 * oracle.poisson_gaussian(0.01, 1.0, bound.order)
    assert math.isclose(bound.value, converted(bound.order, float(exact), 1e-5), rel_tol=1e-11)
    assert bound.value >= converted(bound.order, float(exact), 1e-5)


def test_many_rounds_with_a_tiny_sample_where_grids_of_orders_end_too_early() -> None:
    bound = spent(sampled(1e-4, 2.0), 10**6).epsilon(1e-7)
    assert math.isclose(bound.value, 0.25481, abs_tol=5e-6)
    assert math.isclose(bound.order, 72.6, abs_tol=0.05)


@pytest.mark.parametrize(
    ("event", "count", "delta"),
    [
        (sampled(0.01, 1.0), 1000, 1e-5),
        (sampled(1e-4, 2.0), 10**6, 1e-7),
        (sampled(0.1, 0.3), 10**4, 1e-5),
        (sampled(0.001, 5.0), 100, 1e-6),
        (sampled(0.5, 50.0), 10, 1e-5),
        (sampled(1e-6, 1.0), 1000, 1e-9),
        (SampledWithoutReplacement(1000, 10, Gaussian(1.0, REPLACE_ONE)), 100, 1e-6),
        (CENTRAL, 50, 1e-6),
        (SKELLAM, 50, 1e-6),
        (Skellam(Fraction(5), 4, 4), 2, 1e-6),
        (SHARES, 50, 1e-6),
        (PoissonSampled(0.01, CENTRAL), 1000, 1e-6),
        (SampledWithoutReplacement(100, 1, Skellam(Fraction(10**5), 100, 100, REPLACE_ONE)), 500, 1e-6),
    ],
)
def test_no_order_nearby_or_far_is_better_than_the_one_found(event: Event, count: int, delta: float) -> None:
    accountant = spent(event, count)
    best = accountant.epsilon(delta)
    assert best.method is Method.RDP
    orders = np.unique(np.clip(1 + (best.order - 1) * np.geomspace(0.02, 50, 241), 1.0001, 5000))
    orders = np.concatenate((orders, 1 + (best.order - 1) * np.linspace(0.98, 1.02, 21)))
    values = [converted(order, rdp, delta) for order, rdp in zip(orders, accountant.rdp(orders), strict=True)]
    assert best.value <= min(values) * (1 + 1e-9)
    # And it is what the curve gives there, rounded up.
    there = converted(best.order, float(accountant.rdp([best.order])[0]), delta)
    assert there <= best.value <= there * (1 + 1e-11)


@pytest.mark.parametrize("noise", [0.3, 1.0, 7.0, 200.0])
@pytest.mark.parametrize("count", [1, 7, 10**6])
@pytest.mark.parametrize("delta", [1e-12, 1e-5, 0.1])
def test_without_sampling_it_is_the_exact_gaussian(noise: float, count: int, delta: float) -> None:
    mu = math.sqrt(count) / noise
    for relation in Relation:
        bound = spent(Gaussian(noise, relation), count).epsilon(delta)
        if oracle.gaussian_delta(mu, 0) <= delta:
            assert bound.value == 0
        else:
            assert bound.method is Method.ANALYTIC_GAUSSIAN
            assert oracle.gaussian_delta(mu, bound.value) <= delta
            assert oracle.gaussian_delta(mu, bound.value * (1 - 1e-9)) > delta
        assert spent(PoissonSampled(1.0, Gaussian(noise)), count).epsilon(delta) == bound
        back = spent(Gaussian(noise, relation), count).delta(bound.value).value
        assert back <= delta * (1 + 1e-6) or bound.value == 0


def test_unlike_neighbours_do_not_compose() -> None:
    accountant = spent(Gaussian(1.0, ADD_REMOVE, EXAMPLE))
    for event in (
        Gaussian(1.0, ZERO_OUT, EXAMPLE),
        Gaussian(1.0, ADD_REMOVE, CLIENT),
        NonPrivate(REPLACE_ONE, EXAMPLE),
        SKELLAM,
    ):
        for call in (accountant.compose, lambda e: accountant.would_exceed(e, 1, 1.0, 1e-5)):
            with pytest.raises(UnlikeEventsError):
                call(event)
    assert len(accountant.events) == 1


@pytest.mark.parametrize("delta", [-0.1, 1.5, NAN, math.inf, None, "0.1", True, 1j])
def test_delta_is_between_0_and_1(delta: Any) -> None:
    for accountant in (RdpAccountant(), spent(Gaussian(1.0)), spent(NonPrivate(ZERO_OUT, CLIENT))):
        with pytest.raises(InvalidParameterError, match="delta"):
            accountant.epsilon(delta)
        with pytest.raises(InvalidParameterError, match="delta"):
            accountant.remaining(Gaussian(1.0), 1.0, delta)


@pytest.mark.parametrize("epsilon", [-0.1, -math.inf, NAN, None, "1", True])
def test_epsilon_is_not_below_0(epsilon: Any) -> None:
    with pytest.raises(InvalidParameterError, match="epsilon"):
        spent(Gaussian(1.0)).delta(epsilon)
    with pytest.raises(InvalidParameterError, match="epsilon"):
        spent(Gaussian(1.0)).would_exceed(Gaussian(1.0), 1, epsilon, 1e-5)


@pytest.mark.parametrize("count", [-1, 1.0, 2**63 + 1, NAN, None, "1", True])
def test_counts_are_integers_up_to_2_to_the_63(count: Any) -> None:
    with pytest.raises(InvalidParameterError, match="count"):
        RdpAccountant().compose(Gaussian(1.0), count)


@pytest.mark.parametrize("orders", [[0.5], [NAN], [-math.inf], ["2"], 2.0, [[2.0]], [2**21], [True]])
def test_orders_are_numbers_from_1_on(orders: Any) -> None:
    with pytest.raises(InvalidParameterError, match="orders"):
        spent(Gaussian(1.0)).rdp(orders)


def test_counts_may_be_enormous() -> None:
    for event in (
        sampled(0.01, 1.0),
        sampled(1e-9, 100.0),
        Gaussian(1e9),
        SKELLAM,
        SHARES,
        PoissonSampled(0.1, CENTRAL),
    ):
        accountant = spent(event, 2**63).compose(event, 2**63)
        assert accountant.events[event] == 2**64
        bound = accountant.epsilon(1e-5)
        assert 0 < bound.value < math.inf
        assert 0 <= accountant.delta(bound.value).value <= 1


def test_nothing_and_everything() -> None:
    assert RdpAccountant().epsilon(1e-5) == RdpAccountant().delta(0.0) == Bound(0.0, None, Method.NOTHING)
    assert spent(Gaussian(1.0), 0).epsilon(1e-5).value == 0
    assert RdpAccountant().rdp([1.0, 2.0]).tolist() == [0, 0]
    for event in (NonPrivate(ADD_REMOVE, EXAMPLE), PoissonSampled(0.1, NonPrivate(ADD_REMOVE, EXAMPLE))):
        accountant = spent(sampled(0.1, 1.0)).compose(event)
        assert accountant.epsilon(1e-5) == Bound(math.inf, None, Method.NO_GUARANTEE)
        assert accountant.delta(10.0) == Bound(1.0, None, Method.NO_GUARANTEE)
        assert accountant.rdp([2.0]).tolist() == [math.inf]
        assert accountant.remaining(Gaussian(1.0), 100.0, 0.5) == 0
        assert accountant.would_exceed(Gaussian(1.0), 0, 1e300, 0.5)
    assert spent(PoissonSampled(0.0, NonPrivate(ADD_REMOVE, EXAMPLE))).epsilon(1e-5).value == 0


def test_noise_too_small_for_any_guarantee_is_infinite_not_nan() -> None:
    for event in (Gaussian(1e-200), sampled(0.1, 1e-200)):
        assert spent(event, 2**63).epsilon(1e-5).value == math.inf
        assert spent(event, 2**63).delta(1.0).value == pytest.approx(1.0)
    assert spent(sampled(0.1, 1e-200)).delta(1.0).value == pytest.approx(0.1)


def test_whoever_is_hardly_ever_sampled_has_epsilon_0() -> None:
    assert spent(sampled(1e-9, 0.01), 1000).epsilon(1e-5) == Bound(0.0, None, Method.TOTAL_VARIATION)
    assert spent(sampled(1e-9, 0.01), 1000).delta(0.0).value == pytest.approx(1e-6, rel=1e-9)
    # By the Kullback-Leibler divergence, where the distances of the rounds add up to more than delta.
    many = spent(sampled(1e-8, 10.0), 10**6)
    assert many.epsilon(1e-5).value == 0
    assert 1e6 * 1e-8 * math.erf(1 / (math.sqrt(8) * 10)) > 1e-5
    assert spent(SKELLAM).epsilon(0.9).value == spent(PoissonSampled(0.01, CENTRAL)).epsilon(0.9).value == 0


def exact_delta_of_one_release(q: float, sigma: float, epsilon: float) -> mp.mpf:
    """The larger of the two hockey-stick divergences of N(0) and the mixture, by their closed forms."""
    with mp.workdps(60):
        q, sigma, t = mp.mpf(q), mp.mpf(sigma), mp.exp(mp.mpf(epsilon))

        def tail(threshold: mp.mpf, mean: int) -> mp.mpf:
            return mp.ncdf((mean - threshold) / sigma)

        # The mixture over N(0) is 1 - q + q e^((2z-1)/2sigma^2): above t beyond z.
        z = (2 * sigma**2 * mp.log1p((t - 1) / q) + 1) / 2
        removed = (1 - q) * tail(z, 0) + q * tail(z, 1) - t * tail(z, 0)
        added = mp.mpf(0)
        if 1 / t > 1 - q:
            z = (2 * sigma**2 * mp.log1p((1 / t - 1) / q) + 1) / 2
            added = (1 - tail(z, 0)) - t * ((1 - q) * (1 - tail(z, 0)) + q * (1 - tail(z, 1)))
        return max(removed, added)


@pytest.mark.parametrize(("q", "sigma"), [(0.01, 1.0), (0.5, 0.4), (0.99, 3.0), (1e-5, 0.3), (0.3, 10.0)])
@pytest.mark.parametrize("delta", [1e-6, 1e-4, 1e-3])
def test_one_release_is_exact(q: float, sigma: float, delta: float) -> None:
    bound = spent(sampled(q, sigma)).epsilon(delta)
    assert exact_delta_of_one_release(q, sigma, bound.value) <= delta
    if bound.value > 0:
        assert bound.method is Method.SINGLE_RELEASE
        assert exact_delta_of_one_release(q, sigma, bound.value * (1 - 1e-9)) > delta
        assert spent(sampled(q, sigma)).delta(bound.value).value == pytest.approx(delta, rel=1e-6)
        # The Renyi curve gives a bound too, and it is above the truth.
        assert spent(sampled(q, sigma)).compose(sampled(q / 2, 1e6)).epsilon(delta).value > bound.value


def test_samples_of_nearly_everybody_are_accounted_as_everybody_where_that_is_less() -> None:
    bound = spent(sampled(0.99, 1.0), 100).epsilon(1e-6)
    assert bound.method is Method.UNSAMPLED_GAUSSIAN
    assert bound.value == spent(Gaussian(1.0), 100).epsilon(1e-6).value


def test_delta_and_epsilon_are_inverse() -> None:
    for event, count in ((sampled(0.01, 1.0), 1000), (SKELLAM, 30), (PoissonSampled(0.01, CENTRAL), 500)):
        for delta in (1e-9, 1e-5, 1e-2):
            epsilon = spent(event, count).epsilon(delta).value
            assert spent(event, count).delta(epsilon).value == pytest.approx(delta, rel=1e-6)


def test_would_exceed_looks_and_does_not_touch() -> None:
    accountant = spent(sampled(0.01, 1.0), 1000)
    before = accountant.epsilon(1e-5)
    assert accountant.would_exceed(sampled(0.01, 1.0), 1000, before.value, 1e-5)
    assert not accountant.would_exceed(sampled(0.01, 1.0), 0, before.value, 1e-5)
    assert accountant.epsilon(1e-5) == before
    twin = accountant.copy().compose(Gaussian(5.0))
    assert len(twin.events) == 2
    assert len(accountant.events) == 1


@pytest.mark.parametrize(
    ("event", "epsilon"),
    [
        (sampled(0.01, 1.0), 4.0),
        (Gaussian(10.0), 3.0),
        (sampled(1e-5, 3.0), 2.2),
        (PoissonSampled(0.01, DiscreteGaussian(Fraction(100), 100, ADD_REMOVE, EXAMPLE)), 3.0),
    ],
)
def test_as_many_fit_as_remain_and_one_more_does_not(event: Event, epsilon: float) -> None:
    accountant = spent(sampled(0.01, 1.0), 1000)
    left = accountant.remaining(event, epsilon, 1e-5)
    assert type(left) is int
    assert left > 1
    assert not accountant.would_exceed(event, left, epsilon, 1e-5)
    assert accountant.would_exceed(event, left + 1, epsilon, 1e-5)


def test_none_remain_of_a_spent_budget_and_no_end_of_what_costs_nothing() -> None:
    accountant = spent(sampled(0.01, 1.0), 1000)
    assert accountant.remaining(sampled(0.01, 1.0), 1.0, 1e-5) == 0
    assert accountant.remaining(sampled(0.0, 1.0), 4.0, 1e-5) == 2**63
    assert accountant.remaining(Gaussian(0.01), 4.0, 1e-5) == 0
    assert RdpAccountant().remaining(Gaussian(1.0), 5.0, 1e-5) == 1


def test_accountants_survive_pickling_and_show_what_they_hold() -> None:
    accountant = spent(PoissonSampled(0.1, CENTRAL), 3)
    bound = accountant.epsilon(1e-5)
    assert pickle.loads(pickle.dumps(accountant)).epsilon(1e-5) == bound
    assert repr(accountant) == "RdpAccountant(3 releases, 1 different, zero-out, client)"
    assert repr(RdpAccountant()) == "RdpAccountant(0 releases, 0 different)"
    with pytest.raises(TypeError):
        accountant.events[SKELLAM] = 1  # type: ignore[index]


@pytest.mark.slow
def test_more_honest_noise_never_costs() -> None:
    for make in (
        lambda n: Skellam(n * Fraction(40), 400, 400),
        lambda n: Skellam(n * Fraction(800), 400, 400),
        lambda n: DistributedDiscreteGaussian(Fraction(1, 2), n, 400, 400, 128),
    ):
        bounds = [spent(make(n), 10).epsilon(1e-5).value for n in (1, 2, 3, 10, 50, 99, 100, 101, 120, 400)]
        assert bounds == sorted(bounds, reverse=True)
