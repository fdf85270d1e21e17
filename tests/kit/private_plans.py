"""Plans of every kind for the tests of private plans, and plans that were tampered with."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dp.vocabulary import DISTRIBUTED_DISCRETE_GAUSSIAN, Adversary, SampleKnownTo, Sampling, Unit
from fl.private.plan import PrivatePlan
from fl.private.side_values import SideValue
from secagg.graph.choosing import choose
from tests.kit.private_round_scene import ADAPTIVE, CURIOUS, LOSS

PLANS: dict[str, dict[str, Any]] = {
    "plain": {},
    "curious": {"adversary": CURIOUS},
    "small consortium": {"adversary": CURIOUS, "clients": 4, "small_consortium": True},
    "weights and a loss": {"weight_cap": 50, "side_values": (LOSS, SideValue(name="é", low=-1.5, high=1 / 3))},
    "adaptive": {"adaptive": ADAPTIVE},
    "gaussian": {"mechanism": DISTRIBUTED_DISCRETE_GAUSSIAN, "adaptive": ADAPTIVE, "epsilon": 30.0},
    "examples": {"unit": Unit.EXAMPLE, "examples_per_client": 20},
    "sampled": {
        "sampling": Sampling(SampleKnownTo.PARTICIPANTS, population=1000, sample=5),
        "privacy_against": Adversary.OUTSIDER,
        "modulus_bits": 24,
        "epsilon": 2.0,
    },
    "sparse": {
        "clients": 64,
        "max_dropouts": 13,
        "colluders": 6,
        "adversary": CURIOUS,
        "certificate": choose(64, corrupt=6 / 64, dropout=0.2, adversary=CURIOUS),
    },
    "sixty-four bits": {"modulus_bits": 64},
}

every_plan = pytest.mark.parametrize("changes", PLANS.values(), ids=PLANS)


def tampered(plan: PrivatePlan, change: Callable[[dict[str, Any]], object]) -> str:
    raw = json.loads(plan.to_json())
    change(raw)
    return json.dumps(raw, sort_keys=True, separators=(",", ":"))
