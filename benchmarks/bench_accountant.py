"""How long the accountant takes. Aims: 5 ms for one epsilon, 1 s for 10**4 rounds that all differ, 30 ms for a sigma.

Other libraries are measured beside it by `benchmarks.compare.accountants.run`.
"""

import math

import numpy as np
import pytest

from dp import Gaussian, Method, PoissonSampled, RdpAccountant, Relation, SampledWithoutReplacement, noise_multiplier
from dp.renyi import binomials, poisson_gaussian_rdp
from dp.renyi import curve as rdp

SETTINGS = {
    "usual": (0.01, 1.0, 1000, 1e-5, 2.101322131),
    "tiny samples": (1e-4, 2.0, 10**6, 1e-7, 0.254812179),
    "few rounds": (0.1, 5.0, 100, 1e-6, 0.949887192),
    "tiny samples, much noise": (1e-6, 10.0, 10**6, 1e-9, 0.004286845),
    "little noise": (1e-3, 0.3, 10**4, 1e-5, 47.344094358),
    "half of all": (0.5, 20.0, 1000, 1e-6, 4.019586906),
    "one release": (0.01, 1.0, 1, 1e-5, 0.199450448),
    "everybody": (1.0, 5.0, 100, 1e-6, 10.997151214),
}
"""q, sigma, releases, delta, and epsilon to nine decimals."""

ROUNDS = 10**4


def forget():
    """Every call starts without what an earlier one may have left."""
    rdp._terms.cache_clear()
    binomials.log_binomials.cache_clear()


def converted(order: float, divergence: float, delta: float) -> float:
    return divergence + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_epsilon(benchmark, setting):
    q, sigma, count, delta, expected = setting
    event = PoissonSampled(q, Gaussian(sigma))

    def epsilon():
        return RdpAccountant().compose(event, count).epsilon(delta)

    bound = benchmark.pedantic(epsilon, setup=forget, rounds=50, warmup_rounds=1)
    assert bound.value == pytest.approx(expected, abs=1e-9)


def test_epsilon_without_replacement(benchmark):
    event = SampledWithoutReplacement(10**4, 100, Gaussian(1.0, Relation.REPLACE_ONE))

    def epsilon():
        return RdpAccountant().compose(event, 1000).epsilon(1e-5)

    assert benchmark.pedantic(epsilon, setup=forget, rounds=50, warmup_rounds=1).method is Method.RDP


@pytest.mark.parametrize(
    ("q", "sigma"), [((1e-3, 0.05), (0.5, 3.0)), ((1e-6, 1e-5), (0.5, 3.0)), ((1e-4, 0.5), (5.0, 50.0))], ids=str
)
def test_rounds_that_all_differ(benchmark, q, sigma):
    """The events are made and composed one by one, as rounds are."""
    rng = np.random.default_rng(4)
    parts, noises = rng.uniform(*q, ROUNDS), rng.uniform(*sigma, ROUNDS)

    def epsilon():
        accountant = RdpAccountant()
        for part, noise in zip(parts.tolist(), noises.tolist(), strict=True):
            accountant.compose(PoissonSampled(part, Gaussian(noise)))
        return accountant.epsilon(1e-6)

    bound = benchmark.pedantic(epsilon, setup=forget, rounds=3)
    exact = math.fsum(poisson_gaussian_rdp(bound.order, probability=parts, noise_multiplier=noises))
    assert bound.value == pytest.approx(converted(bound.order, exact, 1e-6), rel=1e-11)


@pytest.mark.parametrize("q", [1.0, 0.01, 1e-4], ids=str)
@pytest.mark.parametrize("target", [0.5, 2.0, 8.0], ids=str)
def test_calibration(benchmark, target, q):
    def sigma():
        return noise_multiplier(target, 1e-5, probability=q, count=1000)

    found = benchmark.pedantic(sigma, setup=forget, rounds=10, warmup_rounds=1)
    spent = RdpAccountant().compose(PoissonSampled(q, Gaussian(found)), 1000).epsilon(1e-5).value
    assert target * (1 - 1e-6) < spent <= target


def test_remaining(benchmark):
    accountant = RdpAccountant().compose(PoissonSampled(0.01, Gaussian(1.0)), 1000)
    event = PoissonSampled(0.02, Gaussian(1.5))
    left = benchmark.pedantic(accountant.remaining, (event, 4.0, 1e-5), setup=forget, rounds=5)
    assert not accountant.would_exceed(event, left, 4.0, 1e-5)
    assert accountant.would_exceed(event, left + 1, 4.0, 1e-5)
