"""Samples a second of the noise samplers in one thread, and how long a table takes to make.

Aims, for one core: 20 million samples a second up to sigma = 1000, 10 million up to 10**4, and 3 million above, where
only the discrete Gaussian goes. With `-s` the rates are printed, from the fastest round.
"""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from dp.noise import Keystream, samplers

SIZE = 1 << 20
"""A vector of a million coordinates."""

SAMPLERS = {"gaussian": samplers._discrete_gaussian, "skellam": samplers._skellam}
SIGMAS = [Fraction(1, 4), 1, 10, 100, 1000, 10**4, 10**4 + 1, 10**6, 2**40]
CASES = [(kind, sigma) for kind in SAMPLERS for sigma in SIGMAS if kind == "gaussian" or sigma <= 10**4]


def moment_is_right(samples: np.ndarray, variance: Fraction) -> bool:
    """Within six standard deviations for a million samples; 10 % for the narrowest, whose variance is its own."""
    allowed = 0.01 if variance >= 1 else 1.0
    return bool(abs(float((samples.astype(np.float64) ** 2).mean() / float(variance)) - 1) < allowed)


@pytest.mark.parametrize(("kind", "sigma"), CASES, ids=str)
def test_samples(benchmark, kind: str, sigma: Fraction | int):
    """The table is there already: a client draws many vectors with one variance."""
    draw = SAMPLERS[kind]
    variance = Fraction(sigma) ** 2
    draw(variance, 1, Keystream(bytes(32)))
    samples = benchmark(lambda: draw(variance, SIZE, Keystream.fresh()))
    assert samples.shape == (SIZE,)
    assert moment_is_right(samples, variance)
    if benchmark.stats is not None:
        print(f"\n{kind}, sigma = {sigma}: {SIZE / benchmark.stats.stats.min / 1e6:.1f} M/s")


@pytest.mark.parametrize("sigma", [1, 100, 10**4], ids=str)
@pytest.mark.parametrize("table", [samplers._gaussian_table, samplers._skellam_table], ids=["gaussian", "skellam"])
def test_making_a_table(benchmark, table: Callable[[Fraction], object], sigma: int):
    made = benchmark.pedantic(table, (Fraction(sigma**2),), setup=table.cache_clear, rounds=3)
    # Where half of 2**-160 is left: near 14.6 sigma, and further out for narrow Skellam noise with its heavier tails.
    assert 14 * sigma <= made.largest < 40 + 15 * sigma


def test_the_keystream_alone(benchmark):
    """What one word for each sample costs before anything is done with it."""
    words = np.empty(SIZE, np.uint64)
    stream = Keystream.fresh()
    benchmark(stream.fill, words)
    assert np.unique(words[:1000]).size == 1000
