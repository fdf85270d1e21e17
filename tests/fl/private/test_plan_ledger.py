"""fl.private.plan_ledger: the header and the reserves of a plan have its figures, and no other ledger is taken."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from dp.ledger.records import NO_HEAD, Header, Reserve, encode
from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from dp.vocabulary import Adversary, Relation, Unit
from fl.errors import PlanMismatchError
from tests.kit.private_plans import every_plan
from tests.kit.private_round_scene import planned


@every_plan
def test_a_plan_and_its_own_ledger_fit(changes: dict[str, Any]):
    plan = planned(**changes)
    header = plan.header(b"k" * 32)
    plan.check_header(header)
    assert header.key == b"k" * 32
    assert (header.scope, header.unit, header.relation) == (plan.scope, plan.noise.unit, plan.noise.relation)
    assert header.budget == Fraction(changes.get("epsilon", 20))
    assert header.delta == Fraction(1e-5)
    assert header.colluders == plan.noise.colluders
    assert header.adversary is changes.get("privacy_against", Adversary.PARTICIPANT)
    encode(header, NO_HEAD)


@pytest.mark.parametrize(
    "change",
    [
        {"scope": "ward 8"},
        {"unit": Unit.EXAMPLE},
        {"relation": Relation.REPLACE_ONE},
        {"adversary": Adversary.OUTSIDER},
        {"delta": Fraction(1, 10**4)},
        {"colluders": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_ledger_that_counts_something_else_is_refused(change: dict[str, Any]):
    plan = planned()
    header: Header = replace(plan.header(), **change)
    with pytest.raises(PlanMismatchError) as refused:
        plan.check_header(header)
    assert refused.value.what == f"ledger ({next(iter(change))})"


def test_a_ledger_may_assume_more_colluders_and_have_another_budget():
    plan = planned()
    plan.check_header(replace(plan.header(), colluders=2, budget=Fraction(100), key=b"k" * 32))


@every_plan
def test_a_reserve_has_the_plans_figures(changes: dict[str, Any]):
    plan = planned(**changes)
    reserve = plan.reserve(2, b"s" * 16, clip=plan.clip, context=b"c" * 32, roster=b"r" * 32)
    noise = plan.noise
    assert reserve == Reserve(
        round=2,
        session=b"s" * 16,
        mechanism=noise.mechanism,
        sampling=noise.sampling,
        invited=plan.clients,
        min_survivors=plan.session.min_survivors,
        threshold=plan.session.threshold,
        squared_norm_bound=noise.squared_norm_bound,
        l1_bound=noise.l1_bound,
        dimension=noise.padded_dimension,
        modulus_bits=plan.session.modulus_bits,
        local_variance=noise.local_variance,
        clip_bit_variance=noise.clip_bit_variance,
        context=b"c" * 32,
        roster=b"r" * 32,
        clip_norm=Fraction(plan.joint_clip(plan.clip)),
        scale=Fraction(plan.scale(plan.clip)),
        rounding=noise.beta,
    )
    encode(reserve, NO_HEAD)


@pytest.mark.parametrize("clip", [2.0**-500, 2.0**500])
def test_a_round_at_the_ends_of_the_clip_norms_has_a_record(clip: float):
    plan = planned(adaptive=AdaptiveClipping(1.0, 1.0))
    plan.check_round(3, clip)
    encode(plan.reserve(3, b"s" * 16, clip=clip, context=b"c" * 32, roster=b"r" * 32), NO_HEAD)
