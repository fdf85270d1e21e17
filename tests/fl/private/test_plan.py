"""fl.private.plan: what everybody derives from a plan is the same, and a plan that does not hold together is none."""

import hashlib
import json
import math
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from dp.ledger.records import NO_HEAD, Header, Reserve, encode
from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from dp.mechanisms.rounding import largest_l1
from dp.vocabulary import DISTRIBUTED_DISCRETE_GAUSSIAN, Adversary, Relation, SampleKnownTo, Sampling, Unit
from fl.arrays.schema import ArraySchema
from fl.errors import PlanMismatchError, UnsafePlanError
from fl.private.plan import PrivatePlan, _fraction
from fl.private.side_values import SideValue
from secagg.errors import LocalError
from secagg.graph.choosing import choose
from secagg.params import SessionParams
from tests.kit.private_round_scene import ACTIVE, CURIOUS, LOSS, SCHEMA, planned, public_keys

ADAPTIVE = AdaptiveClipping(1.0, 1.0, smallest=0.01, largest=100.0)

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
        "certificate": choose(64, 6 / 64, 0.2, CURIOUS),
    },
    "sixty-four bits": {"modulus_bits": 64},
}
every_plan = pytest.mark.parametrize("changes", PLANS.values(), ids=PLANS)


# ------------------------------------------------------------------------------------------------------ As bytes
@pytest.mark.slow
@every_plan
def test_a_plan_comes_back_as_it_was(changes: dict[str, Any]):
    plan = planned(**changes)
    text = plan.to_json()
    again = PrivatePlan.from_json(text, SCHEMA)
    assert again == plan
    assert again.to_json() == text
    assert again.digest == plan.digest


@pytest.mark.slow
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


def tampered(plan: PrivatePlan, change: Callable[[dict[str, Any]], object]) -> str:
    raw = json.loads(plan.to_json())
    change(raw)
    return json.dumps(raw, sort_keys=True, separators=(",", ":"))


def lower(text: str) -> str:
    number = Fraction(text) * Fraction(9, 10)
    return f"{number.numerator}/{number.denominator}"


RICH = {"weight_cap": 50, "side_values": (LOSS,), "adaptive": ADAPTIVE}

BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], type[LocalError], str]] = {
    "no scope": (lambda raw: raw.update(scope=""), UnsafePlanError, "scope"),
    "scope of a number": (lambda raw: raw.update(scope=5), PlanMismatchError, "text"),
    "another schema": (lambda raw: raw.update(schema="private-plan/2"), PlanMismatchError, "text"),
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


@pytest.mark.slow
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
    assert "insists on 6" in refused.value.why


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
    assert refused.value.what == "corrupt_fraction"


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


# ------------------------------------------------------------------------------------------- What everybody derives
def test_a_plan_is_frozen():
    with pytest.raises(FrozenInstanceError):
        planned().clip = 2.0  # type: ignore[misc]


def test_rounds_are_from_one_to_the_last():
    plan = planned()
    for number in (1, 2, 3):
        plan.check_round(number, plan.clip)
        assert plan.session_params(number, plan.clip, NO_HEAD).round_number == number
    for number in (0, 4, -1, 2**64, True, 1.0, "1", None):
        with pytest.raises(PlanMismatchError) as refused:
            plan.session_params(number, plan.clip, NO_HEAD)  # type: ignore[arg-type]
        assert (refused.value.what, refused.value.expected) == ("round", "1 to 3")


@pytest.mark.parametrize("clip", [0.5, 2.0, math.nan, math.inf, 0.0, -1.0, math.nextafter(1.0, 2.0)])
def test_the_clip_norm_is_the_plans_if_it_does_not_adapt(clip: float):
    plan = planned()
    with pytest.raises(PlanMismatchError) as refused:
        plan.check_round(1, clip)
    assert (refused.value.what, refused.value.expected) == ("clip norm", 1.0)


def test_a_clip_norm_that_adapts_stays_in_its_range():
    plan = planned(adaptive=ADAPTIVE)
    for clip in (0.01, 1.0, 100.0):
        plan.check_round(2, clip)
    for clip in (0.0099, 100.1, math.nan, math.inf, -1.0, 0.0):
        with pytest.raises(PlanMismatchError) as refused:
            plan.check_round(2, clip)
        assert (refused.value.what, refused.value.expected) == ("clip norm", "from 0.01 to 100.0")


def test_a_session_binds_plan_round_clip_norm_and_ledger():
    plan = planned(adaptive=ADAPTIVE)
    bound = {
        plan.session_params(number, clip, head).encode()
        for number in (1, 2)
        for clip in (1.0, 1.5)
        for head in (NO_HEAD, b"h" * 32)
    }
    other = planned(adaptive=ADAPTIVE, scope="ward 8")
    assert len(bound | {other.session_params(1, 1.0, NO_HEAD).encode()}) == 9
    params = plan.session_params(2, 1.5, b"h" * 32)
    # In this order, and nothing else: other programs have to make the same bytes.
    assert params.application == b"fl private round 1" + plan.digest + b"h" * 32 + np.float64(1.5).tobytes()
    for field in fields(SessionParams):
        if field.name not in ("application", "round_number"):
            assert getattr(params, field.name) == getattr(plan.session, field.name)


def test_a_policy_accepts_the_plans_session_and_pins_it():
    plan = planned()
    policy = plan.policy(2, plan.clip, NO_HEAD, public_keys(plan))
    params = plan.session_params(2, plan.clip, NO_HEAD)
    policy.check(params)
    assert (policy.min_cohort, policy.max_cohort) == (plan.min_survivors, plan.clients)
    assert policy.required_survivors(params) == plan.min_survivors == 4
    assert policy.application == params.application
    assert (policy.round_number, policy.vector_length, policy.modulus_bits) == (2, 16, plan.noise.modulus_bits)
    assert policy.identities == public_keys(plan)


def test_the_policy_assumes_exactly_the_plans_colluders():
    for clients in [*range(1, 130), 997, 1000, 10**4 + 7, 2**20]:
        for colluders in {0, clients // 10, clients // 3, (clients - 1) // 2}:
            fraction = _fraction(colluders, clients)
            assert math.ceil(Fraction(str(fraction)) * clients) == colluders
            assert fraction < 0.5


def test_the_vector_has_a_power_of_two_of_coordinates_and_the_bit():
    assert planned().vector_length == 16
    assert planned(adaptive=ADAPTIVE).vector_length == 17
    assert planned(weight_cap=50, side_values=(LOSS,)).vector_length == 32
    assert planned(weight_cap=50).noise.dimension == 16


def test_the_lattice_follows_the_clip_norm():
    plan = planned(adaptive=ADAPTIVE, side_values=(LOSS,))
    assert plan.joint_clip(3.0) == pytest.approx(3 * math.sqrt(1.25), rel=1e-15)
    for clip in (0.01, 1.0, 77.0):
        assert plan.scale(clip) * plan.joint_clip(clip) == pytest.approx(plan.noise.scaled_clip, rel=1e-15)
        adapted = plan.adaptive_at(clip)
        assert adapted is not None
        assert (adapted.clip_norm, adapted.largest) == (clip, 100.0)
    assert planned().adaptive_at(1.0) is None


def test_the_noise_on_sums_and_side_values_is_told():
    plan = planned(adaptive=ADAPTIVE, side_values=(LOSS,), weight_cap=50)
    for survivors in (4, 5):
        lattice = math.sqrt(survivors * plan.noise.local_variance)
        for clip in (None, 2.0):
            joint = math.sqrt(1 + sum(side.share**2 for side in plan.side_values))
            scale = plan.noise.scaled_clip / (joint * (1.0 if clip is None else clip))
            assert plan.noise_stddev(survivors, clip) == pytest.approx(lattice / scale, rel=1e-12)
        # Half of the range is sent as the share of the clip norm.
        assert plan.side_value_stddev("loss", survivors) == pytest.approx(plan.noise_stddev(survivors) * 2.5 / 0.5)
        share = plan.side_values[1].share
        assert plan.side_value_stddev("weight", survivors) == pytest.approx(plan.noise_stddev(survivors) * 25 / share)
    with pytest.raises(PlanMismatchError) as refused:
        plan.side_value_stddev("accuracy", 4)
    assert (refused.value.offered, refused.value.expected) == ("accuracy", "loss, weight")
    with pytest.raises(PlanMismatchError, match="expected none"):
        planned().side_value_stddev("loss", 4)


# ---------------------------------------------------------------------------------------------------- The ledger
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
    reserve = plan.reserve(2, b"s" * 16, plan.clip, b"c" * 32, b"r" * 32)
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
    encode(plan.reserve(3, b"s" * 16, clip, b"c" * 32, b"r" * 32), NO_HEAD)


def test_a_bound_below_what_rounding_needs_would_tell_norms_and_is_refused() -> None:
    """Clients whose vectors round to more would have to stay away, and who stays away would be an answer."""
    plan = planned()
    bound = plan.noise.squared_norm_bound // 4
    noise = replace(plan.noise, squared_norm_bound=bound, l1_bound=largest_l1(bound, plan.noise.padded_dimension))
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
