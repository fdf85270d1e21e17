"""Plans of private sums: what they promise holds, nothing is wasted, and what cannot be is refused with a way out."""

import dataclasses
import hashlib
import json
import math
import pickle
from fractions import Fraction
from itertools import pairwise

import mpmath as mp
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from dp.accounting.accountant import Method, RdpAccountant
from dp.errors import DPError, InvalidParameterError
from dp.events import DistributedDiscreteGaussian, SampledWithoutReplacement, Skellam
from dp.shares.plan import DistributedPlan
from dp.shares.planning import InfeasiblePlanError, plan
from dp.vocabulary import Adversary, Relation, SampleKnownTo, Sampling, Unit
from tests.kit import skellam_oracle as oracle

SKELLAM, GAUSSIAN = "skellam", "distributed-discrete-gaussian"
both = pytest.mark.parametrize("mechanism", [SKELLAM, GAUSSIAN])

USUAL = {
    "epsilon": 5.0,
    "delta": 1e-5,
    "rounds": 100,
    "sampling": None,
    "clip": 1.0,
    "dimension": 1000,
    "clients": 100,
    "min_survivors": 70,
    "colluders": 0,
    "modulus_bits": 20,
}
OUTSIDERS = {
    "sampling": Sampling(SampleKnownTo.PARTICIPANTS, population=10**5, sample=100),
    "adversary": Adversary.OUTSIDER,
}
LITTLE_NOISE = {"rounds": 1, "dimension": 60, "clients": 10, "min_survivors": 8, "modulus_bits": 9}
"""So little that the numerical divergence is the better bound."""


def planned(**changes):
    return plan(**(USUAL | changes))


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


def test_the_dropout_figures():
    # Noise for 100, and for 70: what 70 and 100 survivors give.
    for_all, for_70 = planned(min_survivors=100, modulus_bits=32), planned(min_survivors=70, modulus_bits=32)
    assert for_all.epsilon(100).value == pytest.approx(5, rel=1e-6)
    assert for_70.epsilon(70).value == pytest.approx(5, rel=1e-6)
    assert for_all.epsilon(70).value == pytest.approx(6.18, abs=0.01)
    assert for_70.epsilon(100).value == pytest.approx(4.07, abs=0.01)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([SKELLAM, GAUSSIAN]),
    st.floats(0.3, 20),
    st.integers(1, 500),
    st.integers(1, 3000),
    st.integers(2, 40),
    st.data(),
)
def test_epsilon_never_rises_with_the_survivors(mechanism, epsilon, rounds, dimension, clients, data):
    least = data.draw(st.integers(1, clients))
    asked = {
        "mechanism": mechanism,
        "epsilon": epsilon,
        "rounds": rounds,
        "dimension": dimension,
        "clients": clients,
        "min_survivors": least,
        "colluders": data.draw(st.integers(0, least - 1)),
        "modulus_bits": data.draw(st.sampled_from([24, 40])),
    }
    try:
        found = planned(**asked)
    except InfeasiblePlanError:
        reject()
    values = [found.epsilon(survivors).value for survivors in range(found.colluders + 1, clients + 1)]
    # Rounded up by 1e-12 of the divergence, each on its own.
    assert all(more <= fewer * (1 + 1e-11) for fewer, more in pairwise(values))
    assert found.epsilon() == found.epsilon(least)
    assert values[least - found.colluders - 1] == float(found.promised_epsilon)


@pytest.mark.slow
def test_epsilon_never_rises_where_the_numerical_bound_ends():
    # The central variance passes 10**4 on the way.
    found = planned(epsilon=3.0, rounds=1, clients=400, min_survivors=40, dimension=500, modulus_bits=13)
    assert 40 * found.local_variance < 10**4 < 400 * found.local_variance
    values = [found.epsilon(survivors).value for survivors in range(30, 401, 5)]
    assert all(more < fewer for fewer, more in pairwise(values))


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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_the_event_is_one_round_with_the_noise_of_the_honest():
    found = planned(colluders=20)
    assert found.event() == Skellam(
        50 * found.local_variance, found.squared_norm_bound, found.l1_bound, Relation.ZERO_OUT, Unit.CLIENT
    )
    assert found.event(100).variance == 80 * found.local_variance
    found = planned(mechanism=GAUSSIAN, colluders=20)
    assert found.event(99) == DistributedDiscreteGaussian(
        found.local_variance, 79, found.squared_norm_bound, found.l1_bound, 1024, Relation.ZERO_OUT, Unit.CLIENT
    )


@pytest.mark.parametrize("survivors", [20, 0, -1, 101, 70.0, True])
def test_survivors_that_cannot_be_are_refused(survivors):
    found = planned(colluders=20)
    for question in (found.event, found.epsilon, found.participant_epsilon):
        with pytest.raises(InvalidParameterError, match="survivors"):
            question(survivors)


def test_replacing_a_client_changes_twice_as_much():
    found = planned(relation=Relation.REPLACE_ONE, colluders=69)
    event = found.event()
    assert event.relation is Relation.REPLACE_ONE
    assert (event.squared_sensitivity, event.l1_sensitivity) == (4 * found.squared_norm_bound, 2 * found.l1_bound)
    zero_out = planned(colluders=69)
    ratio = found.local_variance / found.squared_norm_bound / (zero_out.local_variance / zero_out.squared_norm_bound)
    assert ratio == pytest.approx(4, rel=1e-4)


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


def test_the_server_of_a_round_knows_who_is_in_it():
    with pytest.raises(InvalidParameterError, match=r"sampling\.known_to"):
        planned(sampling=Sampling(SampleKnownTo.NOBODY, population=400, sample=100), epsilon=3.0, rounds=3)


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


# --- The record ---

SMALL = DistributedPlan(
    mechanism=SKELLAM,
    relation=Relation.ZERO_OUT,
    unit=Unit.CLIENT,
    adversary=Adversary.PARTICIPANT,
    target_epsilon=Fraction(5),
    delta=Fraction(1, 2**17),
    rounds=2,
    sampling=None,
    clients=10,
    vectors_per_client=1,
    min_survivors=7,
    colluders=2,
    clip=Fraction(1, 2),
    dimension=5,
    padded_dimension=8,
    scale=Fraction(20),
    beta=Fraction(1, 2),
    squared_norm_bound=115,
    l1_bound=30,
    local_variance=Fraction(303, 4),
    clip_bit_variance=None,
    modulus_bits=12,
    smallest_modulus_bits=9,
    wrap_probability=Fraction(0),
    inflation=Fraction(17, 16),
    promised_epsilon=Fraction(9, 2),
    order=Fraction(11, 2),
    method=Method.RDP,
)


def test_the_bytes_of_a_plan_are_fixed():
    text = (
        '{"adversary":"participant","beta":"1/2","clients":10,"clip":"1/2","clip_bit_variance":null,"colluders":2,'
        '"delta":"1/131072",'
        '"dimension":5,"inflation":"17/16","l1_bound":30,"local_variance":"303/4","mechanism":"skellam",'
        '"method":"rdp","min_survivors":7,"modulus_bits":12,"order":"11/2","padded_dimension":8,'
        '"promised_epsilon":"9/2","relation":"zero-out","rounds":2,"sampling":null,"scale":"20/1",'
        '"schema":"distributed-plan/1","smallest_modulus_bits":9,"squared_norm_bound":115,"target_epsilon":"5/1",'
        '"unit":"client","vectors_per_client":1,"wrap_probability":"0/1"}'
    )
    assert SMALL.digest() == hashlib.sha256(text.encode()).digest()
    assert DistributedPlan.from_dict(json.loads(text)) == SMALL


@pytest.mark.parametrize("changes", [{}, {"mechanism": GAUSSIAN}, {"sampling": OUTSIDERS["sampling"]}], ids=str)
def test_a_plan_goes_through_json(changes):
    found = planned(**changes)
    again = DistributedPlan.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    assert again.digest() == found.digest()
    assert again.epsilon(90) == found.epsilon(90)
    again.verify()
    assert pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize(
    "changes",
    [
        {"rounds": 3},
        {"delta": Fraction(1, 2**18)},
        {"min_survivors": 8},
        {"colluders": 1},
        {"scale": Fraction(21)},
        {"local_variance": Fraction(304, 4)},
        {"modulus_bits": 13},
        {"adversary": Adversary.OUTSIDER},
        {"relation": Relation.REPLACE_ONE},
        {"unit": Unit.EXAMPLE},
        {"unit": Unit.EXAMPLE, "vectors_per_client": 2},
        {"clip_bit_variance": Fraction(1)},
        {"order": None},
    ],
    ids=str,
)
def test_other_plans_have_other_digests(changes):
    assert dataclasses.replace(SMALL, **changes).digest() != SMALL.digest()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mechanism", "gaussian"),
        ("relation", "add-remove"),
        ("relation", "Zero-out"),
        ("delta", 1e-5),
        ("delta", "2/4"),
        ("delta", "3/2"),
        ("delta", "0/1"),
        ("scale", "20"),
        ("rounds", "2"),
        ("rounds", True),
        ("rounds", 0),
        ("sampling", "none"),
        ("min_survivors", 11),
        ("colluders", 7),
        ("padded_dimension", 16),
        ("l1_bound", 29),
        ("l1_bound", 31),
        ("squared_norm_bound", 2**97),
        ("local_variance", "0/1"),
        ("local_variance", "100000001/1"),
        ("local_variance", f"1/{2**81}"),
        ("unit", "hospital"),
        ("vectors_per_client", 0),
        ("vectors_per_client", 2),
        ("clip_bit_variance", "0/1"),
        ("modulus_bits", 8),
        ("modulus_bits", 65),
        ("method", "guess"),
        ("schema", "distributed-plan/2"),
        ("colour", "red"),
    ],
)
def test_other_programs_cannot_hand_in_nonsense(field, value):
    with pytest.raises(InvalidParameterError) as caught:
        DistributedPlan.from_dict(SMALL.to_dict() | {field: value})
    assert caught.value.parameter.startswith(field)


def test_a_plan_without_a_field_is_refused():
    for field in SMALL.to_dict():
        raw = SMALL.to_dict()
        del raw[field]
        with pytest.raises(InvalidParameterError) as caught:
            DistributedPlan.from_dict(raw)
        assert caught.value.parameter == field


def test_something_else_than_a_dictionary_is_refused():
    with pytest.raises(InvalidParameterError):
        DistributedPlan.from_dict([])


def test_a_promise_that_does_not_hold_is_found():
    found = planned()
    too_little = dataclasses.replace(found, promised_epsilon=found.promised_epsilon * (1 - Fraction(1, 10**9)))
    with pytest.raises(InvalidParameterError, match="promised_epsilon"):
        too_little.verify()
    with pytest.raises(InvalidParameterError, match="at most target_epsilon"):
        dataclasses.replace(found, target_epsilon=Fraction(4)).verify()
    with pytest.raises(InvalidParameterError, match="promised_epsilon"):
        dataclasses.replace(found, local_variance=found.local_variance / 2).verify()


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


@pytest.mark.slow
def test_bits_are_an_event_of_their_own_that_counts():
    found = planned(clip_bit_noise=10.0)
    update, bit = (event for event, _ in found.event().events)
    assert update == Skellam(70 * found.local_variance, found.squared_norm_bound, found.l1_bound)
    assert bit == Skellam(70 * found.clip_bit_variance, 1, 1)
    alone = RdpAccountant().compose(update, found.rounds).epsilon(1e-5).value
    assert alone < found.epsilon().value
    replaced = planned(clip_bit_noise=10.0, relation=Relation.REPLACE_ONE)
    assert replaced.event().events[1][0].squared_sensitivity == 4


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


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"vectors_per_client": 2}, "vectors_per_client"),
        ({"unit": Unit.EXAMPLE, "clip_bit_noise": 10.0}, "clip_bit_variance"),
        ({"unit": Unit.EXAMPLE, **OUTSIDERS}, "sampling"),
    ],
)
def test_units_that_do_not_go_with_the_rest_are_refused(changes, field):
    with pytest.raises(InvalidParameterError) as caught:
        planned(**changes)
    assert caught.value.parameter == field
