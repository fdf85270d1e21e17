"""dp.ledger.record_types: each kind of record is frozen, by name, and says how much of its call follows."""

from dataclasses import FrozenInstanceError, fields
from fractions import Fraction

import pytest

from dp.ledger.record_types import NO_HEAD, Central, Cohort, MemberForm, Settle, following
from tests.kit.ledger_scene import HEADER, a_round


@pytest.mark.parametrize(
    "record", [HEADER, a_round(1), Settle(round=1, survivors=80)], ids=lambda one: type(one).__name__
)
def test_records_are_frozen_and_made_by_name(record: object):
    name = fields(record)[0].name  # type: ignore[arg-type]
    with pytest.raises(FrozenInstanceError):
        setattr(record, name, None)
    with pytest.raises(TypeError):
        type(record)(1, 2)


def test_only_records_of_several_in_a_call_say_how_many_follow():
    part = Central(mechanism="gaussian", noise_multiplier=Fraction(1), following=3)
    assert following(part) == 3
    cohort = Cohort(cohort=bytes(32), form=MemberForm.IDS, first=0, members=bytes(8), following=2)
    assert following(cohort) == 2
    assert following(a_round(1)) == following(HEADER) == 0


def test_no_head_is_as_long_as_a_head():
    assert bytes(32) == NO_HEAD
