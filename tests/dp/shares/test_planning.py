"""Plans of private sums: what they promise holds, nothing is wasted, and what cannot be is refused with a way out."""

import dataclasses
import math
import pickle
from fractions import Fraction
from itertools import pairwise

import mpmath as mp
import pytest

from dp.accounting.accountant import RdpAccountant
from dp.errors import DPError, InvalidParameterError
from dp.events import SampledWithoutReplacement
from dp.shares.planning import InfeasiblePlanError
from dp.vocabulary import Relation, SampleKnownTo, Sampling, Unit
from tests.kit import skellam_oracle as oracle
from tests.kit.distributed_plans import OUTSIDERS, planned

SKELLAM, GAUSSIAN = "skellam", "distributed-discrete-gaussian"
both = pytest.mark.parametrize("mechanism", [SKELLAM, GAUSSIAN])

LITTLE_NOISE = {"rounds": 1, "dimension": 60, "clients": 10, "min_survivors": 8, "modulus_bits": 9}
"""So little that the numerical divergence is the better bound."""


def samplers_share(plan):
    return (
        plan.rounds * plan.clients * plan.padded_dimension * (1 + mp.exp(float(plan.target_epsilon))) / mp.mpf(2) ** 100
    )


def promise_by_other_means(plan):
    """Epsilon at the plan's own order, from its integers and rationals alone."""
    honest = plan.min_survivors - plan.colluders
    order = oracle.number(plan.order)
    if plan.mechanism == SKELLAM:
        variance = honest * plan.local_variance
        published = oracle.skellam_formula(order, variance, plan.squared_norm_bound, plan.l1_bound)
        if plan.order.denominator != 1:
            shifts = range(1, math.isqrt(plan.squared_norm_bound) + 1)
            published = max(oracle.divergence(order, variance, k) / k**2 for k in shifts) * plan.squared_norm_bound
    else:
        # Of continuous noise: with shares as wide as here, tau is nothing.
        assert plan.local_variance > 30
        published = order * plan.squared_norm_bound / (2 * honest * oracle.number(plan.local_variance))
    delta = oracle.number(plan.delta) - samplers_share(plan)
    return oracle.epsilon(order, plan.rounds * published, Fraction(str(mp.nstr(delta, 30))))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mechanism": GAUSSIAN},
        {"epsilon": 0.5, "modulus_bits": 32},
        {"epsilon": 0.5, "modulus_bits": 32, "mechanism": GAUSSIAN},
        {"epsilon": 30.0, "delta": 1e-3, "rounds": 3},
        {"colluders": 30, "clip": 0.001},
        {"colluders": 69, "clip": 1e6},
        {"dimension": 2**20, "modulus_bits": 24},
        {"clients": 3, "min_survivors": 1, "dimension": 1, "modulus_bits": 16},
        {**LITTLE_NOISE, "epsilon": 8.0},
    ],
    ids=str,
)
def test_another_accountant_comes_to_the_promise(changes):
    found = planned(**changes)
    with mp.workdps(30):
        other = float(promise_by_other_means(found))
    assert float(found.promised_epsilon) == pytest.approx(other, rel=1e-9)
    assert found.promised_epsilon <= found.target_epsilon
    found.verify()


def test_numerical_divergences_are_used_where_they_can_be():
    found = planned(**LITTLE_NOISE, epsilon=25.0)
    order, variance = oracle.number(found.order), found.honest_shares * found.local_variance
    assert variance < 100
    published = oracle.skellam_formula(order, variance, found.squared_norm_bound, found.l1_bound)
    assert oracle.epsilon(order, published, found.delta) > 1.005 * found.epsilon().value


@both
@pytest.mark.parametrize(
    "changes",
    [{}, {"epsilon": 0.7}, {"epsilon": 40.0, "delta": 1e-4}, {"rounds": 1}, LITTLE_NOISE, {"colluders": 65}],
    ids=str,
)
def test_a_millionth_less_noise_breaks_the_promise(mechanism, changes):
    found = planned(mechanism=mechanism, **changes)
    assert found.epsilon().value <= float(found.target_epsilon)
    less = dataclasses.replace(found, local_variance=found.local_variance * (1 - Fraction(1, 10**6)) ** 2)
    assert less.epsilon().value > float(found.target_epsilon)


def test_what_the_samplers_are_off_by_is_part_of_delta():
    found = planned(delta=1e-15)
    event = found.event()
    accountant = RdpAccountant().compose(event, found.rounds)
    share = float(samplers_share(found))
    assert share == pytest.approx(100 * 100 * 1024 * (1 + math.exp(5)) / 2**100)
    assert share > 1e-22
    assert found.epsilon().value == pytest.approx(accountant.epsilon(1e-15 - share).value, rel=1e-12)
    tight = dataclasses.replace(found, delta=Fraction(share * 1.5))
    assert tight.epsilon().value > accountant.epsilon(share * 1.5).value * 1.01
    assert dataclasses.replace(found, delta=Fraction(share / 2)).epsilon().value == math.inf


@both
def test_the_limits_are_kept(mechanism):
    for bits in (13, 14, 17, 24, 64):
        found = planned(mechanism=mechanism, modulus_bits=bits)
        assert found.wrap_probability <= Fraction(1e-6)
        assert 1 <= found.inflation <= Fraction(11, 10)
        assert found.local_variance <= 10**8
        assert found.scale == Fraction(float(found.scale))
        assert found.l1_bound == min(
            math.isqrt(found.padded_dimension * found.squared_norm_bound), found.squared_norm_bound
        )
    # The last has all the noise that a sampler makes fast, and all the scale.
    assert found.local_variance > 0.999 * 10**8


@pytest.mark.parametrize("bits", [11, 12, 13, 14, 16])
def test_the_modulus_holds_where_a_finer_lattice_needs_relatively_more_noise(bits):
    # From numerical divergences at real orders to the published bound at integer ones.
    assert planned(epsilon=20.0, rounds=10, modulus_bits=bits).wrap_probability <= Fraction(1e-6)


@pytest.mark.slow
def test_more_bits_buy_less_noise_until_there_is_nothing_to_gain():
    plans = [planned(modulus_bits=bits) for bits in range(13, 26)]
    noise = [float(found.local_variance) / found.scaled_clip**2 for found in plans]
    assert all(finer <= coarser * (1 + 1e-6) for coarser, finer in pairwise(noise))
    assert noise[0] > 1.1 * noise[-1]
    assert noise[-2] == pytest.approx(noise[-1], rel=1e-6)


def test_discrete_gaussian_shares_are_at_least_a_half_wide():
    single = {"clients": 1, "min_survivors": 1, "dimension": 1, "rounds": 1, "epsilon": 40.0, "delta": 1e-2}
    coarse = planned(mechanism=GAUSSIAN, modulus_bits=4, max_inflation=3.0, **single)
    assert coarse.local_variance == Fraction(1, 4)
    # More noise than the promise takes.
    assert coarse.epsilon().value < 20
    assert planned(mechanism=SKELLAM, modulus_bits=4, max_inflation=3.0, **single).local_variance < Fraction(1, 4)


@pytest.mark.slow
@both
@pytest.mark.parametrize(
    "changes",
    [{}, {"dimension": 2**17}, {"clients": 10**5, "min_survivors": 10}, {"dimension": 1, "rounds": 1}],
    ids=str,
)
def test_the_smallest_modulus_is_the_smallest(mechanism, changes):
    changes = {"mechanism": mechanism, **changes}
    smallest = planned(modulus_bits=40, **changes).smallest_modulus_bits
    assert planned(modulus_bits=smallest, **changes).smallest_modulus_bits == smallest
    with pytest.raises(InfeasiblePlanError, match=f"at least {smallest};") as caught:
        planned(modulus_bits=smallest - 1, **changes)
    assert caught.value.parameter == "modulus_bits"
    assert caught.value.smallest_modulus_bits == smallest
    assert isinstance(caught.value, InvalidParameterError)
    assert isinstance(caught.value, DPError)
    # More inflation is what fewer bits cost.
    assert planned(modulus_bits=smallest - 1, max_inflation=2.0, **changes).inflation > Fraction(11, 10)


def test_no_modulus_is_large_enough_for_everything():
    with pytest.raises(InfeasiblePlanError, match="no modulus has more than 64 bits") as caught:
        planned(
            clients=2**32, min_survivors=2**32, dimension=1, rounds=1, epsilon=40.0, delta=1e-2, max_inflation=1 + 1e-9
        )
    assert caught.value.smallest_modulus_bits is None


def test_a_promise_that_no_noise_keeps_is_refused_with_one_that_some_does():
    wish = {"epsilon": 0.01, "modulus_bits": 40}
    with pytest.raises(InfeasiblePlanError) as caught:
        planned(**wish)
    assert caught.value.parameter == "epsilon"
    words = str(caught.value).split()
    least = float(words[words.index("least") + 1])
    assert planned(**wish | {"epsilon": least}).promised_epsilon <= Fraction(least)
    with pytest.raises(InfeasiblePlanError):
        planned(**wish | {"epsilon": least * (1 - 1e-3)})


def test_a_promise_that_more_survivors_would_keep():
    wish = {"epsilon": 0.1, "dimension": 2**14, "modulus_bits": 40, "min_survivors": 3}
    with pytest.raises(InfeasiblePlanError, match="min_survivors at least") as caught:
        planned(**wish)
    needed = int(str(caught.value).split()[-1])
    assert planned(**wish | {"min_survivors": needed}).promised_epsilon <= Fraction(0.1)
    with pytest.raises(InfeasiblePlanError):
        planned(**wish | {"min_survivors": needed - 2})


def test_a_delta_that_the_samplers_use_up_is_refused():
    with pytest.raises(InfeasiblePlanError, match="samplers") as caught:
        planned(delta=1e-23)
    assert caught.value.parameter == "delta"


def test_infeasible_survives_pickling():
    error = InfeasiblePlanError("modulus_bits", 3, "at least 4", 4)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.smallest_modulus_bits) == (str(error), 4)


# --- Events, relations, samples ---


@pytest.mark.slow
@both
def test_a_secret_sample_amplifies_against_outsiders(mechanism):
    found = planned(mechanism=mechanism, modulus_bits=24, **OUTSIDERS)
    event = found.event()
    assert isinstance(event, SampledWithoutReplacement)
    assert (event.population, event.sample, event.relation) == (10**5, 100, Relation.REPLACE_ONE)
    assert event.event.squared_sensitivity == 4 * found.squared_norm_bound
    assert float(found.promised_epsilon) == pytest.approx(5, rel=1e-6)
    # Whoever saw the roster learns more than any plan should promise.
    assert found.participant_epsilon().value > 100 * 5
    assert found.epsilon(100).value < 5
    plain = planned(mechanism=mechanism, modulus_bits=24)
    assert found.local_variance / found.squared_norm_bound < plain.local_variance / plain.squared_norm_bound / 10


def test_a_sample_that_participants_know_does_not_amplify_against_them():
    known = planned(sampling=OUTSIDERS["sampling"])
    plain = planned()
    assert known.relation is Relation.ZERO_OUT
    assert known.local_variance == plain.local_variance
    assert known.participant_epsilon() == known.epsilon()
    assert planned(sampling="none") == plain


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"sampling": Sampling(SampleKnownTo.NOBODY, probability=Fraction(1, 100))}, "sampling"),
        ({"sampling": Sampling(SampleKnownTo.PARTICIPANTS, probability=Fraction(1, 100))}, "sampling"),
        ({"sampling": 0.01}, "sampling"),
        ({"sampling": "poisson"}, "sampling"),
        ({"sampling": Sampling(SampleKnownTo.PARTICIPANTS, population=1000, sample=99)}, "sampling.sample"),
        ({"sampling": Sampling(SampleKnownTo.PARTICIPANTS, population=50, sample=100)}, "sampling.sample"),
        ({"sampling": Sampling(SampleKnownTo.NOBODY)}, "sampling.population"),
        ({"relation": Relation.ADD_REMOVE}, "relation"),
        ({"relation": "zero-out"}, "relation"),
        ({**OUTSIDERS, "relation": Relation.ZERO_OUT}, "relation"),
        ({"adversary": "outsider"}, "adversary"),
        ({"mechanism": "gaussian"}, "mechanism"),
        ({"epsilon": 0}, "epsilon"),
        ({"epsilon": math.nan}, "epsilon"),
        ({"epsilon": math.inf}, "epsilon"),
        ({"epsilon": "5"}, "epsilon"),
        ({"delta": 0.0}, "delta"),
        ({"delta": 1.0}, "delta"),
        ({"delta": math.nan}, "delta"),
        ({"rounds": 0}, "rounds"),
        ({"rounds": 10.0}, "rounds"),
        ({"rounds": True}, "rounds"),
        ({"clip": 0.0}, "clip"),
        ({"clip": -1.0}, "clip"),
        ({"clip": math.nan}, "clip"),
        ({"clip": 1e-300}, "clip"),
        ({"dimension": 0}, "dimension"),
        ({"dimension": 2**40 + 1}, "dimension"),
        ({"clients": 0}, "clients"),
        ({"clients": 69}, "min_survivors"),
        ({"min_survivors": 0}, "min_survivors"),
        ({"colluders": -1}, "colluders"),
        ({"colluders": 70}, "colluders"),
        ({"modulus_bits": 0}, "modulus_bits"),
        ({"modulus_bits": 65}, "modulus_bits"),
        ({"modulus_bits": 20.0}, "modulus_bits"),
        ({"max_inflation": 1.0}, "max_inflation"),
        ({"max_inflation": math.nan}, "max_inflation"),
    ],
    ids=str,
)
def test_bad_input_is_refused_by_name(changes, parameter):
    with pytest.raises(InvalidParameterError) as caught:
        planned(**changes)
    assert caught.value.parameter == parameter


def test_poisson_samples_are_refused_with_the_reason():
    with pytest.raises(InvalidParameterError, match="not proved to amplify noise that is added in shares"):
        planned(sampling=Sampling(SampleKnownTo.NOBODY, probability=Fraction(1, 100)))


@both
def test_a_bit_that_adapts_the_clip_norm_is_paid_for_by_more_noise_on_the_update(mechanism):
    without, found = planned(mechanism=mechanism), planned(mechanism=mechanism, clip_bit_noise=10.0)
    # 10 in the sum of zeros and ones is 20 in the sum of -1 and +1, made by 70 shares.
    assert found.clip_bit_variance == pytest.approx(400 / 70, rel=1e-9)
    assert found.clip_bit_variance >= Fraction(400, 70)
    assert found.epsilon().value <= 5
    assert found.noisy_coordinates == 1025
    # Of one Gaussian with both: z^-2 = z_update^-2 + (2 sigma_b)^-2.
    z_update = math.sqrt(70 * found.local_variance / found.squared_norm_bound)
    z = math.sqrt(70 * without.local_variance / without.squared_norm_bound)
    assert z_update**-2 + 20.0**-2 == pytest.approx(z**-2, rel=1e-3)
    assert z_update > z


def test_bits_alone_may_be_too_much():
    with pytest.raises(InfeasiblePlanError, match="epsilon"):
        planned(clip_bit_noise=0.5)
    with pytest.raises(InfeasiblePlanError, match="clip_bit_noise"):
        planned(clip_bit_noise=2.0**21)
    with pytest.raises(InvalidParameterError, match="clip_bit_noise"):
        planned(clip_bit_noise=math.nan)


HOSPITALS = {"clients": 4, "min_survivors": 3, "colluders": 1, "dimension": 20, "epsilon": 1.0, "rounds": 20}


def test_examples_need_no_more_noise_than_clients_and_more_modulus():
    few = planned(**HOSPITALS, unit=Unit.EXAMPLE, modulus_bits=32)
    many = planned(**HOSPITALS, unit=Unit.EXAMPLE, modulus_bits=32, vectors_per_client=300)
    client = planned(**HOSPITALS, modulus_bits=32)
    assert few.event().unit is Unit.EXAMPLE
    assert few.epsilon() == client.epsilon()
    assert few.local_variance == client.local_variance
    assert many.smallest_modulus_bits > few.smallest_modulus_bits
    # Sums are 300 times as long.
    assert many.wrap_probability <= 1e-6
    ratio = many.local_variance / many.squared_norm_bound
    assert ratio == pytest.approx(float(few.local_variance / few.squared_norm_bound), rel=1e-3)
