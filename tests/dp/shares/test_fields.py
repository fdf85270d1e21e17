"""Every field of a plan has one JSON form, and a range."""

from dataclasses import fields
from fractions import Fraction

import pytest

from dp.errors import InvalidParameterError
from dp.shares.fields import FIELDS, LARGEST_LOCAL_VARIANCE
from dp.shares.plan import DistributedPlan


def test_every_field_of_a_plan_has_a_form() -> None:
    assert {field.name for field in fields(DistributedPlan)} == set(FIELDS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("local_variance", Fraction(LARGEST_LOCAL_VARIANCE + 1)),
        ("local_variance", Fraction(1, 2**81)),
        ("modulus_bits", 65),
        ("clients", 0),
        ("beta", Fraction(0)),
        ("delta", Fraction(2)),
    ],
)
def test_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidParameterError, match=name):
        FIELDS[name].encode(name, value)
