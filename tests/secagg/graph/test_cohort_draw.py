"""secagg.graph.cohort_draw: how many corrupt clients an invited cohort may have."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.graph.cohort_draw import MAX_POPULATION, corrupt_in_cohort


def tail(population: int, corrupt: int, cohort: int, more_than: int) -> Fraction:
    """P[more than so many corrupt ones among those drawn], in whole numbers."""
    most = min(cohort, corrupt)
    ways = sum(comb(corrupt, k) * comb(population - corrupt, cohort - k) for k in range(more_than + 1, most + 1))
    return Fraction(ways, comb(population, cohort))


@given(st.data())
def test_a_random_cohort_exceeds_it_as_rarely_as_asked_and_one_less_more_often(data: st.DataObject):
    population = data.draw(st.integers(1, 200))
    corrupt, cohort = data.draw(st.integers(0, population)), data.draw(st.integers(0, population))
    bits = data.draw(st.integers(1, 60))
    found = corrupt_in_cohort(cohort, population=population, corrupt=corrupt, drawn_honestly=True, security_bits=bits)
    assert tail(population, corrupt, cohort, found) <= Fraction(1, 2**bits)
    # The bound of the tail is a hair above it.
    if found and tail(population, corrupt, cohort, found - 1) * (1 - Fraction(1, 10**6)) <= Fraction(1, 2**bits):
        assert tail(population, corrupt, cohort, found - 1) > Fraction(1, 2**bits) * (1 - Fraction(1, 10**6))


def test_the_documented_figure():
    drawn = {"population": 1000, "corrupt": 100, "security_bits": 40}
    assert corrupt_in_cohort(50, drawn_honestly=True, **drawn) == 24
    assert corrupt_in_cohort(50, drawn_honestly=False, **drawn) == 50
    assert 0.37 < tail(1000, 100, 50, 5) < 0.39


@pytest.mark.parametrize(("cohort", "expected"), [(3, 3), (4, 4), (5, 4), (40, 4)])
def test_a_chosen_cohort_has_all_of_them(cohort: int, expected: int):
    assert corrupt_in_cohort(cohort, population=40, corrupt=4, drawn_honestly=False, security_bits=40) == expected


@pytest.mark.parametrize("population", [2**20, 2**30, MAX_POPULATION])
@pytest.mark.parametrize("cohort", [20, 50, 60, 200])
def test_of_a_huge_population_rounding_does_not_make_it_too_small(population: int, cohort: int):
    found = corrupt_in_cohort(
        cohort, population=population, corrupt=population // 10, drawn_honestly=True, security_bits=40
    )
    # There a drawing is as good as one with replacement.
    tenth = Fraction(1, 10)
    exceeded = sum(comb(cohort, k) * tenth**k * (1 - tenth) ** (cohort - k) for k in range(found + 1, cohort + 1))
    assert exceeded <= Fraction(1001, 1000 * 2**40)
    nearly = exceeded + comb(cohort, found) * tenth**found * (1 - tenth) ** (cohort - found)
    assert nearly * 2 > Fraction(1, 2**40)
