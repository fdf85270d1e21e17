"""At its limits an accountant answers as mathematics does, or says at once why not; and it is as tight as peers."""

import importlib.util
import math
from fractions import Fraction

import numpy as np
import pytest

from dp import (
    Composed,
    ComputationTooLargeError,
    DiscreteGaussian,
    DistributedDiscreteGaussian,
    Gaussian,
    InvalidParameterError,
    NonPrivate,
    PoissonSampled,
    RdpAccountant,
    Relation,
    SampledWithoutReplacement,
    Skellam,
    Unit,
    UnsupportedEventError,
    calibrate,
    noise_multiplier,
)

needs_pld = pytest.mark.skipif(importlib.util.find_spec("dp_accounting") is None, reason="the extra pld is not there")

ADD_REMOVE, REPLACE_ONE, ZERO_OUT = Relation.ADD_REMOVE, Relation.REPLACE_ONE, Relation.ZERO_OUT
DISCRETE = DiscreteGaussian(Fraction(100), 100, ADD_REMOVE, Unit.EXAMPLE)
NOISY = {
    "gaussian": Gaussian(1.0),
    "hardly any noise": Gaussian(1e-150),
    "much noise": Gaussian(1e150),
    "sampled": PoissonSampled(0.1, Gaussian(1.0)),
    "discrete": DISCRETE,
    "sampled discrete": PoissonSampled(0.1, DISCRETE),
    "without replacement": SampledWithoutReplacement(100, 10, Gaussian(1.0, REPLACE_ONE)),
    "skellam": Skellam(Fraction(1000), 100, 10),
    "shares": DistributedDiscreteGaussian(Fraction(10), 100, 100, 10, 4),
    "composed": Composed(((Gaussian(1.0), 3), (PoissonSampled(0.01, Gaussian(2.0)), 5))),
    "sampled composed": PoissonSampled(0.1, Composed(((Gaussian(1.0), 2), (Gaussian(3.0), 1)))),
}
noisy = pytest.mark.parametrize("event", NOISY.values(), ids=NOISY.keys())


def spent(event: object, count: int = 1, *, pld: bool = False) -> RdpAccountant:
    return RdpAccountant(pld=pld).compose(event, count)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------- The ends
@noisy
@pytest.mark.parametrize(
    "zero", [0, 0.0, -0.0, np.float64(0), np.float32(0), np.int64(0), Fraction(0), float("1e-400")], ids=repr
)
def test_at_a_delta_of_0_noise_with_tails_has_no_epsilon(event, zero):
    assert spent(event).epsilon(zero).value == math.inf


@noisy
@pytest.mark.parametrize("one", [1, 1.0, np.float64(1), np.int8(1), Fraction(1)], ids=repr)
def test_at_a_delta_of_1_epsilon_is_0(event, one):
    assert spent(event).epsilon(one).value == 0


@noisy
@pytest.mark.parametrize("infinite", [math.inf, np.float64("inf"), np.float32("inf")], ids=repr)
def test_at_an_infinite_epsilon_delta_is_0(event, infinite):
    assert spent(event).delta(infinite).value == 0


@noisy
def test_towards_the_ends_the_figures_go_where_they_end(event):
    accountant = spent(event)
    epsilons = [accountant.epsilon(delta).value for delta in (0.9, 1e-5, 1e-100, 5e-324, 0.0)]
    assert epsilons == sorted(epsilons)
    deltas = [accountant.delta(epsilon).value for epsilon in (0.0, 1.0, 1e3, 1e308, 10**400, math.inf)]
    assert deltas == sorted(deltas, reverse=True)
    assert not any(math.isnan(value) for value in (*epsilons, *deltas))


def test_where_nothing_was_released_every_figure_is_0():
    for accountant in (
        RdpAccountant(),
        spent(Gaussian(1.0), 0),
        spent(PoissonSampled(0.0, Gaussian(1.0))),
        spent(SampledWithoutReplacement(10, 0, Gaussian(1.0, REPLACE_ONE))),
        spent(Composed(((Gaussian(1.0), 0),))),
    ):
        assert [accountant.epsilon(delta).value for delta in (0, 1e-5, 1)] == [0, 0, 0]
        assert [accountant.delta(epsilon).value for epsilon in (0, 1, math.inf)] == [0, 0, 0]
        assert accountant.rdp([1.0, 2.0, math.inf]).tolist() == [0, 0, 0]


def test_where_everything_was_released_delta_is_its_chance():
    whole, tenth = NonPrivate(ADD_REMOVE, Unit.EXAMPLE), PoissonSampled(0.1, NonPrivate(ADD_REMOVE, Unit.EXAMPLE))
    for epsilon in (0.0, 5.0, math.inf):
        assert spent(whole).delta(epsilon).value == 1
        assert 0.1 <= spent(tenth).delta(epsilon).value <= 0.1 * (1 + 1e-9)
    assert spent(whole).epsilon(0.5).value == math.inf
    assert spent(whole).epsilon(1).value == 0
    assert spent(tenth).epsilon(0.05).value == math.inf
    assert spent(tenth).epsilon(0.11).value == 0


def test_the_infinite_order_is_the_largest_loss():
    assert spent(Gaussian(1.0)).rdp([2.0, math.inf]).tolist() == [1.0, math.inf]


@pytest.mark.parametrize("wrong", [-1e-9, -math.inf, math.nan, 1.0000001, True, None, "0", 1j, [0.1]], ids=repr)
def test_what_is_no_delta_is_refused(wrong):
    with pytest.raises(InvalidParameterError, match="delta"):
        spent(Gaussian(1.0)).epsilon(wrong)


@pytest.mark.parametrize("wrong", [-1e-9, -math.inf, math.nan, False, None, "inf", 1j, [1]], ids=repr)
def test_what_is_no_epsilon_is_refused(wrong):
    with pytest.raises(InvalidParameterError, match="epsilon"):
        spent(Gaussian(1.0)).delta(wrong)


def test_an_infinite_budget_is_never_exceeded_and_always_has_room():
    assert not spent(Gaussian(1.0)).would_exceed(Gaussian(1.0), 10, math.inf, 1e-5)
    assert not spent(Gaussian(1.0)).would_exceed(NonPrivate(ADD_REMOVE, Unit.EXAMPLE), 1, math.inf, 0.0)
    assert spent(Gaussian(1.0)).remaining(Gaussian(1.0), math.inf, 1e-5) == 2**63


# ---------------------------------------------------------------------------------- Privacy loss distributions, bounded
@needs_pld
@pytest.mark.parametrize(("q", "sigma", "count"), [(0.01, 0.05, 10), (0.5, 0.02, 3), (0.1, 1e-30, 1)])
def test_privacy_loss_distributions_at_little_noise_are_refused_at_once(q, sigma, count):
    accountant = spent(PoissonSampled(q, Gaussian(sigma)), count, pld=True)
    with pytest.raises(ComputationTooLargeError) as refused:
        accountant.epsilon(1e-5)
    assert refused.value.predicted > refused.value.allowed
    assert "without pld=True" in str(refused.value)
    assert accountant.copy(pld=False).epsilon(1e-5).value > 0


@needs_pld
def test_what_remains_is_judged_without_them_where_they_are_refused():
    event = PoissonSampled(0.01, Gaussian(0.05))
    plain, tight = spent(event).remaining(event, 1e5, 1e-5), spent(event, pld=True).remaining(event, 1e5, 1e-5)
    assert tight == plain > 0


# ---------------------------------------------------------------------------------------------------------- Calibration
@needs_pld
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_noise_by_privacy_loss_distributions_keeps_its_promise_and_is_less():
    epsilon, delta, q, count = 2.0, 1e-5, 0.01, 1000
    tight = noise_multiplier(epsilon, delta, probability=q, count=count, pld=True)
    plain = noise_multiplier(epsilon, delta, probability=q, count=count)
    assert 0.8 * plain < tight < plain
    assert spent(PoissonSampled(q, Gaussian(tight)), count, pld=True).epsilon(delta).value <= epsilon
    less = tight * (1 - 1e-4)
    assert spent(PoissonSampled(q, Gaussian(less)), count, pld=True).epsilon(delta).value > epsilon


@needs_pld
def test_without_sampling_the_exact_profile_is_taken_whatever_was_asked():
    assert noise_multiplier(1.0, 1e-5, pld=True) == pytest.approx(noise_multiplier(1.0, 1e-5), rel=1e-6)


@needs_pld
def test_a_calibration_that_would_take_minutes_is_refused():
    with pytest.raises(ComputationTooLargeError):
        noise_multiplier(1e6, 1e-5, probability=0.01, count=10, pld=True)


def test_calibration_sees_what_was_spent_and_leaves_it():
    before = spent(Gaussian(2.0))
    noise = calibrate(Gaussian, 3.0, 1e-5, spent=before)
    assert before.copy().compose(Gaussian(noise)).epsilon(1e-5).value <= 3.0
    assert before.events == {Gaussian(2.0): 1}


# ------------------------------------------------------------------------------------------------- As tight as the best
def test_a_sample_with_discrete_noise_counts_as_with_continuous_noise():
    discrete = DiscreteGaussian(Fraction(10**6), 10**6, ADD_REMOVE, Unit.EXAMPLE)
    ours = spent(PoissonSampled(0.01, discrete), 1000).epsilon(1e-5).value
    continuous = spent(PoissonSampled(0.01, Gaussian(1.0)), 1000).epsilon(1e-5).value
    assert continuous <= ours * (1 + 1e-9)
    assert ours <= continuous * 1.001


def test_nested_samples_and_compositions_are_counted_in_every_order():
    inner = Composed(((Gaussian(2.0), 3), (Gaussian(5.0), 2)))
    together = spent(PoissonSampled(0.05, inner), 20).epsilon(1e-5).value
    # On one sample: as one Gaussian of their joint precision.
    joint = Gaussian(1 / math.sqrt(3 / 4 + 2 / 25))
    assert together == pytest.approx(spent(PoissonSampled(0.05, joint), 20).epsilon(1e-5).value, rel=1e-9)
    # On samples of their own it is another mechanism.
    apart = Composed(((PoissonSampled(0.05, Gaussian(2.0)), 3), (PoissonSampled(0.05, Gaussian(5.0)), 2)))
    assert spent(apart, 20).epsilon(1e-5).value < together
    two = PoissonSampled(0.1, Composed(((DISCRETE, 2),)))
    assert 0 < spent(two).epsilon(1e-5).value < spent(DISCRETE, 2).epsilon(1e-5).value
    with pytest.raises(UnsupportedEventError, match="sample of a sample"):
        spent(PoissonSampled(0.5, PoissonSampled(0.1, Gaussian(1.0))))
