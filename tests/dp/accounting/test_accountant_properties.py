"""What holds of every composition: bounds move the way privacy does, and never turn into nonsense."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp.accounting.accountant import Method, RdpAccountant
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
from dp.vocabulary import Relation, Unit

SLACK = 1 + 1e-8
"""The search for the best order stops within less than that of the best."""

deltas = st.floats(-12, -0.01).map(lambda exponent: 10.0**exponent)
noises = st.floats(-1, 2).map(lambda exponent: 10.0**exponent)
parts = st.floats(-9, 0).map(lambda exponent: 10.0**exponent)
counts = st.integers(0, 40).map(lambda bits: 2**bits)
squares = st.integers(1, 10**4)
variances = st.fractions(min_value=Fraction(1, 4), max_value=10**6)


def events_of(relation: Relation) -> st.SearchStrategy[Event]:
    gaussian = st.builds(Gaussian, noises, st.just(relation), st.just(Unit.CLIENT))
    discrete = st.builds(DiscreteGaussian, variances, squares, st.just(relation), st.just(Unit.CLIENT))
    central = gaussian | discrete
    kinds: list[st.SearchStrategy[Event]] = [central]
    if relation is not Relation.REPLACE_ONE:
        kinds.append(st.builds(PoissonSampled, parts, central))
    if relation is not Relation.ADD_REMOVE:
        big = st.fractions(min_value=10**6, max_value=10**9)
        shares = st.builds(
            lambda variance, shares, square, dimension: DistributedDiscreteGaussian(
                variance, shares, square, square, dimension, relation
            ),
            variances,
            st.integers(1, 1000),
            squares,
            st.integers(1, 1000),
        )
        skellam = st.builds(lambda variance, square: Skellam(variance, square, square, relation), big, squares)
        kinds += [shares, skellam]
        central = central | shares | skellam
    if relation is Relation.REPLACE_ONE:
        kinds.append(
            st.builds(lambda n, event: SampledWithoutReplacement(1000, n, event), st.integers(0, 1000), central)
        )
    return st.one_of(kinds)


compositions = st.sampled_from(list(Relation)).flatmap(
    lambda relation: st.lists(st.tuples(events_of(relation), counts), min_size=1, max_size=3)
)


def composed(events: list[tuple[Event, int]]) -> RdpAccountant:
    accountant = RdpAccountant()
    for event, count in events:
        accountant.compose(event, count)
    return accountant


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(compositions, deltas, deltas)
def test_epsilon_is_a_number_that_falls_as_delta_grows_and_delta_is_its_inverse(
    events: list[tuple[Event, int]], delta: float, other: float
) -> None:
    accountant = composed(events)
    bound = accountant.epsilon(delta)
    assert bound.value >= 0
    assert (bound.order is not None) == (bound.method is Method.RDP)
    if other > delta:
        assert accountant.epsilon(other).value <= bound.value * SLACK
    if math.isfinite(bound.value):
        back = accountant.delta(bound.value)
        assert 0 <= back.value <= 1
        # Both are rounded up, by 1e-12 of the divergence: at an epsilon of 1e10 that is a hundredth of delta.
        order = max(bound.order or 1.0, back.order or 1.0)
        assert back.value <= delta * (1 + 1e-5 + 4e-12 * (order - 1) * bound.value)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(compositions, deltas)
def test_one_more_release_never_costs_less_and_how_they_are_grouped_does_not_matter(
    events: list[tuple[Event, int]], delta: float
) -> None:
    whole = composed(events).epsilon(delta).value
    assert composed(events[:-1]).epsilon(delta).value <= whole * SLACK
    event, count = events[-1]
    less = composed([*events[:-1], (event, count // 2)])
    assert less.epsilon(delta).value <= whole * SLACK
    halves = less.compose(Composed(((event, 1),)), count - count // 2)
    assert math.isclose(halves.epsilon(delta).value, whole, rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(parts, noises, counts, deltas, st.floats(1.0, 3.0), st.floats(0.1, 1.0))
def test_more_noise_and_smaller_samples_never_cost_more(
    part: float, noise: float, count: int, delta: float, louder: float, rarer: float
) -> None:
    def epsilon(part: float, noise: float) -> float:
        return RdpAccountant().compose(PoissonSampled(part, Gaussian(noise)), count).epsilon(delta).value

    here = epsilon(part, noise)
    assert epsilon(part, noise * louder) <= here * SLACK
    assert epsilon(part * rarer, noise) <= here * SLACK
    # Whatever is sampled is at least as private as without.
    assert here <= RdpAccountant().compose(Gaussian(noise), count).epsilon(delta).value * SLACK


def has_a_rising_bound(event: Event) -> bool:
    # The general bounds for sampling fall in places, as they are no divergence of anything.
    sampled = isinstance(event, PoissonSampled | SampledWithoutReplacement)
    return not sampled or isinstance(event.event, Gaussian)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(compositions, st.lists(st.floats(1.0, 300.0), min_size=2, max_size=8))
def test_curves_are_never_negative_and_rise_with_the_order(
    events: list[tuple[Event, int]], orders: list[float]
) -> None:
    orders = sorted(orders)
    values = composed(events).rdp(orders).tolist()
    assert all(value >= 0 for value in values)
    if all(has_a_rising_bound(event) for event, _ in events):
        assert all(a <= b * (1 + 1e-11) for a, b in pairwise(values))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(compositions, st.floats(0.01, 20.0), deltas)
def test_what_remains_fits_and_one_more_does_not(events: list[tuple[Event, int]], budget: float, delta: float) -> None:
    accountant, event = composed(events[:-1]), events[-1][0]
    left = accountant.remaining(event, budget, delta)
    assert 0 <= left <= 2**63
    if left:
        assert not accountant.would_exceed(event, left, budget, delta)
    if left < 2**63:
        assert accountant.would_exceed(event, left + 1, budget, delta)
