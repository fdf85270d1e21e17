"""Checked numbers: what is refused, and that what passes is of Python's own type."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.checks import MAX_CLIENT_ID, check_client_id, check_fraction, check_integer
from secagg.errors import InvalidParameterError


class Shown(float):
    """A float that prints as another."""

    def __str__(self) -> str:
        return "0.0"

    __repr__ = __str__


class Loud(int):
    """An int that prints as anything."""

    def __repr__(self) -> str:
        return "3"


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from([int, np.int64]))
def test_an_integer_in_its_range_comes_back_as_an_int(value: int, kind: type):
    found = check_integer("size", kind(value), low=-(2**63), high=2**63 - 1)
    assert type(found) is int
    assert found == value


@pytest.mark.parametrize(
    "value", [0, 6, True, 2.0, "3", None, Loud(3), np.bool_(True), np.float64(3), np.uint8(6), 2**80]
)
def test_what_is_no_integer_of_the_range_is_refused_with_what_was_offered(value: object):
    with pytest.raises(InvalidParameterError) as refused:
        check_integer("size", value, low=1, high=5)
    assert (refused.value.parameter, refused.value.allowed) == ("size", "a Python int from 1 to 5")
    assert refused.value.offered is value


@pytest.mark.parametrize(
    ("value", "part"), [(0, 0.0), (0.25, 0.25), (np.float32(0.1), 0.1), (np.float64(0.1), 0.1), (np.int8(0), 0.0)]
)
def test_a_part_is_the_decimal_that_it_shows(value: object, part: float):
    found = check_fraction("dropout", value)
    assert type(found) is float
    assert found == part


@pytest.mark.parametrize(
    "value",
    [
        -0.1,
        0.5,
        1,
        True,
        "0.1",
        None,
        math.nan,
        math.inf,
        Fraction(1, 4),
        Decimal("0.1"),
        np.float64(math.nan),
        Shown(0.4),
        10**400,
        np.float32(0.5),
        np.int8(1),
    ],
)
def test_what_is_no_part_below_a_half_is_refused(value: object):
    with pytest.raises(InvalidParameterError) as refused:
        check_fraction("corrupt", value, below=Fraction(1, 2))
    assert (refused.value.parameter, refused.value.allowed) == ("corrupt", "a number, at least 0 and below 1/2")


@pytest.mark.parametrize("client", [0, 1, MAX_CLIENT_ID])
def test_client_ids_are_unsigned_of_64_bits(client: int):
    assert check_client_id("client", client) == client
    taken = check_client_id("client", np.uint64(client))
    assert (type(taken), taken) == (int, client)


@pytest.mark.parametrize("client", [-1, MAX_CLIENT_ID + 1, True, 1.0, "1", None, Loud(1), np.int64(-1), np.bool_(1)])
def test_what_is_no_client_id_is_refused(client: object):
    with pytest.raises(InvalidParameterError) as refused:
        check_client_id("sender", client)
    assert refused.value.parameter == "sender"
