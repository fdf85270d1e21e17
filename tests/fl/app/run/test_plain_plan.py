"""fl.app.run.plain_plan: the plan of a run without noise, and the sessions that its clients accept."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fl.app.run.plain_plan import PlainPlan
from fl.arrays.schema import ArraySchema
from fl.cohort import SAMPLE_IDENTITY
from fl.errors import ModulusTooSmallError, UnsafePlanError
from secagg.errors import InvalidParameterError, PolicyViolationError
from secagg.params import AdversaryModel
from secagg.simulate import simulate

SCHEMA = ArraySchema.of({"w": np.zeros((2, 3))})
USUAL: dict[str, Any] = {
    "schema": SCHEMA,
    "clients": 10,
    "max_dropouts": 3,
    "colluders": 2,
    "rounds": 5,
    "clip": 1.5,
    "weight_cap": 10,
    "modulus_bits": 24,
    "adversary": AdversaryModel.ACTIVE,
}


def a_plan(**changes: Any) -> PlainPlan:
    return PlainPlan(**(USUAL | changes))


@pytest.mark.parametrize("adversary", list(AdversaryModel))
def test_as_many_may_vanish_as_it_says_and_the_mean_is_right(adversary: AdversaryModel):
    plan = a_plan(adversary=adversary)
    params = plan.session_params(4)
    arrays = {client: {"w": np.full((2, 3), client / 10)} for client in range(10)}
    words = {client: plan.codec.encode(update, 10) for client, update in arrays.items()}
    identities = {0: SAMPLE_IDENTITY} if params.active else {}
    policy = plan.policy(params, identities)
    done = simulate(words, params, policy=policy, dropouts={"masked_input": {1, 2, 8}})
    mean, weights = plan.codec.decode(done.sum, 7)
    assert weights == 70
    np.testing.assert_allclose(mean["w"], 34 / 70, atol=1e-5)  # type: ignore[call-overload]
    assert (params.round_number, params.min_survivors) == (4, 7)


def test_clients_accept_this_plan_and_this_round_only():
    plan = a_plan()
    policy = plan.policy(plan.session_params(4), {0: SAMPLE_IDENTITY})
    policy.check(plan.session_params(4))
    for other in (plan.session_params(5), *(a_plan(**change).session_params(4) for change in CHANGES)):
        with pytest.raises(PolicyViolationError):
            policy.check(other)


CHANGES: list[dict[str, Any]] = [
    {"schema": ArraySchema.of({"w": np.zeros((3, 2))})},
    {"clients": 11},
    {"max_dropouts": 2},
    {"colluders": 1},
    {"rounds": 6},
    {"clip": 1.25},
    {"weight_cap": 11},
    {"modulus_bits": 25},
    {"adversary": AdversaryModel.HONEST_BUT_CURIOUS},
    {"small_consortium": True},
]


def test_every_field_is_in_the_json_and_so_in_the_digest():
    plans = [a_plan(), *(a_plan(**change) for change in CHANGES)]
    assert len({plan.digest for plan in plans}) == len(CHANGES) + 1
    raw = json.loads(a_plan().to_json())
    assert raw["clip"] == "3/2"
    assert a_plan().to_json() == json.dumps(raw, sort_keys=True, separators=(",", ":"))
    assert replace(a_plan(), rounds=5) == a_plan()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"colluders": 4}, "max_dropouts"),
        ({"max_dropouts": 9}, "max_dropouts"),
        ({"max_dropouts": 6}, "max_dropouts"),
        ({"clients": 4, "max_dropouts": 1, "colluders": 1}, "max_dropouts"),
        (
            {"clients": 4, "max_dropouts": 1, "colluders": 1, "adversary": AdversaryModel.HONEST_BUT_CURIOUS},
            "max_dropouts",
        ),
        (
            {"clients": 3, "max_dropouts": 0, "colluders": 1, "adversary": AdversaryModel.HONEST_BUT_CURIOUS},
            "colluders",
        ),
    ],
)
def test_a_plan_that_no_client_would_follow_is_refused(changes: dict[str, Any], what: str):
    with pytest.raises(UnsafePlanError) as caught:
        a_plan(**changes)
    assert caught.value.what == what
    assert a_plan(clients=4, max_dropouts=0, colluders=1, small_consortium=True).min_survivors == 4


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"clients": 3, "max_dropouts": 0, "colluders": 0}, "cohort_size"),
        ({"clients": 0}, "clients"),
        ({"clients": 2.0}, "clients"),
        ({"max_dropouts": 10}, "max_dropouts"),
        ({"max_dropouts": -1}, "max_dropouts"),
        ({"colluders": -1}, "colluders"),
        ({"colluders": 5}, "colluders"),
        ({"rounds": 0}, "rounds"),
        ({"clip": float("nan")}, "clip"),
        ({"clip": 0.0}, "clip"),
        ({"weight_cap": 0}, "weight_cap"),
        ({"modulus_bits": 65}, "modulus_bits"),
        ({"adversary": 1}, "adversary"),
    ],
)
def test_a_number_that_is_none_is_refused(changes: dict[str, Any], parameter: str):
    with pytest.raises(InvalidParameterError) as caught:
        a_plan(**changes)
    assert caught.value.parameter == parameter


def test_a_modulus_that_is_too_small_is_refused():
    with pytest.raises(ModulusTooSmallError):
        a_plan(modulus_bits=3)


@pytest.mark.parametrize(("clients", "colluders"), [(4, 0), (7, 1), (30, 3), (49, 7), (99, 33), (1000, 333)])
def test_exactly_the_colluders_are_assumed_corrupt(clients: int, colluders: int):
    plan = a_plan(clients=clients, max_dropouts=0, colluders=colluders)
    assert plan.policy(plan.session, {0: SAMPLE_IDENTITY}).assumed_corrupt(clients) == colluders
