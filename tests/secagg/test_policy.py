"""Every rule of a client's policy."""

import dataclasses
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import SERVER, InvalidParameterError, PolicyViolationError
from secagg.graph.choosing import choose
from secagg.params import MAX_COHORT_SIZE, AdversaryModel, SessionParams
from secagg.policy import ClientPolicy
from secagg.primitives.prg import Suite
from tests.kit.weak_keys import BASE_POINT

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS
KEYS = {client: bytes([client]) * 32 for client in range(1, 5)}


def policy(**changes: Any) -> ClientPolicy:
    return ClientPolicy(**({"identities": KEYS} | changes))


def offer(cohort_size: int = 10, **changes: Any) -> SessionParams:
    defaults = {"vector_length": 100, "modulus_bits": 32, "threshold": 7}
    return SessionParams(cohort_size=cohort_size, **(defaults | changes))


def refusal(terms: ClientPolicy, params: SessionParams) -> PolicyViolationError:
    with pytest.raises(PolicyViolationError) as caught:
        terms.check(params)
    assert caught.value.culprit is SERVER
    return caught.value


# ----------------------------------------------------------------------------------------- The policy by itself
@pytest.mark.parametrize(
    ("parameter", "changes"),
    [
        ("adversary", {"adversary": 2}),
        ("suites", {"suites": frozenset()}),
        ("suites", {"suites": frozenset({1})}),
        ("corrupt_fraction", {"corrupt_fraction": -0.01}),
        ("corrupt_fraction", {"corrupt_fraction": 0.5}),
        ("corrupt_fraction", {"corrupt_fraction": math.nan}),
        ("corrupt_fraction", {"corrupt_fraction": math.inf}),
        ("min_cohort", {"min_cohort": 2}),
        ("min_cohort", {"min_cohort": 11, "max_cohort": 10}),
        ("max_cohort", {"max_cohort": MAX_COHORT_SIZE + 1}),
        ("min_survivors", {"min_survivors": -1}),
        ("min_survivors", {"min_survivors": 2.5}),
        ("min_survivors", {"min_survivors": True}),
        ("min_cohort", {"min_cohort": "3"}),
        ("max_message_bytes", {"max_message_bytes": None}),
        ("corrupt_fraction", {"corrupt_fraction": "0.1"}),
        ("corrupt_fraction", {"corrupt_fraction": None}),
        ("corrupt_fraction", {"corrupt_fraction": float("nan")}),
        ("small_consortium", {"small_consortium": 2}),
        ("vector_length", {"vector_length": "a"}),
        ("modulus_bits", {"modulus_bits": 0}),
        ("application", {"application": "abc"}),
        ("identities", {"identities": [1]}),
        ("min_survivors", {"min_survivors": 11, "max_cohort": 10}),
        ("max_message_bytes", {"max_message_bytes": 0}),
        ("identities", {"identities": {}}),
        ("identities", {"identities": {-1: BASE_POINT}}),
        ("identities", {"identities": {2**64: BASE_POINT}}),
        ("identities", {"identities": {"1": BASE_POINT}}),
        ("identities", {"identities": {True: BASE_POINT}}),
        ("identities", {"identities": {1: bytes(31)}}),
        ("identities", {"identities": {1: bytearray(32)}}),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(parameter: str, changes: dict[str, Any]):
    with pytest.raises(InvalidParameterError) as caught:
        policy(**changes)
    assert caught.value.parameter == parameter


def test_the_edges_of_a_policy_are_accepted():
    policy(corrupt_fraction=0.0)
    policy(corrupt_fraction=0.49999)
    policy(min_cohort=3, max_cohort=3, min_survivors=3)
    policy(max_cohort=MAX_COHORT_SIZE, min_survivors=MAX_COHORT_SIZE)
    policy(identities={0: BASE_POINT, 2**64 - 1: BASE_POINT})
    ClientPolicy(adversary=CURIOUS)  # needs no identities


def test_the_default_is_the_active_model_with_a_tenth_corrupt():
    assert policy().adversary is ACTIVE
    assert policy().corrupt_fraction == 0.1
    assert not policy().small_consortium
    assert policy().suites == set(Suite)


def test_no_identity_key_is_shown():
    assert "0101" not in repr(policy())
    assert "\\x01" not in repr(policy())


def test_a_policy_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy().min_survivors = 0  # type: ignore[misc]


# ---------------------------------------------------------------------------------------------- Who is corrupt
@pytest.mark.parametrize(
    ("fraction", "size", "corrupt"),
    [
        (0.1, 30, 3),  # 0.1 as a float is a little more than a tenth: counted with it, 30 would give 4
        (0.1, 31, 4),
        (0.1, 10, 1),
        (0.1, 3, 1),
        (0.2, 15, 3),
        (0.3, 10, 3),
        (0.07, 100, 7),
        (0.33, 100, 33),
        (0.1, 2**20, 104858),
        (0.0, 1000, 0),
        (1e-9, 1000, 1),
        (0.25, 8, 2),
        (0, 9, 0),
    ],
)
def test_the_corrupt_are_counted_exactly(fraction: float, size: int, corrupt: int):
    assert policy(corrupt_fraction=fraction).assumed_corrupt(size) == corrupt


@given(st.integers(0, 4999), st.integers(3, MAX_COHORT_SIZE))
def test_the_corrupt_are_the_ceiling_of_the_decimal_as_written(ten_thousandths: int, size: int):
    terms = policy(corrupt_fraction=float(f"0.{ten_thousandths:04}"))
    population = max(size, len(terms.identities))
    assert terms.assumed_corrupt(size) == min(size, -(-ten_thousandths * population // 10_000))
    assert terms.assumed_corrupt(size) == min(size, math.ceil(Fraction(ten_thousandths, 10_000) * population))


# --------------------------------------------------------------------------------------------------- Survivors
def test_the_floor_of_survivors_is_three_honest_ones_and_two_in_a_small_consortium():
    params = offer(30, threshold=15)  # 3 of 30 are assumed corrupt
    assert policy(corrupt_fraction=0.3).required_survivors(offer(30, threshold=15)) == 16  # the parameters' own
    assert policy(corrupt_fraction=0.45).required_survivors(params) == 14 + 3
    assert policy(corrupt_fraction=0.45, small_consortium=True).required_survivors(params) == 16
    params = offer(30, threshold=15, adversary=CURIOUS)
    assert policy(corrupt_fraction=0.49).required_survivors(params) == 15 + 3
    assert policy(corrupt_fraction=0.49, small_consortium=True).required_survivors(params) == 15 + 2


def test_the_largest_of_all_minimums_counts():
    assert policy(min_survivors=20).required_survivors(offer(30, threshold=15)) == 20
    assert policy(min_survivors=20).required_survivors(offer(30, threshold=15, min_survivors=25)) == 25
    assert policy(min_survivors=2).required_survivors(offer(30, threshold=15)) == 16


def test_a_small_consortium_of_four_needs_the_lower_floor():
    four = offer(4, threshold=3, adversary=CURIOUS)
    terms = {"adversary": CURIOUS, "identities": {}, "corrupt_fraction": 0.4}
    error = refusal(policy(**terms), four)  # 2 corrupt and 3 more are 5
    assert (error.rule, error.offered, error.accepted) == ("cohort_size", 4, "at least 5, the minimum of survivors")
    policy(**terms, small_consortium=True).check(four)


def test_survivors_that_the_cohort_cannot_have_are_refused_at_once():
    assert refusal(policy(min_survivors=11), offer(10)).rule == "cohort_size"
    policy(min_survivors=10).check(offer(10, min_survivors=10))


def test_a_minimum_above_the_offered_one_is_refused_at_once():
    """Not when the survivors are fixed: then everybody would leave, and nobody could be named."""
    offered = offer(10).min_survivors
    error = refusal(policy(min_survivors=offered + 1), offer(10))
    assert (error.rule, error.offered, error.accepted) == ("min_survivors", offered, f"at least {offered + 1}")
    policy(min_survivors=offered).check(offer(10))


# -------------------------------------------------------------------------------------------------- Each rule
@pytest.mark.parametrize(
    ("rule", "terms", "changes"),
    [
        ("adversary", {}, {"adversary": CURIOUS}),
        ("adversary", {"adversary": CURIOUS}, {}),
        ("suite", {"suites": frozenset({Suite.CHACHA20})}, {}),
        ("suite", {"suites": frozenset({Suite.AES_128_CTR})}, {"suite": Suite.CHACHA20}),
        ("cohort_size", {"min_cohort": 11}, {}),
        ("cohort_size", {"max_cohort": 9}, {}),
        ("threshold", {"corrupt_fraction": 0.49}, {"threshold": 6}),
        ("vector_length", {"vector_length": 99}, {}),
        ("modulus_bits", {"modulus_bits": 31}, {}),
        ("application", {"application": b""}, {"application": b"x"}),
        ("application", {"application": b"x"}, {}),
    ],
)
def test_an_offer_outside_the_policy_is_refused_by_its_rule(rule: str, terms: dict[str, Any], changes: dict[str, Any]):
    error = refusal(policy(**terms), offer(**changes))
    assert error.rule == rule
    assert str(error.offered) in str(error)
    assert str(error.accepted) in str(error)


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"suites": frozenset({Suite.AES_128_CTR})},
        {"min_cohort": 10, "max_cohort": 10},
        {"vector_length": 100, "modulus_bits": 32, "application": b""},
    ],
)
def test_an_offer_within_the_policy_is_accepted(terms: dict[str, Any]):
    policy(**terms).check(offer())


def test_none_accepts_any_length_modulus_and_application():
    for changes in ({"vector_length": 0}, {"modulus_bits": 1}, {"application": b"anything"}):
        policy().check(offer(**changes))


# -------------------------------------------------------------------------------------------------- Thresholds
def active_is_safe(threshold: int, neighbours: int, corrupt: int) -> bool:
    """Says whether no split of the honest neighbours gives both sides t shares, the corrupt ones answering both."""
    honest = neighbours - corrupt
    return not any(
        side + corrupt >= threshold and honest - side + corrupt >= threshold for side in range(max(honest, 0) + 1)
    )


def outcome(terms: ClientPolicy, params: SessionParams) -> str:
    try:
        terms.check(params)
    except PolicyViolationError as error:
        return error.rule
    return "accepted"


def just_enough(corrupt: int, size: int) -> float:
    """Returns a fraction of which that many of `size` are the ceiling."""
    return round(max((corrupt - 0.6) / size, 0), 6)


@pytest.mark.parametrize(
    ("size", "corrupt"),
    # At most half, rounded up, and not so many that the floor of survivors refuses the cohort whatever its threshold.
    [(size, corrupt) for size in (4, 5, 6, 7, 8, 15, 16, 17) for corrupt in range(min((size + 3) // 2, size - 2))],
)
def test_a_threshold_of_the_active_model_lets_nobody_be_opened_by_two_survivor_sets(size: int, corrupt: int):
    terms, neighbours = policy(corrupt_fraction=just_enough(corrupt, size)), size - 1
    assert terms.assumed_corrupt(size) == corrupt
    accepted = 0
    for threshold in range(neighbours // 2 + 1, neighbours + 1):
        safe = active_is_safe(threshold, neighbours, corrupt)
        assert safe == (2 * threshold > neighbours + corrupt)
        found = outcome(terms, offer(size, threshold=threshold))
        assert found == ("accepted" if safe else "threshold"), (threshold, found)
        accepted += safe
    assert accepted


@pytest.mark.parametrize(
    ("size", "corrupt"),
    [(size, corrupt) for size in (3, 4, 5, 6, 7, 8, 15) for corrupt in range(min((size + 3) // 2, size - 1))],
)
def test_a_threshold_of_the_curious_model_is_out_of_reach_of_the_corrupt(size: int, corrupt: int):
    fraction = just_enough(corrupt, size)
    terms = policy(adversary=CURIOUS, identities={}, corrupt_fraction=fraction, small_consortium=True)
    assert terms.assumed_corrupt(size) == corrupt
    for threshold in range((size - 1) // 2 + 1, size):
        found = outcome(terms, offer(size, threshold=threshold, adversary=CURIOUS))
        assert found == ("accepted" if threshold > corrupt else "threshold")


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_what_is_accepted_keeps_every_promise(data: st.DataObject):
    size = data.draw(st.integers(4, 60))
    threshold = data.draw(st.integers((size - 1) // 2 + 1, size - 1))
    fraction = data.draw(st.integers(0, 499)) / 1000
    small = data.draw(st.booleans())
    terms = policy(corrupt_fraction=fraction, small_consortium=small)
    params = offer(size, threshold=threshold)
    if outcome(terms, params) == "accepted":
        corrupt = math.ceil(Fraction(str(fraction)) * size)
        assert 2 * threshold > size - 1 + corrupt
        assert terms.required_survivors(params) - corrupt >= (2 if small else 3)
        assert threshold + 1 <= terms.required_survivors(params) <= size


# ---------------------------------------------------------------------------------------------------- Sparse graph
@pytest.mark.parametrize("adversary", [ACTIVE, CURIOUS])
def test_what_choose_finds_is_accepted_by_a_policy_of_the_same_assumptions(adversary: AdversaryModel):
    params = choose(1000, corrupt=0.1, dropout=0.1, adversary=adversary, absent=0.05).session_params(
        vector_length=1, modulus_bits=8
    )
    terms = policy(adversary=adversary, corrupt_fraction=0.1, dropout_fraction=0.1)
    terms.check(params)
    for roster_size in (1000, 975, 950):
        terms.check_graph(params, roster_size)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"corrupt_fraction": 0.12}, "private"),
        ({"security_bits": 60}, "private"),
        ({"dropout_fraction": 0.2}, "alive"),
        ({"correctness_bits": 60}, "alive"),
    ],
)
def test_a_policy_that_assumes_or_asks_for_more_refuses_the_same_graph(changes: dict[str, Any], rule: str):
    params = choose(1000, corrupt=0.1, dropout=0.1, adversary=CURIOUS).session_params(vector_length=1, modulus_bits=8)
    terms = {"adversary": CURIOUS, "corrupt_fraction": 0.1, "dropout_fraction": 0.1}
    policy(**terms).check(params)
    with pytest.raises(PolicyViolationError) as caught:
        policy(**(terms | changes)).check(params)
    assert caught.value.rule == rule
    assert caught.value.offered.startswith("a risk of 2^-")
    assert caught.value.accepted.startswith("at most 2^-")


def test_a_policy_that_counts_on_grinding_refuses_what_was_chosen_without_it():
    params = choose(1000, corrupt=0.1, dropout=0.1, adversary=ACTIVE, grinding_bits=0).session_params(
        vector_length=1, modulus_bits=8
    )
    policy(corrupt_fraction=0.1, grinding_bits=0).check(params)
    with pytest.raises(PolicyViolationError) as caught:
        policy(corrupt_fraction=0.1).check(params)
    assert caught.value.rule == "uncuttable"


def test_a_graph_that_holds_for_all_invited_need_not_hold_for_those_who_came():
    """Corrupt clients do not stay away: a hundred of them among 950 are more than the graph was chosen for."""
    params = choose(1000, corrupt=0.1, dropout=0.1, adversary=CURIOUS).session_params(vector_length=1, modulus_bits=8)
    terms = policy(adversary=CURIOUS, corrupt_fraction=0.1)
    terms.check_graph(params, 1000)
    with pytest.raises(PolicyViolationError) as caught:
        terms.check_graph(params, 950)
    assert caught.value.rule == "private"


@pytest.mark.parametrize("adversary", [ACTIVE, CURIOUS])
def test_a_minimum_of_survivors_below_what_was_proved_is_refused_at_once(adversary: AdversaryModel):
    certificate = choose(1000, corrupt=0.1, dropout=0.1, adversary=adversary)
    params = certificate.session_params(vector_length=1, modulus_bits=8)
    terms = policy(adversary=adversary, corrupt_fraction=0.1)
    fewer = dataclasses.replace(params, min_survivors=certificate.min_survivors - 1)
    with pytest.raises(PolicyViolationError) as caught:
        terms.check(fewer)
    assert (caught.value.rule, caught.value.offered) == ("min_survivors", certificate.min_survivors - 1)
    assert terms.required_survivors(params) >= certificate.min_survivors


def test_signatures_that_are_required_are_more_than_half_of_the_roster_and_the_corrupt():
    params = choose(1000, corrupt=0.1, dropout=0.1, adversary=ACTIVE).session_params(vector_length=1, modulus_bits=8)
    assert policy(corrupt_fraction=0.1).required_signatures(params, 1000) == 551
    assert policy(corrupt_fraction=0.1).required_signatures(params, 901) == 501
    assert policy(corrupt_fraction=0.0).required_signatures(params, 901) == 451


@pytest.mark.parametrize("field", ["corrupt_fraction", "dropout_fraction"])
@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, float("nan"), float("inf"), True, "0.1", None])
def test_a_fraction_out_of_its_range_is_refused(field: str, value: object):
    with pytest.raises(InvalidParameterError) as caught:
        policy(**{field: value})
    assert caught.value.parameter == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("security_bits", 0),
        ("security_bits", 257),
        ("security_bits", 40.0),
        ("correctness_bits", 0),
        ("grinding_bits", -1),
        ("grinding_bits", 257),
        ("grinding_bits", True),
    ],
)
def test_bits_out_of_their_range_are_refused(field: str, value: object):
    with pytest.raises(InvalidParameterError) as caught:
        policy(**{field: value})
    assert caught.value.parameter == field
