"""Samples against their distributions, by chi-square and by moments.

False positives: each test compares with the quantile that a right sampler exceeds with probability 10**-6. All seeds
are fixed, so a test passes always or never; a right sampler fails any of the few hundred comparisons for the seeds
chosen with a probability below 10**-3. The last tests show that a wrong sampler does fail.
"""

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from scipy import special, stats

from dp.noise import samplers
from dp.noise.keystream import Keystream
from tests.kit.noise_oracle import AWKWARD, TINY

FALSE_POSITIVE = 1e-6
DEVIATIONS = float(stats.norm.isf(FALSE_POSITIVE / 2))
SIZE = 1 << 21
SAMPLERS = {"gaussian": samplers._discrete_gaussian, "skellam": samplers._skellam}

# Not 1/100 for the Gaussian: all its samples are 0 there, which the slow reference checks. At 1/16 0.07 % are not.
NARROW = {kind: [Fraction(1, 4), Fraction(1), AWKWARD, Fraction(100), Fraction(10**4)] for kind in SAMPLERS}
NARROW["gaussian"].append(Fraction(1, 16))
NARROW["skellam"].append(TINY)
# On both sides of every seam: the largest table, where rejection starts, where the number of its low bits changes.
WIDE = {
    "gaussian": [
        *(Fraction(10**6), 10**8 - TINY, Fraction(10**8), 10**8 + TINY, Fraction(4**14), 4**14 + TINY),
        *(Fraction(10**12), 10**15 * AWKWARD, Fraction(2**80)),
    ],
    "skellam": [Fraction(10**6), 10**8 - TINY, Fraction(10**8)],
}
NARROW_CASES = [(kind, variance) for kind in SAMPLERS for variance in NARROW[kind]]
WIDE_CASES = [(kind, variance) for kind in SAMPLERS for variance in WIDE[kind]]

narrow = pytest.mark.parametrize(("kind", "variance"), NARROW_CASES, ids=str)
wide = pytest.mark.parametrize(("kind", "variance"), WIDE_CASES, ids=str)
both = pytest.mark.parametrize(("kind", "variance"), NARROW_CASES + WIDE_CASES, ids=str)


@cache
def samples_of(kind: str, variance: Fraction) -> np.ndarray:
    samples = SAMPLERS[kind](variance, SIZE, Keystream(b"chi-square " + bytes(21)))
    samples.flags.writeable = False
    return samples


@cache
def pmf_of(kind: str, variance: Fraction) -> np.ndarray:
    """Returns the probabilities of 0, 1, ... up to 15 sigma and at least 12, from scipy's floating point."""
    k = np.arange(max(12, int(15 * float(variance) ** 0.5)) + 1)
    if kind == "skellam":
        return special.ive(k, float(variance))
    weights = np.exp(-(k**2) / (2 * float(variance)))
    return weights / (2 * weights.sum() - 1)


def p_value(observed: np.ndarray, probabilities: np.ndarray) -> float:
    """Pearson's chi-square; bins of which fewer than ten samples are expected count as one."""
    expected = probabilities * observed.sum()
    small = expected < 10
    if small.any():
        observed = np.append(observed[~small], observed[small].sum())
        expected = np.append(expected[~small], expected[small].sum())
        if expected[-1] < 10:
            # Still too few for a chi-square; they are Poisson, and the rest is compared among itself.
            rare = stats.poisson.sf(observed[-1] - 1, expected[-1])
            observed, expected = observed[:-1], expected[:-1] * (observed[:-1].sum() / expected[:-1].sum())
            if rare < FALSE_POSITIVE:
                return float(rare)
    assert len(observed) > 1
    assert expected.sum() == pytest.approx(observed.sum(), rel=1e-6)
    statistic = ((observed - expected) ** 2 / expected).sum()
    return float(stats.chi2.sf(statistic, len(observed) - 1))


@narrow
def test_every_value_is_as_frequent_as_it_should_be(kind: str, variance: Fraction):
    pmf = pmf_of(kind, variance)
    last = len(pmf) - 1
    samples = samples_of(kind, variance)
    assert np.abs(samples).max() <= last
    observed = np.bincount(samples + last, minlength=2 * last + 1)
    assert p_value(observed, np.concatenate([pmf[:0:-1], pmf])) > FALSE_POSITIVE


@wide
def test_quantiles_are_as_frequent_as_they_should_be(kind: str, variance: Fraction):
    # From sigma = 1000 on the normal distribution at half-integers is within 10**-6 of either, relatively.
    sigma = float(variance) ** 0.5
    borders = np.floor(stats.norm.ppf(np.arange(1, 1000) / 1000) * sigma) + 0.5
    below = np.concatenate([[0.0], stats.norm.cdf(borders / sigma), [1.0]])
    observed = np.bincount(np.searchsorted(borders, samples_of(kind, variance)), minlength=1000)
    assert p_value(observed, np.diff(below)) > FALSE_POSITIVE


@wide
def test_tails_are_as_heavy_as_they_should_be(kind: str, variance: Fraction):
    sigma = float(variance) ** 0.5
    magnitudes = np.abs(samples_of(kind, variance))
    for deviations in (3, 4, 5):
        beyond = np.count_nonzero(magnitudes > deviations * sigma)
        expected = 2 * stats.norm.sf((np.floor(deviations * sigma) + 0.5) / sigma) * SIZE
        assert stats.poisson.cdf(beyond, expected) > FALSE_POSITIVE / 2
        assert stats.poisson.sf(beyond - 1, expected) > FALSE_POSITIVE / 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "variance"), [case for case in WIDE_CASES if 10**8 - 1 < case[1] <= 4**14 + 1], ids=str
)
def test_zero_and_its_neighbours_are_alike(kind: str, variance: Fraction):
    """A zero with two signs would be twice as frequent."""
    samples = SAMPLERS[kind](variance, 1 << 23, Keystream(b"about zero" + bytes(22)))
    near = samples[np.abs(samples) <= 8]
    # All 17 values have the same probability, to 10**-6.
    assert p_value(np.bincount(near + 8, minlength=17), np.full(17, 1 / 17)) > FALSE_POSITIVE


@wide
@pytest.mark.parametrize("modulus", [2, 3, 4, 16, 64, 1000])
def test_residues_are_uniform(kind: str, variance: Fraction, modulus: int):
    residues = samples_of(kind, variance) % modulus
    assert p_value(np.bincount(residues, minlength=modulus), np.full(modulus, 1 / modulus)) > FALSE_POSITIVE


@both
def test_signs_are_fair_at_every_magnitude(kind: str, variance: Fraction):
    samples = samples_of(kind, variance)
    magnitudes = np.abs(samples)
    # Twenty groups of equal magnitudes or nearly so, by rank.
    order = np.argsort(magnitudes, kind="stable")[np.count_nonzero(samples == 0) :]
    positive = np.array([np.count_nonzero(samples[group] > 0) for group in np.array_split(order, 20)])
    sizes = np.array([len(group) for group in np.array_split(order, 20)])
    statistic = ((2 * positive - sizes) ** 2 / sizes).sum()
    assert stats.chi2.sf(statistic, 20) > FALSE_POSITIVE


@both
def test_mean_and_variance(kind: str, variance: Fraction):
    samples = samples_of(kind, variance).astype(np.float64)
    if float(variance) > 10**5:
        second, fourth = float(variance), 3 * float(variance) ** 2
    else:
        pmf = pmf_of(kind, variance)
        k = np.arange(len(pmf), dtype=np.float64)
        second, fourth = 2 * (k**2 * pmf).sum(), 2 * (k**4 * pmf).sum()
    if kind == "skellam":
        assert second == pytest.approx(float(variance), rel=1e-12)
    assert abs(samples.mean()) < DEVIATIONS * (second / SIZE) ** 0.5
    assert abs((samples**2).mean() - second) < DEVIATIONS * ((fourth - second**2) / SIZE) ** 0.5


@both
@pytest.mark.parametrize("distance", [1, 2, 8192])
def test_samples_do_not_depend_on_each_other(kind: str, variance: Fraction, distance: int):
    samples = samples_of(kind, variance).astype(np.float64)
    for values in (samples, samples**2 - (samples**2).mean()):
        spread = (values**2).mean()
        correlation = (values[:-distance] * values[distance:]).mean() / spread
        assert abs(correlation) < DEVIATIONS / SIZE**0.5


@pytest.mark.parametrize("kind", SAMPLERS)
def test_pairs_of_neighbours_are_independent(kind: str):
    samples = samples_of(kind, Fraction(1)).clip(-3, 3) + 3
    pairs = np.bincount(samples[::2] * 7 + samples[1::2], minlength=49).reshape(7, 7)
    assert stats.chi2_contingency(pairs).pvalue > FALSE_POSITIVE


@pytest.mark.parametrize("kind", SAMPLERS)
def test_the_two_distributions_are_told_apart(kind: str):
    """The tests have teeth: where the two have the same variance, one is not accepted for the other."""
    other = "skellam" if kind == "gaussian" else "gaussian"
    pmf = pmf_of(other, AWKWARD)
    last = len(pmf) - 1
    observed = np.bincount(samples_of(kind, AWKWARD) + last, minlength=2 * last + 1)
    assert p_value(observed, np.concatenate([pmf[:0:-1], pmf])) < FALSE_POSITIVE


def test_a_variance_off_by_a_hundredth_is_noticed():
    pmf = pmf_of("gaussian", Fraction(100))
    last = len(pmf) - 1
    samples = SAMPLERS["gaussian"](Fraction(101), SIZE, Keystream(bytes(32)))
    observed = np.bincount(samples.clip(-last, last) + last, minlength=2 * last + 1)
    assert p_value(observed, np.concatenate([pmf[:0:-1], pmf])) < FALSE_POSITIVE
