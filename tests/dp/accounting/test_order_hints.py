"""Hints: where a curve has kinks, where it turns steep, and what is nearly of its shape."""

import math
from fractions import Fraction

import numpy as np
import pytest

from dp.accounting.order_hints import piece, sketch, smooth_to, steep_from
from dp.events import Gaussian, PoissonSampled, SampledWithoutReplacement, Skellam
from dp.renyi.curve import RenyiCurve
from dp.vocabulary import Relation


def test_gaussians_are_smooth_and_never_steep() -> None:
    curve = RenyiCurve({Gaussian(2.0): 3})
    assert smooth_to(curve) == steep_from(curve) == math.inf


def test_a_sample_of_a_fixed_size_of_another_mechanism_has_kinks_everywhere() -> None:
    inner = Skellam(Fraction(10**5), 100, 100, Relation.REPLACE_ONE)
    assert smooth_to(RenyiCurve({SampledWithoutReplacement(100, 10, inner): 1})) == 1


def test_the_sampled_gaussian_with_the_least_noise_turns_steep_first() -> None:
    quiet, loud = PoissonSampled(0.01, Gaussian(1.0)), PoissonSampled(0.01, Gaussian(3.0))
    assert steep_from(RenyiCurve({quiet: 1, loud: 1})) == steep_from(RenyiCurve({quiet: 1}))
    assert steep_from(RenyiCurve({quiet: 1})) == pytest.approx(1 - 2 * math.log(0.01))


def test_a_piece_bounds_the_curve_between_two_integers() -> None:
    curve = RenyiCurve({PoissonSampled(0.01, Gaussian(1.0)): 100, Gaussian(30.0): 2})
    orders = np.linspace(4.0, 5.0, 11)
    bound = piece(curve, 4)(orders)
    assert np.all(bound >= curve(orders) * (1 - 1e-12))
    assert bound[[0, -1]] == pytest.approx(curve(orders[[0, -1]]))


def test_a_sketch_is_near_and_small_and_leaves_the_curve_as_it_was() -> None:
    curve = RenyiCurve({PoissonSampled(0.01 + 1e-6 * step, Gaussian(1 + 1e-4 * step)): 2 for step in range(2000)})
    before = curve.at(4.0)
    near = sketch(curve)
    assert near.pairs < 600 < curve.pairs == 2000
    assert near.at(4.0) == pytest.approx(before, rel=0.01)
    assert RenyiCurve.at(curve, 4.0) == before == float(curve(np.array([4.0]))[0])
