"""Roots of falling functions, by a few evaluations."""

import math

import pytest

from dp.accounting.roots import falling_root


@pytest.mark.parametrize("root", [0.001, 0.5, 3.0, 9.99])
def test_a_root_is_found(root: float) -> None:
    for excess in (lambda x: root - x, lambda x: math.exp(-x) - math.exp(-root), lambda x: root**3 - x**3):
        assert falling_root(excess, low=0.0, high=10.0, tolerance=1e-9) == pytest.approx(root, abs=1e-8)


def test_no_value_above_0_is_returned() -> None:
    def excess(x: float) -> float:
        return 2.0 - x

    assert excess(falling_root(excess, low=0.0, high=10.0, tolerance=1e-3)) <= 0
