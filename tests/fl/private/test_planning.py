"""fl.private.planning: from what a user thinks in to a plan that holds, or to which combination is unsafe and why."""

import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from dp.errors import InvalidParameterError
from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from dp.shares.planning import InfeasiblePlanError
from dp.vocabulary import DISTRIBUTED_DISCRETE_GAUSSIAN, SKELLAM, Adversary, Relation, SampleKnownTo, Sampling, Unit
from fl.arrays.schema import ArraySchema
from fl.errors import UnsafePlanError
from fl.private.planning import MAX_INFLATION, make_plan
from fl.private.side_values import SideValue
from secagg import errors as secagg_errors
from secagg.graph.choosing import choose
from secagg.params import default_threshold
from tests.kit.private_round_scene import ACTIVE, CURIOUS, LOSS, SCHEMA, USUAL, planned

LARGE = ArraySchema.of({"w": np.zeros(1000)})


# ------------------------------------------------------------------------------------------------ What a plan keeps
def test_a_plan_has_what_its_user_asked_for():
    plan = planned(clients=8, max_dropouts=2, side_values=(LOSS,), weight_cap=50)
    assert (plan.scope, plan.rounds, plan.clients, plan.min_survivors, plan.clip) == ("ward 7", 3, 8, 6, 1.0)
    assert plan.noise.colluders == 1
    assert (plan.noise.target_epsilon, plan.noise.delta) == (20, Fraction(1e-5))
    assert (plan.noise.relation, plan.noise.unit) == (Relation.ZERO_OUT, Unit.CLIENT)
    assert plan.noise.honest_shares == 5
    assert [side.name for side in plan.side_values] == ["loss", "weight"]
    assert (plan.side_values[1].low, plan.side_values[1].high) == (0, 50)
    # Two side values with their shares of the clip norm; .5 is the loss's.
    assert float(plan.noise.clip) == pytest.approx(math.sqrt(1 + 0.25 + plan.side_values[1].share ** 2))
    assert plan.noise.dimension == SCHEMA.size + 2


def test_the_weights_have_the_share_of_the_clip_norm_that_was_asked_for():
    little, much = (planned(weight_cap=50, weight_share=share) for share in (0.1, 1.0))
    assert [plan.side_values[0].share for plan in (little, much)] == [0.1, 1.0]
    # More of it makes the denominator better and the update worse.
    assert much.side_value_stddev("weight", 4) < little.side_value_stddev("weight", 4)
    assert much.noise_stddev(4) > little.noise_stddev(4)
    with pytest.raises(secagg_errors.InvalidParameterError, match="share"):
        make_plan(**(USUAL | {"weight_cap": 50, "weight_share": 1.5}))


@pytest.mark.parametrize("mechanism", [SKELLAM, DISTRIBUTED_DISCRETE_GAUSSIAN])
def test_the_promise_is_kept_and_not_by_much(mechanism: str):
    plan = planned(mechanism=mechanism, schema=LARGE, epsilon=5.0)
    promised = plan.noise.epsilon().value
    assert 5 * (1 - 1e-4) < promised <= 5
    assert float(plan.noise.promised_epsilon) == promised


def test_the_modulus_is_the_smallest_with_a_fair_inflation():
    plan = planned(schema=LARGE, clients=8, max_dropouts=2)
    assert plan.noise.modulus_bits == plan.noise.smallest_modulus_bits
    assert float(plan.noise.inflation) <= MAX_INFLATION
    with pytest.raises(InfeasiblePlanError) as refused:
        planned(schema=LARGE, clients=8, max_dropouts=2, modulus_bits=plan.noise.modulus_bits - 1)
    assert refused.value.smallest_modulus_bits == plan.noise.modulus_bits
    finer = planned(schema=LARGE, clients=8, max_dropouts=2, modulus_bits=plan.noise.modulus_bits + 1)
    assert finer.noise.inflation < plan.noise.inflation


def test_bytes_for_a_parameter_are_bits_of_the_padded_vector():
    # 1000 entries become 1024 coordinates: 2 bytes each are 15.6 bits, 3 are 23.4.
    assert planned(schema=LARGE, bytes_per_parameter=2.0).noise.modulus_bits == 15
    assert planned(schema=LARGE, bytes_per_parameter=3).noise.modulus_bits == 23
    assert planned(schema=LARGE, bytes_per_parameter=1e308).noise.modulus_bits == 64


@pytest.mark.slow
def test_the_threshold_lets_as_many_vanish_as_were_asked_for():
    for adversary, dropouts in ((ACTIVE, 0), (ACTIVE, 1), (ACTIVE, 2), (CURIOUS, 0), (CURIOUS, 2), (CURIOUS, 3)):
        plan = planned(adversary=adversary, clients=8, max_dropouts=dropouts)
        assert plan.session.threshold <= plan.min_survivors - 1
        assert plan.session.threshold == min(default_threshold(8), 7 - dropouts)
    # More colluders need a higher threshold than the usual one.
    assert planned(clients=8, max_dropouts=1, colluders=3).session.threshold == 6


def test_a_certificate_decides_graph_and_threshold():
    certificate = choose(64, corrupt=6 / 64, dropout=0.2, adversary=CURIOUS)
    assert not certificate.complete
    plan = planned(clients=64, max_dropouts=13, colluders=6, adversary=CURIOUS, certificate=certificate)
    assert (plan.session.neighbours, plan.session.threshold) == (certificate.neighbours, certificate.threshold)
    assert plan.session.sparse
    assert plan.min_survivors == 51


# ---------------------------------------------------------------------------------------------------- What it refuses
def unsafe(what: str, why: str, **changes: Any) -> UnsafePlanError:
    with pytest.raises(UnsafePlanError) as refused:
        make_plan(**(USUAL | changes))
    error = refused.value
    assert error.what == what
    assert why in error.why
    assert str(error) == f"{what} = {error.offered!r} is refused: {error.why}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    return error


@pytest.mark.parametrize("cap", [0, -1, 2.0, True, None, "50", 2**53 + 1, math.inf], ids=repr)
def test_an_uncapped_weight_is_refused(cap: Any):
    unsafe("weight_cap", "nothing bounds what a client changes", weight_cap=cap)


def test_a_sum_that_could_wrap_is_refused_and_what_would_not_is_told():
    smallest = planned(schema=LARGE).noise.modulus_bits
    for bits in (1, smallest - 1):
        with pytest.raises(InfeasiblePlanError) as refused:
            make_plan(**(USUAL | {"schema": LARGE, "modulus_bits": bits}))
        assert (refused.value.parameter, refused.value.offered) == ("modulus_bits", bits)
        assert refused.value.smallest_modulus_bits == smallest
        assert f"at least {smallest}" in str(refused.value)


def test_every_plan_wraps_at_most_once_in_a_million_rounds():
    for changes in ({}, {"schema": LARGE}, {"adaptive": AdaptiveClipping(1.0, 1.0)}, {"modulus_bits": 24}):
        noise = planned(**changes).noise
        # By another route: the largest variance of a coordinate, and the tail of a normal variable.
        clients, clip = noise.clients, noise.scaled_clip
        variance = clients * (clip**2 * clients / noise.padded_dimension + 0.25 + float(noise.local_variance))
        tail = math.erfc(2.0 ** (noise.modulus_bits - 1) / math.sqrt(2 * variance))
        assert noise.padded_dimension * tail <= 1.0000001e-6
        assert noise.wrap_probability <= Fraction(2, 10**6)


@pytest.mark.parametrize(
    ("adversary", "clients", "dropouts", "colluders", "most"),
    [
        (ACTIVE, 8, 3, 1, 2),
        (ACTIVE, 8, 7, 1, 2),
        (ACTIVE, 8, 2, 3, 1),
        (ACTIVE, 4, 1, 1, 0),
        (CURIOUS, 8, 4, 1, 3),
        (CURIOUS, 3, 1, 0, 0),
    ],
)
def test_more_dropouts_than_the_session_survives_are_refused(
    adversary: Any, clients: int, dropouts: int, colluders: int, most: int
):
    terms = {"adversary": adversary, "clients": clients, "colluders": colluders, "small_consortium": True}
    unsafe("max_dropouts", f"at most {most} may vanish", max_dropouts=dropouts, **terms)
    make_plan(**(USUAL | terms | {"max_dropouts": most}))


def test_more_dropouts_than_a_certificate_was_made_for_are_refused():
    certificate = choose(64, corrupt=6 / 64, dropout=0.2, adversary=CURIOUS)
    most = 64 - certificate.min_survivors
    terms = {"clients": 64, "colluders": 6, "adversary": CURIOUS, "certificate": certificate}
    unsafe("max_dropouts", f"at most {most} may vanish", max_dropouts=most + 1, **terms)


def test_a_certificate_for_others_is_refused():
    certificate = choose(64, corrupt=6 / 64, dropout=0.2, adversary=CURIOUS)
    terms = {"certificate": certificate, "max_dropouts": 13, "colluders": 6}
    unsafe("certificate", "65 clients", clients=65, adversary=CURIOUS, **terms)
    unsafe("certificate", "64 clients, ACTIVE", clients=64, adversary=ACTIVE, **terms)


def test_more_colluders_than_a_certificate_was_made_for_are_refused():
    # Clients assume the plan's colluders, and work out what the graph leaks with so many.
    certificate = choose(64, corrupt=3 / 64, dropout=0.1, adversary=CURIOUS)
    terms = {"clients": 64, "max_dropouts": 5, "adversary": CURIOUS, "certificate": certificate}
    make_plan(**(USUAL | terms | {"colluders": 3}))
    with pytest.raises(UnsafePlanError, match="no client would take part"):
        make_plan(**(USUAL | terms | {"colluders": 20}))


def test_too_few_honest_survivors_are_refused():
    terms = {"adversary": CURIOUS, "clients": 4, "max_dropouts": 1, "colluders": 1}
    unsafe("min_survivors", "at least 4", **terms)
    # A consortium whose members know each other accepts two.
    assert make_plan(**(USUAL | terms | {"small_consortium": True})).min_survivors == 3


@pytest.mark.parametrize("colluders", [3, 4, 5, 10**6])
def test_half_of_all_as_colluders_are_refused(colluders: int):
    unsafe("colluders", "against half of its 5 clients", colluders=colluders)
    unsafe("colluders", "against half of its 5 clients", colluders=colluders, adversary=CURIOUS)


@pytest.mark.parametrize("adversary", list(Adversary))
def test_poisson_sampling_is_refused(adversary: Adversary):
    sampling = Sampling(SampleKnownTo.NOBODY, probability=Fraction(1, 10))
    with pytest.raises(InvalidParameterError) as refused:
        make_plan(**(USUAL | {"sampling": sampling, "privacy_against": adversary}))
    assert (refused.value.parameter, refused.value.offered) == ("sampling", "poisson")
    assert "not proved to amplify noise that is added in shares" in str(refused.value)


@pytest.mark.slow
def test_sampling_gives_no_amplification_against_those_who_know_the_sample():
    sampling = Sampling(SampleKnownTo.PARTICIPANTS, population=1000, sample=5)
    known = make_plan(**(USUAL | {"sampling": sampling}))
    without = planned()
    assert not known.noise.amplified
    assert known.noise.local_variance / known.noise.squared_norm_bound == pytest.approx(
        without.noise.local_variance / without.noise.squared_norm_bound, rel=1e-3
    )
    against = planned(sampling=sampling, privacy_against=Adversary.OUTSIDER, modulus_bits=24, epsilon=2.0)
    assert (against.noise.amplified, against.noise.relation) == (True, Relation.REPLACE_ONE)
    assert against.header().adversary is Adversary.OUTSIDER


def test_a_sample_of_another_size_is_refused():
    sampling = Sampling(SampleKnownTo.PARTICIPANTS, population=1000, sample=6)
    with pytest.raises(InvalidParameterError, match=r"sampling\.sample"):
        make_plan(**(USUAL | {"sampling": sampling}))


def test_what_is_a_clients_own_is_refused_where_examples_are_protected():
    why = "would be released without noise"
    unsafe("side_values", why, unit=Unit.EXAMPLE, examples_per_client=20, side_values=(LOSS,))
    unsafe("side_values", why, unit=Unit.EXAMPLE, examples_per_client=20, weight_cap=50)
    with pytest.raises(InvalidParameterError, match="clients have bits, examples not"):
        make_plan(**(USUAL | {"unit": Unit.EXAMPLE, "adaptive": AdaptiveClipping(1.0, 1.0)}))
    with pytest.raises(InvalidParameterError, match="vectors_per_client"):
        make_plan(**(USUAL | {"examples_per_client": 20}))


def test_a_weight_that_is_declared_twice_or_without_a_cap_is_refused():
    weight = SideValue(name="weight", low=0, high=50)
    unsafe("side_values", "if and only if weight_cap is above 1", side_values=(weight,))
    for sides in ((weight,), (LOSS, LOSS)):
        with pytest.raises(secagg_errors.InvalidParameterError, match="different names"):
            make_plan(**(USUAL | {"weight_cap": 50, "side_values": sides}))


def test_adaptive_clipping_begins_with_the_plans_norm():
    unsafe("adaptive.clip_norm", "the first round's clip is 1.0", adaptive=AdaptiveClipping(2.0, 1.0))


@pytest.mark.slow
def test_bits_with_too_little_noise_for_the_promise_are_refused():
    with pytest.raises(InfeasiblePlanError):
        make_plan(**(USUAL | {"adaptive": AdaptiveClipping(1.0, 0.01)}))


def test_bits_whose_noise_would_wrap_are_refused():
    with pytest.raises(InfeasiblePlanError, match="clip_bit_noise"):
        make_plan(**(USUAL | {"adaptive": AdaptiveClipping(1.0, 50.0)}))


def test_both_bits_and_bytes_are_refused_and_so_is_less_than_a_bit():
    unsafe("bytes_per_parameter", "says the same already", bytes_per_parameter=1.0, modulus_bits=8)
    for few in (0.0, 0.1, 0):
        unsafe("bytes_per_parameter", "less than a bit", bytes_per_parameter=few)


@pytest.mark.parametrize("scope", ["", "a" * 129, 'a "name"', "line\n", "\ud800", "é", 5, None], ids=repr)
def test_a_scope_that_no_ledger_takes_is_refused(scope: Any):
    unsafe("scope", "printable ASCII", scope=scope)


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"clip": math.nan}, "clip"),
        ({"clip": 0.0}, "clip"),
        ({"clip": -1.0}, "clip"),
        ({"clip": math.inf}, "clip"),
        ({"clip": True}, "clip"),
        ({"clip": "1"}, "clip"),
        ({"clip": None}, "clip"),
        ({"clip": 2.0**501}, "clip"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": math.inf}, "epsilon"),
        ({"epsilon": math.nan}, "epsilon"),
        ({"epsilon": 1e-9}, "epsilon"),
        ({"delta": 0.0}, "delta"),
        ({"delta": 1.0}, "delta"),
        ({"delta": 1e-29}, "delta"),
        ({"rounds": 0}, "rounds"),
        ({"rounds": 1.5}, "rounds"),
        ({"clients": 5.0}, "clients"),
        ({"clients": True}, "clients"),
        ({"clients": "5"}, "clients"),
        ({"clients": 2, "max_dropouts": 0, "colluders": 0}, "clients"),
        ({"clients": 3, "max_dropouts": 0, "colluders": 0}, "cohort_size"),
        ({"clients": 2**20 + 1}, "clients"),
        ({"max_dropouts": 5}, "max_dropouts"),
        ({"max_dropouts": -1}, "max_dropouts"),
        ({"max_dropouts": True}, "max_dropouts"),
        ({"colluders": -1}, "colluders"),
        ({"colluders": 0.5}, "colluders"),
        ({"colluders": True}, "colluders"),
        ({"modulus_bits": 0}, "modulus_bits"),
        ({"modulus_bits": 65}, "modulus_bits"),
        ({"modulus_bits": 8.0}, "modulus_bits"),
        ({"bytes_per_parameter": math.nan}, "bytes_per_parameter"),
        ({"bytes_per_parameter": -1.0}, "bytes_per_parameter"),
        ({"bytes_per_parameter": "1"}, "bytes_per_parameter"),
        ({"side_values": ["loss"]}, "side_values"),
        ({"side_values": {"loss": 5}}, "side_values"),
        ({"side_values": 5}, "side_values"),
        ({"mechanism": "gaussian"}, "mechanism"),
        ({"unit": "client"}, "unit"),
        ({"adversary": 2}, "adversary"),
        ({"privacy_against": "the server"}, "adversary"),
        ({"schema": None}, "schema"),
        ({"schema": {"w": np.zeros(3)}}, "schema"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_number_out_of_its_range_is_named(changes: dict[str, Any], parameter: str):
    with pytest.raises((InvalidParameterError, secagg_errors.InvalidParameterError)) as refused:
        make_plan(**(USUAL | changes))
    assert refused.value.parameter == parameter
