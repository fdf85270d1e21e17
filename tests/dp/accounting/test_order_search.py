"""The search for the best order finds what a fine grid finds."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from dp.accounting.order_search import Best, best_order
from dp.events import Event, Gaussian, PoissonSampled, SampledWithoutReplacement
from dp.renyi.curve import RenyiCurve
from dp.vocabulary import Relation

DELTA = 1e-5


def epsilons(orders: npt.NDArray[np.float64], rdp: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return rdp + np.log1p(-1 / orders) - np.log(DELTA * orders) / (orders - 1)


def found(curve: RenyiCurve, guess: float) -> Best:
    return best_order(curve, epsilons, lambda _: guess)


@pytest.mark.parametrize("guess", [1.0, 8.0, 1e6, math.inf], ids=str)
@pytest.mark.parametrize(
    "events",
    [
        {Gaussian(2.0): 10},
        {PoissonSampled(0.01, Gaussian(1.0)): 1000},
        {PoissonSampled(0.1, Gaussian(5.0)): 100, Gaussian(40.0): 3},
        {SampledWithoutReplacement(1000, 10, Gaussian(1.0, Relation.REPLACE_ONE)): 100},
    ],
    ids=["Gaussian", "sampled", "both", "without replacement"],
)
def test_no_order_of_a_fine_grid_is_better_wherever_the_search_begins(events: dict[Event, int], guess: float) -> None:
    curve = RenyiCurve(events)
    best = found(curve, guess)
    grid = np.concatenate((1 + np.geomspace(1e-3, 50, 400), np.arange(2.0, 100)))
    assert best.value <= epsilons(grid, curve(grid)).min() * (1 + 1e-7)
    assert best.value == pytest.approx(float(epsilons(np.array([best.order]), curve(np.array([best.order])))[0]))


def test_many_different_rounds_have_an_order_as_good_as_those_of_a_grid() -> None:
    curve = RenyiCurve({PoissonSampled(0.01 + 1e-6 * step, Gaussian(1 + 1e-4 * step)): 1 for step in range(1500)})
    grid = np.linspace(2.0, 30.0, 57)
    assert found(curve, 8.0).value <= epsilons(grid, curve(grid)).min() * (1 + 1e-7)


def test_what_is_no_number_is_never_the_smallest() -> None:
    def objective(orders: npt.NDArray[np.float64], rdp: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(orders > 4, math.nan, 10 / orders)

    best = best_order(RenyiCurve({Gaussian(2.0): 1}), objective, lambda _: 3.0)
    assert best.order <= 4
    assert best.value == pytest.approx(2.5, rel=0.3)
