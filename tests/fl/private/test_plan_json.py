"""fl.private.plan_json: a plan has one text, which comes back as the same plan; any other text is refused."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fl.arrays.schema import ArraySchema
from fl.errors import PlanMismatchError
from fl.private.plan import PrivatePlan
from tests.kit.private_plans import PLANS, every_plan
from tests.kit.private_round_scene import SCHEMA, planned


@every_plan
def test_a_plan_comes_back_as_it_was(changes: dict[str, Any]):
    plan = planned(**changes)
    text = plan.to_json()
    again = PrivatePlan.from_json(text, SCHEMA)
    assert again == plan
    assert again.to_json() == text
    assert again.digest == plan.digest


@every_plan
def test_the_text_is_canonical_and_the_digest_is_its_hash(changes: dict[str, Any]):
    plan = planned(**changes)
    text = plan.to_json()
    assert text.isascii()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert json.loads(text, parse_float=pytest.fail)
    assert plan.digest == hashlib.sha256(text.encode()).digest()


@pytest.mark.slow
def test_no_two_plans_have_one_digest():
    digests = {planned(**changes).digest for changes in PLANS.values()}
    assert len(digests) == len(PLANS)


def test_a_plan_is_for_one_model():
    text = planned().to_json()
    for other in ({"b": np.zeros(3), "w": np.zeros((3, 4))}, {"b": np.zeros(3), "w": np.zeros((4, 3), np.float32)}, []):
        schema = ArraySchema.of(other)  # type: ignore[arg-type]
        with pytest.raises(PlanMismatchError) as refused:
            PrivatePlan.from_json(text, schema)
        assert (refused.value.what, refused.value.expected) == ("model", schema.digest.hex())
        assert refused.value.offered == SCHEMA.digest.hex()


@pytest.mark.parametrize("garbage", ["", "{}", "[]", "null", "1", "{", "[" * 10**5, '"plan"', "\ud800", "NaN"])
def test_what_is_no_plan_is_refused(garbage: str):
    with pytest.raises(PlanMismatchError) as refused:
        PrivatePlan.from_json(garbage, SCHEMA)
    assert refused.value.what == "text"


@pytest.mark.parametrize("garbage", [None, 5, b"\xff", ["plan"]])
def test_what_is_no_text_is_refused(garbage: Any):
    with pytest.raises(PlanMismatchError):
        PrivatePlan.from_json(garbage, SCHEMA)


@pytest.mark.parametrize(
    "other",
    [
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text.replace(",", ", ", 1),
        lambda text: text.encode(),
        lambda text: json.dumps(dict(reversed(json.loads(text).items())), separators=(",", ":")),
        lambda text: text.replace('"clip":"1/1"', '"clip":"1/1","clip":"1/1"', 1),
        lambda text: text.replace("ward", "w\\u0061rd"),
        lambda text: text.replace('"weight_cap":1}', '"weight_cap":1.0}'),
    ],
    ids=["line feed", "space first", "space", "bytes", "order", "twice", "escape", "float"],
)
def test_any_other_form_of_the_same_values_is_refused(other: Callable[[str], Any]):
    text = planned().to_json()
    assert other(text) != text
    with pytest.raises(PlanMismatchError):
        PrivatePlan.from_json(other(text), SCHEMA)
