"""A plan as data: its events, its exact bytes, and what cannot be a plan."""

import dataclasses
import hashlib
import json
import pickle
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from dp.accounting.accountant import Method, RdpAccountant
from dp.errors import InvalidParameterError
from dp.events import DistributedDiscreteGaussian, Skellam
from dp.shares.plan import DistributedPlan
from dp.shares.planning import InfeasiblePlanError
from dp.vocabulary import Adversary, Relation, SampleKnownTo, Sampling, Unit
from tests.kit.distributed_plans import OUTSIDERS, planned

SKELLAM, GAUSSIAN = "skellam", "distributed-discrete-gaussian"


def test_the_dropout_figures():
    # Noise for 100, and for 70: what 70 and 100 survivors give.
    for_all, for_70 = planned(min_survivors=100, modulus_bits=32), planned(min_survivors=70, modulus_bits=32)
    assert for_all.epsilon(100).value == pytest.approx(5, rel=1e-6)
    assert for_70.epsilon(70).value == pytest.approx(5, rel=1e-6)
    assert for_all.epsilon(70).value == pytest.approx(6.18, abs=0.01)
    assert for_70.epsilon(100).value == pytest.approx(4.07, abs=0.01)


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


def test_the_server_of_a_round_knows_who_is_in_it():
    with pytest.raises(InvalidParameterError, match=r"sampling\.known_to"):
        planned(sampling=Sampling(SampleKnownTo.NOBODY, population=400, sample=100), epsilon=3.0, rounds=3)


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
