"""Logarithms of binomial coefficients."""

import mpmath as mp
import pytest

from dp.renyi.binomials import log_binomials


@pytest.mark.parametrize("n", [1, 2, 3, 64, 65, 3000, 10**4])
def test_binomials_have_no_wrong_digit(n: int) -> None:
    row = log_binomials(n)
    assert len(row) == n + 1
    with mp.workdps(30):
        for k in range(0, n + 1, max(1, n // 50)):
            exact = mp.log(mp.binomial(n, k))
            assert abs(mp.mpf(float(row[k])) - exact) <= 2.3e-16 * abs(exact)
