"""Roots of exact numbers that are not below the true ones."""

import math
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from dp.mechanisms.float_vectors import root_above


@given(numerator=st.integers(1, 2**300), denominator=st.integers(1, 2**300))
@example(numerator=25, denominator=1)
@example(numerator=2**1000, denominator=1)
@example(numerator=1, denominator=2**1000)
def test_a_root_is_not_below_and_hardly_above(numerator: int, denominator: int):
    square = Fraction(numerator, denominator)
    root = root_above(square)
    assert Fraction(root) ** 2 >= square
    assert Fraction(math.nextafter(math.nextafter(root, 0.0), 0.0)) ** 2 < square


@given(root=st.integers(1, 2**53), exponent=st.integers(-400, 400))
def test_the_root_of_a_float_squared_is_that_float(root: int, exponent: int):
    value = math.ldexp(float(root), exponent)
    assert root_above(Fraction(value) ** 2) == value
