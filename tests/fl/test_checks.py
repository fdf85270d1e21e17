"""fl.checks: which numbers pass, as what they come out, and how the others are refused."""

import math
from fractions import Fraction

import numpy as np
import pytest

from fl.checks import LARGEST_FLOAT, check_integer, check_number
from secagg import InvalidParameterError


@pytest.mark.parametrize("value", [1, 2, 10**30])
def test_an_int_in_its_range_is_returned(value: int):
    assert check_integer("size", value, low=1, high=10**30) is value


def test_a_numpy_integer_is_taken_as_an_int():
    taken = check_integer("size", np.int8(3), low=1, high=10)
    assert (type(taken), taken) == (int, 3)


@pytest.mark.parametrize("value", [0, 11, True, 3.0, np.int64(11), np.bool_(1), "3", None, Fraction(3)])
def test_what_is_no_int_of_the_range_is_refused_with_its_name(value: object):
    with pytest.raises(InvalidParameterError) as refused:
        check_integer("size", value, low=1, high=10)
    assert refused.value.parameter == "size"
    assert refused.value.offered is value
    assert refused.value.allowed == "an int from 1 to 10"


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int8(1), Fraction(1)])
def test_a_number_comes_out_as_a_float(value: float):
    number = check_number("clip", value, low=1.0, high=1.0)
    assert type(number) is float
    assert number == 1.0


@pytest.mark.parametrize("value", [True, np.True_, "1", None, 1j, [1.0]])
def test_what_is_no_number_is_refused_by_its_type(value: object):
    with pytest.raises(InvalidParameterError) as refused:
        check_number("clip", value)
    assert (refused.value.parameter, refused.value.offered) == ("clip", type(value).__name__)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, -(10**400)])
def test_only_finite_numbers_pass(value: float):
    with pytest.raises(InvalidParameterError, match="a finite number"):
        check_number("clip", value)
    assert check_number("clip", LARGEST_FLOAT) == LARGEST_FLOAT


def test_an_open_end_is_excluded_and_said_so():
    assert check_number("decay", 0.0, low=0.0, high=1.0, open_high=True) == 0.0
    with pytest.raises(InvalidParameterError, match="at least 0, below 1$"):
        check_number("decay", 1.0, low=0.0, high=1.0, open_high=True)
    assert check_number("share", 1.0, low=0.0, high=1.0, open_low=True) == 1.0
    with pytest.raises(InvalidParameterError, match="above 0, at most 1$"):
        check_number("share", 0.0, low=0.0, high=1.0, open_low=True)
