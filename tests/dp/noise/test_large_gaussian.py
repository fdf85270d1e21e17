"""Rejection above sigma = 10**4: the decision is exact on chosen words, and the fast one never accepts too much."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp

from dp.noise import samplers
from dp.noise.keystream import Keystream
from dp.noise.large_gaussian import LargeGaussian, coarse_bits
from dp.noise.table import Table
from tests.kit.noise_oracle import AWKWARD, TINY, ChosenWords, first_word, real

EXAMPLES = [Fraction(10**8) + TINY, Fraction(4**14), Fraction(4**14) + TINY, 10**10 * AWKWARD, Fraction(2**80)]


def make(variance: Fraction) -> LargeGaussian:
    return LargeGaussian(samplers._one_sided_gaussian_table(variance / 4 ** coarse_bits(variance)), variance)


@given(st.fractions(1, 2**80, max_denominator=10**6) | st.integers(0, 28).map(lambda b: Fraction(2**24 * 4**b)))
def test_as_few_low_bits_as_a_small_table_allows(variance: Fraction):
    for offset in (-TINY, Fraction(0), TINY):
        nearby = min(variance + offset, Fraction(2**80))
        b = coarse_bits(nearby)
        assert nearby <= 2**24 * 4**b
        assert b == 0 or nearby > 2**24 * 4 ** (b - 1)
        assert b <= 28


@given(y=st.integers(0, 2**17), b=st.integers(0, 28), data=st.data())
def test_the_exponents_add_up_to_the_square(y: int, b: int, data: st.DataObject):
    z = data.draw(st.integers(0, 2**b - 1))
    m = y * 2**b + z
    assert (y * 2**b) ** 2 + z * (2 * m - z) == m * m


@pytest.mark.slow
@pytest.mark.parametrize("variance", EXAMPLES, ids=str)
def test_what_is_accepted_without_more_words_is_accepted_whatever_they_are(
    variance: Fraction, monkeypatch: pytest.MonkeyPatch
):
    """And that is nearly all: otherwise the speed would be gone."""
    asked = []
    monkeypatch.setattr(LargeGaussian, "_accept", lambda self, m, z, uniform, source: asked.append(z) is not None)
    size = 40000
    b = coarse_bits(variance)
    stream = Keystream(bytes(32))
    values, accepted = make(variance)._propose(size, stream)
    words, fine = np.empty(size, np.uint64), np.empty(size, np.uint64)
    again = Keystream(bytes(32))
    again.fill(words)
    again.fill(fine)
    assert 0 < np.count_nonzero(~accepted & (values != 0)) == len(asked) < size / 1000
    for value, word in zip(values[accepted].tolist(), fine[accepted].tolist(), strict=True):
        m, z, uniform = abs(value), word % 2**b, word >> b
        assert m % 2**b == z
        # All bits after `uniform` may be ones; and exp(-x) is at least 1 - x.
        exponent = Fraction(z * (2 * m - z)) / (2 * variance)
        assert Fraction(uniform + 1, 2 ** (64 - b)) <= 1 - exponent


@pytest.mark.parametrize("variance", EXAMPLES, ids=str)
@pytest.mark.parametrize("height", [0, 1, 3000, 15000])
def test_the_decision_is_exact(variance: Fraction, height: int):
    """The uniform number on both sides of the probability, apart by one part in 2**150."""
    b = coarse_bits(variance)
    table = samplers._one_sided_gaussian_table(variance / 4**b)
    z = 2**b - 1
    m = height * 2**b + z
    with mpmath.workprec(400):
        probability = mp.exp(-real(Fraction(z * (2 * m - z)) / (2 * variance)))
        border = int(probability * mp.mpf(2) ** (192 - b))
    u = (table.threshold(height) + (table.threshold(height - 1) if height else 0)) // 2
    for uniform, expected in ((border - 2 ** (42 - b), True), (border + 2 ** (42 - b), False)):
        fine = (uniform >> 128) << b | z
        source = ChosenWords([first_word(u, 1), fine, uniform >> 64 & 2**64 - 1, uniform & 2**64 - 1])
        values, accepted = LargeGaussian(table, variance)._propose(1, source)
        assert (values.tolist(), accepted.tolist()) == ([-m], [expected])
        assert source.left == []


def test_minus_zero_is_drawn_again_and_zero_is_not():
    variance = Fraction(10**9)
    sampler = make(variance)
    b = coarse_bits(variance)
    plus_zero, minus_zero, z_is_3 = 0, 1, 3
    out = np.full(3, 99, np.int64)
    # Two words for each of three samples, then two for the one that is drawn again, which comes out as -3.
    source = ChosenWords([plus_zero, minus_zero, minus_zero, 0, 0, z_is_3, minus_zero, z_is_3])
    sampler.draw(out, source)
    assert out.tolist() == [0, -3, -3]
    assert source.left == []
    assert b >= 2


def test_rejected_samples_are_drawn_again_until_all_are_there():
    variance = Fraction(10**9)
    b = coarse_bits(variance)
    table = Table([2**159])
    # A magnitude of 2**b + 2**b - 1, or of 2**b, and the largest uniform number: refused, or accepted at z = 0.
    high, never, z_is_0 = 2**64 - 2, 2**64 - 1, 0
    out = np.full(2, 99, np.int64)
    source = ChosenWords(
        [
            *(high, high, never, z_is_0, 2**64 - 1, 2**64 - 1),
            *(high, never, 2**64 - 1, 2**64 - 1),
            *(high + 1, z_is_0),
        ]
    )
    LargeGaussian(table, variance).draw(out, source)
    assert out.tolist() == [-(2**b), 2**b]
    assert source.left == []
