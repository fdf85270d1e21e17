"""Formulas by kind of event: the discrete Gaussian's, and the smaller of the two for Skellam noise."""

from fractions import Fraction

import numpy as np
import pytest

from dp.events import DiscreteGaussian, Skellam
from dp.renyi.distributed import skellam_rdp
from dp.renyi.formulas import FORMULAS, discrete_gaussian_rdp, published_skellam_rdp
from dp.renyi.skellam_numerical import numerical_skellam_rdp
from dp.vocabulary import Relation, Unit

ORDERS = np.array([1.5, 2.0, 3.25, 8.0])
SKELLAM = Skellam(Fraction(50), 9, 9)


def test_the_discrete_gaussian_has_the_curve_of_the_continuous_one() -> None:
    assert discrete_gaussian_rdp(
        ORDERS, DiscreteGaussian(Fraction(8), 4, Relation.ZERO_OUT, Unit.CLIENT)
    ) == pytest.approx(ORDERS / 4)


def test_the_published_bound_is_that_of_the_theorem_at_integers_and_convex_between() -> None:
    at = published_skellam_rdp(ORDERS, SKELLAM)
    assert at[[1, 3]] == pytest.approx(skellam_rdp(ORDERS[[1, 3]], SKELLAM))
    low, high = skellam_rdp(np.array([3.0, 4.0]), SKELLAM) * [2, 3]
    assert at[2] * 2.25 == pytest.approx(0.75 * low + 0.25 * high)


def test_skellam_noise_has_the_smaller_of_two_bounds() -> None:
    both = published_skellam_rdp(ORDERS, SKELLAM), numerical_skellam_rdp(ORDERS, SKELLAM)
    assert FORMULAS[Skellam](ORDERS, SKELLAM) == pytest.approx(np.minimum(*both))
