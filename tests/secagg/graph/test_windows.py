"""Tails of two windows against exact fractions: never too small, floors never too large, both sharp."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.graph.hypergeometric import ROUNDING
from secagg.graph.windows import log_two_windows, needed_floor


def log(exact: Fraction) -> float:
    return math.log(exact.numerator) - math.log(exact.denominator) if exact else -math.inf


def exact_two_windows(population: int, marked: int, window: int, needed: int) -> Fraction:
    outside = population - 2 * window
    ways = sum(
        math.comb(window, x) * math.comb(window, y) * math.comb(outside, marked - x - y)
        for x in range(needed, min(window, marked) + 1)
        for y in range(needed, min(window, marked - x) + 1)
    )
    return Fraction(ways, math.comb(population, marked))


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, int]:
    population = draw(st.integers(2, 70))
    return population, draw(st.integers(0, population)), draw(st.integers(1, population // 2))


@given(ring=windows(), data=st.data())
@settings(deadline=None, max_examples=200)
def test_two_windows_agree_with_exact_fractions(ring: tuple[int, int, int], data: st.DataObject) -> None:
    needed = data.draw(st.integers(0, ring[2] + 1))
    exact = log(exact_two_windows(*ring, needed))
    found = log_two_windows(ring[0], marked=ring[1], window=ring[2], needed=needed)
    assert exact <= found
    if found < 0:
        assert found <= exact + 6 * ROUNDING or found == exact
    else:
        # Reported as 1 where it is not small: over all pairs of windows the bound is above one anyway.
        assert exact >= -math.log(ring[0] ** 2 / 2)


@given(ring=windows(), bits=st.floats(6, 60), guess=st.integers(0, 40))
@settings(deadline=None, max_examples=150)
def test_a_floor_of_what_two_windows_need_is_never_too_large(
    ring: tuple[int, int, int], bits: float, guess: int
) -> None:
    allowed = -bits * math.log(2) - math.log(ring[0] ** 2 / 2)
    exact = next(
        w for w in range(ring[2] + 2) if log_two_windows(ring[0], marked=ring[1], window=ring[2], needed=w) <= allowed
    )
    population, marked, window = ring
    floor = needed_floor(population, marked=marked, window=window, log_probability=allowed, guess=guess)
    assert floor <= exact
    assert floor >= exact - 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("population", "marked", "window", "needed"),
    [(10**4, 1000, 77, 29), (4000, 1200, 1200, 430), (2000, 1700, 950, 840)],
)
def test_two_long_windows_are_sharp_too(population: int, marked: int, window: int, needed: int) -> None:
    outside = population - 2 * window
    rows = []
    for x in range(needed, min(window, marked - needed) + 1):
        inside = math.comb(window, x)
        row = sum(
            math.comb(window, y) * math.comb(outside, marked - x - y)
            for y in range(max(needed, marked - x - outside), min(window, marked - x, needed + 120) + 1)
        )
        rows.append(inside * row)
        if x > needed + 40 and rows[-1] * 10**9 < rows[0]:
            break
    exact = log(Fraction(sum(rows), math.comb(population, marked)))
    found = log_two_windows(population, marked=marked, window=window, needed=needed)
    assert exact - 1e-7 <= found <= exact + 1e-5
    assert found < -1
