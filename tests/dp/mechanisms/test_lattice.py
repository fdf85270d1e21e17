"""Real vectors on the multiples of a power of two, and back."""

from fractions import Fraction

import numpy as np
import pytest

from dp.mechanisms.lattice import add_rounded, exact_multiple, from_lattice
from dp.noise.keystream import Keystream

SPACING = 2.0**-4


def rounded(values: list[float]) -> np.ndarray:
    total = np.zeros(len(values), dtype=np.int64)
    add_rounded(total, "vector", values=np.array(values), spacing=SPACING, source=Keystream(bytes(32)))
    return total


def test_multiples_are_left_as_they_are() -> None:
    values = [0.0, SPACING, -3 * SPACING, 1.0]
    assert rounded(values).tolist() == [0, 1, -3, 16]
    assert from_lattice(rounded(values), SPACING).tolist() == values


def test_others_go_to_a_neighbour() -> None:
    values = np.linspace(-1, 1, 101)
    distance = from_lattice(rounded(values.tolist()), SPACING) - values
    assert np.all(np.abs(distance) < SPACING)
    assert {bool(side) for side in distance > 0} == {True, False}


@pytest.mark.parametrize(("value", "expected"), [(1.0, Fraction(16)), (0.1, Fraction(0.1) * 16)])
def test_the_quotient_is_exact(value: float, expected: Fraction) -> None:
    assert exact_multiple(value, spacing=SPACING) == expected
