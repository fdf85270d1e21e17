"""fl.private.client_checks: the plan's terms and no others, a ledger of the plan's budget, and what is new in it."""

from dataclasses import fields, replace
from fractions import Fraction

import pytest

from dp import Reserve, RoundRefusedError
from dp.ledger import NO_HEAD, line_hash
from fl.errors import PlanMismatchError
from fl.private.client_checks import check_headers, check_reserve, check_terms, unseen
from secagg import SessionParams
from tests.kit.private_round_scene import CURIOUS, chain, planned

PLAN = planned(adversary=CURIOUS)
SESSION, CONTEXT, ROSTER = bytes(16), bytes(32), b"r" * 32
RESERVE = PLAN.reserve(1, SESSION, clip=1.0, context=CONTEXT, roster=ROSTER)


def judged(reserve: Reserve) -> None:
    check_reserve(PLAN, reserve, round_number=1, session_id=SESSION, clip=1.0, context=CONTEXT)


def test_every_round_of_the_plan_has_its_terms():
    for number in (1, 2, 3):
        check_terms(PLAN, PLAN.session_params(number))
    check_terms(PLAN, replace(PLAN.session, round_number=9, application=b"left to the session's own policy"))


@pytest.mark.parametrize(
    ("field", "value"), [("threshold", 4), ("vector_length", 17), ("modulus_bits", 63), ("min_survivors", 5)]
)
def test_another_term_is_named(field: str, value: int):
    with pytest.raises(PlanMismatchError) as refused:
        check_terms(PLAN, replace(PLAN.session, **{field: value}))
    assert refused.value.what == f"session ({field})"
    assert refused.value.offered == str(value)
    assert field in {one.name for one in fields(SessionParams)}


def test_a_header_of_another_budget_is_refused_wherever_a_file_begins():
    good = chain([PLAN.header(), RESERVE])
    check_headers(PLAN, good)
    check_headers(PLAN, ())
    other = chain([replace(PLAN.header(), scope="ward 8")])
    with pytest.raises(PlanMismatchError, match="scope"):
        check_headers(PLAN, (*good, *other))
    # What is no record is the counter's to refuse: it says which line.
    check_headers(PLAN, (b"garbage", *good))


def test_the_plans_own_reserve_passes_whatever_epsilon_and_roster_it_claims():
    judged(RESERVE)
    judged(replace(RESERVE, epsilon=Fraction(1, 100), roster=bytes(32)))


@pytest.mark.parametrize("field", ["round", "session", "context", "min_survivors", "modulus_bits", "local_variance"])
def test_a_reserve_with_another_figure_is_refused(field: str):
    value = getattr(RESERVE, field)
    lie = value[:-1] + b"!" if isinstance(value, bytes) else value + 1
    with pytest.raises(RoundRefusedError) as refused:
        judged(replace(RESERVE, **{field: lie}))
    assert refused.value.rule == "reserve"
    assert str(refused.value.accepted).startswith(field)


def test_what_is_new_comes_after_the_head_that_was_seen():
    lines = chain([PLAN.header(), RESERVE, RESERVE])
    assert unseen(lines, None) == lines
    for place, line in enumerate(lines, 1):
        assert unseen(lines, line_hash(line)) == lines[place:]
    # A head that is not among them: the counter judges whether the lines extend it.
    assert unseen(lines, NO_HEAD) == lines
    assert unseen((), line_hash(lines[0])) == ()
