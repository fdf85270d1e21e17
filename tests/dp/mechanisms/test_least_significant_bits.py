"""The attack on noise that is a float: its last bits give the input away, and those of the lattice do not.

Add Gaussian noise in single precision to 0 or to 1, and look at outputs below 1/8 in magnitude. From 1 they are the
difference of 1 and a noise between -9/8 and -7/8, and so multiples of 2**-24, the spacing of floats below 1. From 0
they are the noise itself, a small float with much finer last bits: of the 9.9 % that are so small, 11 in 12 are no
multiples of 2**-24. "|y| < 1/8 and no multiple of 2**-24" thus has 9.1 % probability for one input and 0 for the other,
whatever epsilon was promised. In double precision it is 2**-53.

All seeds are fixed, so a test passes always or never. Rates are compared with what is exact to five standard deviations
(a right one is further off with probability 6 * 10**-7); the statistical comparisons of ours find a difference where
there is none with probability 10**-6 each.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from dp.mechanisms.gaussian import GaussianMechanism
from dp.noise import samplers
from dp.noise.keystream import Keystream
from dp.vocabulary import Relation, Unit

SIZE = 1 << 20
FALSE_POSITIVE = 1e-6

# Of the small ones, those in [2**-j-1, 2**-j) are multiples with probability 2**-j: in all, 1 in 12.
SMALL = math.erf(0.125 / math.sqrt(2))
EXPECTED = SMALL * 11 / 12


def box_muller_in_single_precision(size: int) -> np.ndarray:
    """As deep-learning frameworks draw normal floats: from 24-bit uniform ones, all steps in float32."""
    first, second = np.random.default_rng(1).integers(0, 2**24, (2, size // 2)).astype(np.float32) * np.float32(2**-24)
    radius = np.sqrt(np.float32(-2) * np.log1p(-first))
    angle = np.float32(2 * np.pi) * second
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])


FLOAT_NOISE: dict[str, tuple[Callable[[int], np.ndarray], int]] = {
    "numpy, single precision": (lambda size: np.random.default_rng(1).standard_normal(size, dtype=np.float32), 24),
    "numpy, rounded to single": (lambda size: np.random.default_rng(1).standard_normal(size).astype(np.float32), 24),
    "numpy's legacy, rounded": (lambda size: np.random.RandomState(1).standard_normal(size).astype(np.float32), 24),
    "Box and Muller, single precision": (box_muller_in_single_precision, 24),
    "numpy, double precision": (lambda size: np.random.default_rng(1).standard_normal(size), 53),
}


def attack(released: np.ndarray, bits: int) -> float:
    """Returns how often the event happens: |y| < 1/8, and y is no multiple of 2**-bits."""
    steps = released.astype(np.float64) * 2.0**bits
    return float(((np.abs(released) < 0.125) & (steps != np.rint(steps))).mean())


@pytest.mark.parametrize("name", FLOAT_NOISE)
def test_float_noise_gives_its_input_away(name: str):
    draw, bits = FLOAT_NOISE[name]
    noise = draw(SIZE)
    assert abs(float((np.abs(noise) < 0.125).mean()) - SMALL) < 5 * math.sqrt(SMALL / SIZE)
    assert abs(attack(noise, bits) - EXPECTED) < 5 * math.sqrt(EXPECTED / SIZE)
    assert round(100 * attack(noise, bits)) == 9
    # Not rare: impossible. One output that shows the event convicts.
    assert attack(noise + noise.dtype.type(1), bits) == 0


def lattice_releases(price: float, inputs: tuple[float, float]) -> tuple[GaussianMechanism, list[np.ndarray]]:
    """Returns a mechanism with noise 1, as above, and many releases of either input."""
    ours = GaussianMechanism(1.0, 1.0, SIZE, Relation.REPLACE_ONE, Unit.CLIENT, price)
    releases = []
    for place, value in enumerate(inputs):
        noise = samplers._discrete_gaussian(ours.variance, SIZE, Keystream(bytes([place]) * 32))
        releases.append(ours._release(np.full(SIZE, value), noise, Keystream(bytes([place + 2]) * 32)))
    return ours, releases


CASES = {
    "default": (1e-6, (0.0, 1.0)),
    "coarse": (1e-2, (0.0, 1.0)),
    # As fine as a multiplier of 1 has room for.
    "fine": (2.0**-26, (0.0, 1.0)),
    # Inputs that are no multiples themselves, one of them far smaller than the spacing.
    "between": (1e-6, (2.0**-60, 1 / 3)),
}
each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_both_inputs_have_the_same_outputs(name: str):
    """Structurally: every output is a multiple of the public spacing, and nothing is left of any finer bit."""
    ours, releases = lattice_releases(*CASES[name])
    for released in releases:
        steps = released / ours.spacing
        assert np.array_equal(steps, np.rint(steps))
        assert np.abs(steps).max() < 2**53
        # And not only as far as floats can tell.
        assert all(Fraction(value) % Fraction(ours.spacing) == 0 for value in released[:100].tolist())


@each_case
def test_the_attack_finds_nothing_on_the_lattice(name: str):
    """Small outputs are multiples of any power of two as often from one input as from the other, 24 bits or not.

    The event's probabilities differ only as those of |y| < 1/8 do, which is what noise of 1 for a change of 1 promises.
    """
    ours, releases = lattice_releases(*CASES[name])
    finest = -round(math.log2(ours.spacing))
    inputs = CASES[name][1]
    near = [stats.norm.cdf(0.125 - value) - stats.norm.cdf(-0.125 - value) for value in inputs]
    for bits in {24, 53, *range(finest - 8, finest + 1)}:
        # A multiple of 2**-finest is one of 2**-bits in one case of 2**(finest - bits).
        expected = [small * max(0.0, 1 - 2.0 ** (bits - finest)) for small in near]
        for released, rate in zip(releases, expected, strict=True):
            assert abs(attack(released, bits) - rate) <= stats.norm.isf(FALSE_POSITIVE / 2) * math.sqrt(rate / SIZE)
    if finest <= 24:
        assert [attack(released, 24) for released in releases] == [0.0, 0.0]


@each_case
def test_the_last_bits_are_distributed_alike(name: str):
    """A two-sample chi-square of the last eight bits, of the outputs that the attack looks at and of all."""
    ours, releases = lattice_releases(*CASES[name])
    for largest in (0.125, math.inf):
        counts = []
        for released in releases:
            steps = (released[np.abs(released) < largest] / ours.spacing).astype(np.int64)
            counts.append(np.bincount(steps & 255, minlength=256))
        assert stats.chi2_contingency(np.array(counts)).pvalue > FALSE_POSITIVE


def test_the_comparison_of_last_bits_finds_float_noise():
    """So it can fail: the same comparison, of single-precision noise in steps of 2**-27."""
    noise = FLOAT_NOISE["numpy, single precision"][0](SIZE)
    counts = []
    for value in (0, 1):
        released = (noise + np.float32(value)).astype(np.float64)
        steps = np.rint(released[np.abs(released) < 0.125] * 2.0**27).astype(np.int64)
        counts.append(np.bincount(steps & 255, minlength=256) + 1)
    assert stats.chi2_contingency(np.array(counts)).pvalue < 1e-300
