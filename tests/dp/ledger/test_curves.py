"""Curves at the fixed orders, many at once."""

from fractions import Fraction

import numpy as np
import pytest

from dp.events import (
    Composed,
    DistributedDiscreteGaussian,
    Gaussian,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.ledger.curves import ORDERS, many_curves
from dp.renyi.curve import RenyiCurve
from dp.vocabulary import Relation, Unit


def test_curves_of_many_are_those_of_one_by_one():
    several = [
        PoissonSampled(0.01, Gaussian(1.0)),
        PoissonSampled(0.5, Gaussian(3.0, Relation.ZERO_OUT, Unit.CLIENT)),
        PoissonSampled(1.0, Gaussian(3.0)),
        PoissonSampled(0.0, Gaussian(3.0)),
        Gaussian(2.0),
    ]
    curves = many_curves(several)
    for event in several:
        assert curves[event] == pytest.approx(RenyiCurve({event: 1})(ORDERS), rel=1e-13)
    inner = Skellam(Fraction(10**7), 4 * 10**6, 2 * 10**6, Relation.REPLACE_ONE)
    bit = Skellam(Fraction(10**5), 4, 2, Relation.REPLACE_ONE)
    for event in (
        SampledWithoutReplacement(1000, 10, inner),
        SampledWithoutReplacement(10, 10, inner),
        SampledWithoutReplacement(1000, 10, Composed(((inner, 1), (bit, 1)))),
        Composed(((inner, 2), (Gaussian(3.0, Relation.REPLACE_ONE, Unit.CLIENT), 1))),
        DistributedDiscreteGaussian(Fraction(100), 50, 4 * 10**6, 2 * 10**6, 10**6, Relation.REPLACE_ONE),
    ):
        own = many_curves([event])[event]
        accountants = RenyiCurve({event: 1})(ORDERS)
        # The accountant has a numerical bound besides, never a larger one.
        assert np.all(accountants <= own * (1 + 1e-9))
    whole = many_curves([inner])[inner]
    assert many_curves([SampledWithoutReplacement(10, 10, inner)]).popitem()[1] == pytest.approx(whole)
