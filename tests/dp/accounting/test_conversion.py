"""From a curve to epsilon and delta: above the formula at every order, and inverse to each other."""

import math

import numpy as np
import pytest

from dp.accounting.conversion import best_delta, best_epsilon
from dp.events import Gaussian
from dp.renyi.curve import RenyiCurve

CURVE = RenyiCurve({Gaussian(2.0): 3})


def formula(order: float, delta: float) -> float:
    """Canonne, Kamath, Steinke 2020, Prop. 12."""
    rho = CURVE.at(order)
    return rho + math.log((order - 1) / order) - (math.log(delta) + math.log(order)) / (order - 1)


@pytest.mark.parametrize("delta", [1e-3, 1e-6, 1e-12])
def test_epsilon_is_the_least_of_the_formula(delta: float) -> None:
    best = best_epsilon(CURVE, delta)
    assert best.order is not None
    assert formula(best.order, delta) <= best.value == pytest.approx(formula(best.order, delta), rel=1e-9)
    assert all(best.value <= formula(order, delta) + 1e-9 for order in np.geomspace(1.01, 1000, 500))


@pytest.mark.parametrize("delta", [1e-3, 1e-6, 1e-12])
def test_delta_is_the_inverse(delta: float) -> None:
    assert best_delta(CURVE, best_epsilon(CURVE, delta).value).value == pytest.approx(delta, rel=1e-6)
