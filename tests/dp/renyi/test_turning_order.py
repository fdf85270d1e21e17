"""Where the divergence of a sampled Gaussian turns steep, far beyond what one float holds."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest

from dp.renyi.turning_order import turning_order


@pytest.mark.parametrize("q", [1e-9, 0.001, 0.1, 0.3])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 30.0, 1234.5])
def test_two_floats_together_are_the_order(q: float, sigma: float) -> None:
    order, rest = turning_order(np.array([q]), noise_multiplier=np.array([sigma]))
    with mp.workdps(60):
        expected = 2 * mp.mpf(sigma) ** 2 * mp.log((1 - mp.mpf(q)) / mp.mpf(q))
        found = Fraction(float(order[0])) + Fraction(float(rest[0]))
        error = mp.mpf(found.numerator) / found.denominator - expected
        assert abs(error) <= mp.mpf(5) * mp.mpf(10) ** -17 * 2 * mp.mpf(sigma) ** 2
