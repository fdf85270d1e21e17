"""fl.private.plan_checks: a plan whose parts do not fit is none, and the part that is wrong is named."""

import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import pytest

from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from dp.mechanisms.rounding import largest_l1
from fl.errors import PlanMismatchError, UnsafePlanError
from fl.private.plan import PrivatePlan
from fl.private.side_values import SideValue
from secagg.errors import LocalError
from secagg.params import SessionParams
from tests.kit.private_plans import tampered
from tests.kit.private_round_scene import ACTIVE, ADAPTIVE, CURIOUS, LOSS, SCHEMA, planned


def lower(text: str) -> str:
    number = Fraction(text) * Fraction(9, 10)
    return f"{number.numerator}/{number.denominator}"


RICH = {"weight_cap": 50, "side_values": (LOSS,), "adaptive": ADAPTIVE}

BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], type[LocalError], str]] = {
    "no scope": (lambda raw: raw.update(scope=""), UnsafePlanError, "scope"),
    "scope of a number": (lambda raw: raw.update(scope=5), PlanMismatchError, "text"),
    "another schema": (lambda raw: raw.update(schema="private-plan/3"), PlanMismatchError, "text"),
    "a field too many": (lambda raw: raw.update(more=1), PlanMismatchError, "text"),
    "a field missing": (lambda raw: raw.pop("clip"), PlanMismatchError, "text"),
    "another clip norm": (lambda raw: raw.update(clip="2/1"), UnsafePlanError, "noise.clip"),
    "clip norm of no number": (lambda raw: raw.update(clip="one"), PlanMismatchError, "text"),
    "clip norm over zero": (lambda raw: raw.update(clip="1/0"), PlanMismatchError, "text"),
    "a huge clip norm": (lambda raw: raw.update(clip="1" + "0" * 400 + "/1"), PlanMismatchError, "text"),
    "endless digits": (lambda raw: raw.update(clip="1" * 5000 + "/1"), PlanMismatchError, "text"),
    "clip norm not in lowest terms": (lambda raw: raw.update(clip="2/2"), PlanMismatchError, "text"),
    "another weight cap": (lambda raw: raw.update(weight_cap=51), UnsafePlanError, "side_values"),
    "no weight cap": (lambda raw: raw.update(weight_cap=1), UnsafePlanError, "side_values"),
    "weight cap of a bool": (lambda raw: raw.update(weight_cap=True), PlanMismatchError, "text"),
    "weight cap of 0": (lambda raw: raw.update(weight_cap=0), UnsafePlanError, "weight_cap"),
    "a side value missing": (lambda raw: raw["side_values"].pop(0), UnsafePlanError, "noise.dimension"),
    "a larger share": (lambda raw: raw["side_values"][0].__setitem__(3, "1/1"), UnsafePlanError, "noise.clip"),
    "a side value twice": (
        lambda raw: raw["side_values"].__setitem__(0, raw["side_values"][1]),
        PlanMismatchError,
        "text",
    ),
    "a range upside down": (lambda raw: raw["side_values"][0].__setitem__(1, "9/1"), PlanMismatchError, "text"),
    "a side value without a range": (lambda raw: raw["side_values"][0].pop(), PlanMismatchError, "text"),
    "side values of a text": (lambda raw: raw.update(side_values="loss"), PlanMismatchError, "text"),
    "bits without adaptive clipping": (lambda raw: raw.update(adaptive=None), UnsafePlanError, "adaptive"),
    "adaptive clipping from another norm": (
        lambda raw: raw["adaptive"].update(clip_norm="2/1"),
        UnsafePlanError,
        "adaptive.clip_norm",
    ),
    "adaptive clipping with more": (lambda raw: raw["adaptive"].update(more=1), PlanMismatchError, "text"),
    "adaptive clipping with less": (lambda raw: raw["adaptive"].pop("quantile"), PlanMismatchError, "text"),
    "adaptive clipping of a list": (lambda raw: raw.update(adaptive=[]), PlanMismatchError, "text"),
    "a consortium of a number": (lambda raw: raw.update(small_consortium=0), PlanMismatchError, "text"),
    "less noise": (
        lambda raw: raw["noise"].update(local_variance=lower(raw["noise"]["local_variance"])),
        UnsafePlanError,
        "promised_epsilon",
    ),
    "less noise on the bits": (
        lambda raw: raw["noise"].update(clip_bit_variance=lower(raw["noise"]["clip_bit_variance"])),
        UnsafePlanError,
        "promised_epsilon",
    ),
    "a smaller promise": (
        lambda raw: raw["noise"].update(promised_epsilon=lower(raw["noise"]["promised_epsilon"])),
        UnsafePlanError,
        "promised_epsilon",
    ),
    "a smaller budget": (
        lambda raw: raw["noise"].update(target_epsilon=lower(raw["noise"]["target_epsilon"])),
        UnsafePlanError,
        "promised_epsilon",
    ),
    "a smaller delta": (
        lambda raw: raw["noise"].update(delta=lower(raw["noise"]["delta"])),
        UnsafePlanError,
        "promised_epsilon",
    ),
    "another round": (lambda raw: raw["noise"].update(rounds=4), UnsafePlanError, "promised_epsilon"),
    "more colluders": (lambda raw: raw["noise"].update(colluders=2), UnsafePlanError, "promised_epsilon"),
    "fewer survivors": (lambda raw: raw["noise"].update(min_survivors=3), UnsafePlanError, "promised_epsilon"),
    "another client": (lambda raw: raw["noise"].update(clients=6), UnsafePlanError, "modulus_bits"),
    "longer vectors": (
        lambda raw: raw["noise"].update(
            squared_norm_bound=raw["noise"]["squared_norm_bound"] * 2, l1_bound=raw["noise"]["l1_bound"] * 2
        ),
        PlanMismatchError,
        "text",
    ),
    "another relation": (lambda raw: raw["noise"].update(relation="replace-one"), UnsafePlanError, "promised_epsilon"),
    "another unit": (lambda raw: raw["noise"].update(unit="example"), PlanMismatchError, "text"),
    "another dimension": (lambda raw: raw["noise"].update(dimension=18), UnsafePlanError, "noise.dimension"),
    "a mechanism that does not exist": (lambda raw: raw["noise"].update(mechanism="none"), PlanMismatchError, "text"),
    "noise of a list": (lambda raw: raw.update(noise=[]), PlanMismatchError, "text"),
    "a modulus too small": (
        lambda raw: raw["noise"].update(modulus_bits=6, smallest_modulus_bits=6),
        UnsafePlanError,
        "modulus_bits",
    ),
    "a session of garbage": (lambda raw: raw.update(session="00"), PlanMismatchError, "text"),
    "a session of a list": (lambda raw: raw.update(session=[]), PlanMismatchError, "text"),
}


@pytest.mark.parametrize(("change", "failure", "what"), BROKEN.values(), ids=BROKEN)
def test_a_field_that_was_tampered_with_is_refused(
    change: Callable[[dict[str, Any]], object], failure: type[LocalError], what: str
):
    plan = planned(**RICH)
    text = tampered(plan, change)
    assert text != plan.to_json()
    with pytest.raises(failure) as refused:
        PrivatePlan.from_json(text, SCHEMA)
    assert type(refused.value) is failure
    assert refused.value.what == what  # type: ignore[attr-defined]
    again = pickle.loads(pickle.dumps(refused.value))
    assert str(again) == str(refused.value)


OTHER_SESSIONS: dict[str, tuple[dict[str, Any], str]] = {
    "cohort": ({"cohort_size": 6, "neighbours": 5}, "cohort_size"),
    "length": ({"vector_length": 17}, "vector_length"),
    "modulus": ({"modulus_bits": 63}, "modulus_bits"),
    "more survivors": ({"min_survivors": 5}, "min_survivors"),
    "threshold": ({"threshold": 3, "min_survivors": 4, "adversary": ACTIVE}, ""),
    "a round's": ({"round_number": 1}, "session"),
    "an application's": ({"application": b"x"}, "session"),
}


@pytest.mark.parametrize("way", ["replaced", "read"])
@pytest.mark.parametrize(("changes", "what"), OTHER_SESSIONS.values(), ids=OTHER_SESSIONS)
def test_a_session_that_does_not_fit_the_noise_is_refused(changes: dict[str, Any], what: str, way: str):
    plan = planned(adversary=CURIOUS)
    session = SessionParams(
        **({field.name: getattr(plan.session, field.name) for field in fields(SessionParams)} | changes)
    )
    text = tampered(plan, lambda raw: raw.update(session=session.encode().hex()))

    def make() -> PrivatePlan:
        return replace(plan, session=session) if way == "replaced" else PrivatePlan.from_json(text, SCHEMA)

    if not what:
        assert make().digest != plan.digest
        return
    with pytest.raises(UnsafePlanError) as refused:
        make()
    assert refused.value.what == what


def test_a_minimum_of_survivors_below_the_noise_promise_is_refused_with_the_reason():
    plan = planned(adversary=CURIOUS, clients=8, max_dropouts=2)
    session = replace(plan.session, min_survivors=5, threshold=4)
    with pytest.raises(UnsafePlanError) as refused:
        replace(plan, session=session)
    assert str(refused.value) == (
        "min_survivors = 5 is refused: the noise is calibrated to 6: fewer would break the promise, more waste utility"
    )
    # Nor if the noise says so too: its promise does not follow any more.
    with pytest.raises(UnsafePlanError, match="promised_epsilon"):
        replace(plan, session=session, noise=replace(plan.noise, min_survivors=5))


def test_survivors_of_whom_too_few_are_honest_are_refused():
    # Three of five survivors may collude, and then clients insist on six.
    plan = planned(adversary=CURIOUS, clients=8, max_dropouts=3, colluders=2)
    with pytest.raises(UnsafePlanError) as refused:
        with_more_colluders(plan)
    assert refused.value.what == "min_survivors"
    assert "at least 6" in refused.value.why


def with_more_colluders(plan: PrivatePlan) -> PrivatePlan:
    """Returns a plan for one more colluder, whose promise holds all the same."""
    variance, bits = 4 * plan.noise.local_variance, plan.noise.modulus_bits + 2
    noise = replace(plan.noise, colluders=plan.noise.colluders + 1, local_variance=variance, modulus_bits=bits)
    return replace(plan, noise=noise, session=replace(plan.session, modulus_bits=bits))


def test_no_client_takes_part_in_a_session_that_its_own_policy_refuses():
    plan = planned(clients=8, max_dropouts=1)
    with pytest.raises(UnsafePlanError) as refused:
        replace(plan, session=replace(plan.session, threshold=4))
    assert (refused.value.what, refused.value.offered) == ("threshold", 4)
    assert "at least 5" in refused.value.why
    # Half of all as colluders: no policy has that.
    plan = planned(adversary=CURIOUS, clients=8, max_dropouts=0, colluders=3)
    with pytest.raises(UnsafePlanError) as refused:
        with_more_colluders(plan)
    assert refused.value.what == "cohort_size"


def test_a_bound_below_what_rounding_needs_would_tell_norms_and_is_refused() -> None:
    """Clients whose vectors round to more would have to stay away, and who stays away would be an answer."""
    plan = planned()
    bound = plan.noise.squared_norm_bound // 4
    noise = replace(
        plan.noise, squared_norm_bound=bound, l1_bound=largest_l1(bound, dimension=plan.noise.padded_dimension)
    )
    with pytest.raises(UnsafePlanError, match="tell its norm"):
        replace(plan, noise=noise)


def test_a_chance_to_wrap_that_is_told_too_small_is_refused() -> None:
    plan = planned()
    assert plan.noise.wrap_probability > 0
    with pytest.raises(UnsafePlanError, match="wrap_probability"):
        replace(plan, noise=replace(plan.noise, wrap_probability=Fraction(0)))


def test_a_lattice_finer_than_floats_is_refused() -> None:
    plan = planned()
    with pytest.raises(UnsafePlanError):
        replace(plan, noise=replace(plan.noise, scale=plan.noise.scale * 2**50))


def test_a_clip_norm_may_not_adapt_beyond_what_floats_hold() -> None:
    sides = (SideValue(name="loss", low=0, high=1, share=1.0),)
    with pytest.raises(UnsafePlanError, match=r"adaptive\.largest"):
        planned(adaptive=AdaptiveClipping(1.0, 3.0), side_values=sides)
