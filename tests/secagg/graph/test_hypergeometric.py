"""Tails of one window against exact fractions: never too small, floors never too large, both sharp."""

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from secagg.graph.hypergeometric import ROUNDING, Hypergeometric, QuantileWalk, last_positive


def exact_pmf(population: int, marked: int, draws: int) -> dict[int, Fraction]:
    return {
        x: Fraction(math.comb(marked, x) * math.comb(population - marked, draws - x), math.comb(population, draws))
        for x in range(max(0, draws - population + marked), min(draws, marked) + 1)
    }


def log(exact: Fraction) -> float:
    return math.log(exact.numerator) - math.log(exact.denominator) if exact else -math.inf


@st.composite
def distributions(draw: st.DrawFn, largest: int = 300) -> Hypergeometric:
    population = draw(st.integers(1, largest))
    return Hypergeometric(population, draw(st.integers(0, population)), draw(st.integers(0, population)))


@given(spread=distributions(), data=st.data())
@settings(deadline=None, max_examples=200)
def test_tails_agree_with_exact_fractions(spread: Hypergeometric, data: st.DataObject) -> None:
    count = data.draw(st.integers(-1, spread.draws + 1))
    pmf = exact_pmf(spread.population, spread.marked, spread.draws)
    exact = log(sum((p for x, p in pmf.items() if x >= count), Fraction(0)))
    assert spread.log_tail_floor(count) <= exact <= spread.log_tail(count)
    assert spread.log_pmf(count) == pytest.approx(log(pmf.get(count, Fraction(0))), abs=ROUNDING)
    if count > spread.mode and exact > -math.inf:
        assert spread.log_tail(count) <= exact + 3 * ROUNDING
        # A floor is only sharp where the tail is small, which is where it is used.
        assert spread.log_tail_floor(count) >= exact - 0.5 or exact > -3


@given(spread=distributions())
@settings(deadline=None, max_examples=100)
def test_the_mode_is_the_likeliest_count_and_beyond_it_all_falls(spread: Hypergeometric) -> None:
    pmf = exact_pmf(spread.population, spread.marked, spread.draws)
    assert (min(pmf), max(pmf)) == (spread.smallest, spread.largest)
    assert pmf[spread.mode] == max(pmf.values())
    # Below the mode a tail is reported as 1; that is no great exaggeration.
    assert sum(p for x, p in pmf.items() if x >= spread.mode) >= Fraction(1, 3)


@pytest.mark.parametrize(
    ("population", "marked", "draws", "count"),
    [
        (10**6, 3 * 10**5, 11136, 3900),
        (10**6, 10**5, 70, 37),
        (10**6, 10**5, 70, 70),
        (2**20, 2**19, 2**19, 2**18 + 1),  # more terms than are summed one by one
        (2**20, 2**19, 2**19, 2**18 + 3000),
        (2**20, 1000, 2**20 - 10, 995),
        (2**20, 2**20 - 20000, 1000, 1000),
    ],
)
def test_large_distributions_stay_upper_bounds_and_sharp(population: int, marked: int, draws: int, count: int) -> None:
    spread = Hypergeometric(population, marked, draws)
    ways = log_ways(marked, count) + log_ways(population - marked, draws - count) - log_ways(population, draws)
    total, relative = 0.0, 1.0
    for x in range(count, spread.largest + 1):
        total += relative
        relative *= (marked - x) * (draws - x) / ((x + 1) * (population - marked - draws + x + 1))
        if relative < 1e-30:
            break
    exact = ways + math.log(total)
    found = spread.log_tail(count)
    assert exact - 1e-8 <= found <= exact + 3 * ROUNDING
    floor = spread.log_tail_floor(count)
    assert floor <= exact + 1e-8
    assert floor >= exact - 0.3 or exact > -5


def log_ways(total: int, chosen: int) -> float:
    """log(total choose chosen), as a sum whose rounding does not add up."""
    chosen = min(chosen, total - chosen)
    return math.fsum(math.log((total - i) / (i + 1)) for i in range(chosen))


def test_terms_that_are_not_summed_one_by_one_are_bounded() -> None:
    spread = Hypergeometric(2000, 1000, 1000)
    pmf = exact_pmf(2000, 1000, 1000)
    terms, rest = spread.falling(550)
    following = float(sum(p for x, p in pmf.items() if x >= 550 + len(terms)) / pmf[550])
    assert following <= rest <= 2 * following
    assert 0 < rest < 1e-10


@given(spread=distributions(120), bits=st.floats(2, 60))
@settings(deadline=None, max_examples=100)
def test_a_quantile_is_the_smallest_count_exceeded_seldom_enough(spread: Hypergeometric, bits: float) -> None:
    allowed = -bits * math.log(2)
    pmf = exact_pmf(spread.population, spread.marked, spread.draws)
    exact = next(v for v in range(spread.largest + 1) if log(sum(p for x, p in pmf.items() if x > v)) <= allowed)
    quantile = spread.quantile(allowed)
    # Up to the mode a tail counts as 1.
    assert quantile == max(exact, spread.mode)
    for guess in (0, quantile, spread.largest):
        assert spread.mode <= spread.quantile_floor(allowed, guess) <= quantile


@pytest.mark.slow
@given(spread=distributions(200), bits=st.floats(0.1, 400), data=st.data())
@settings(deadline=None, max_examples=150)
def test_a_walk_has_the_quantile_of_every_number_of_draws(
    spread: Hypergeometric, bits: float, data: st.DataObject
) -> None:
    assume(spread.marked < spread.population)
    allowed = -bits * math.log(2) - math.log(spread.population)
    walk = QuantileWalk(spread.population, marked=spread.marked, draws=spread.draws, log_probability=allowed)
    for draws in range(spread.draws, spread.population, data.draw(st.integers(1, 9))):
        assert walk.advance(draws) == Hypergeometric(spread.population, spread.marked, draws).quantile(allowed)


def test_a_long_walk_does_not_drift() -> None:
    allowed = -60 * math.log(2)
    walk = QuantileWalk(10**6, marked=3 * 10**5, draws=10**4, log_probability=allowed)
    for draws in (10**4 + 1, 2 * 10**4, 10**5):
        assert walk.advance(draws) == Hypergeometric(10**6, 3 * 10**5, draws).quantile(allowed)


@given(root=st.floats(-5, 60), curve=st.floats(0, 0.5), guess=st.integers(-3, 50), high=st.integers(0, 40))
def test_the_last_positive_place_of_a_concave_function(root: float, curve: float, guess: int, high: int) -> None:
    def surplus_and_slope(place: int) -> tuple[float, float]:
        return (root - place) - curve * max(0, place - root) ** 2, 1 + 2 * curve * max(0, place - root)

    best = max((place for place in range(1, high + 1) if place < root), default=0)
    found = last_positive(surplus_and_slope, guess=guess, low=0, high=high)
    assert found <= best
    # With steps of Newton's method from either side it is missed by the rounding only.
    assert found >= best - 1
