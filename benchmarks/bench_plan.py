"""Plans of private sums, and the divergences behind them; the aim is a second a plan, whatever its setting."""

import math
from fractions import Fraction

import numpy as np
import pytest

from dp import (
    Adversary,
    DistributedDiscreteGaussian,
    InfeasiblePlanError,
    RdpAccountant,
    SampleKnownTo,
    Sampling,
    Skellam,
    plan,
)
from dp.renyi import curve as rdp
from dp.renyi import distributed as distributed_rdp
from dp.renyi import distributed_discrete_gaussian_rdp, numerical_skellam_rdp
from dp.renyi import skellam_numerical as divergence

USUAL = {
    "epsilon": 5.0,
    "delta": 1e-5,
    "rounds": 100,
    "sampling": None,
    "clip": 1.0,
    "dimension": 2**20,
    "clients": 100,
    "min_survivors": 70,
    "colluders": 10,
    "modulus_bits": 20,
}
GAUSSIAN = {"mechanism": "distributed-discrete-gaussian"}
SETTINGS = {
    "a million parameters": {},
    "a million parameters, discrete Gaussian": GAUSSIAN,
    "all the bits there are": {"modulus_bits": 64},
    "a million clients": {"clients": 10**6, "min_survivors": 9 * 10**5, "modulus_bits": 32},
    "a million clients, discrete Gaussian": {
        "clients": 10**6,
        "min_survivors": 9 * 10**5,
        "modulus_bits": 32,
        **GAUSSIAN,
    },
    "numerical divergence": {"epsilon": 5.0, "rounds": 1, "dimension": 1000, "modulus_bits": 12},
    "numerical divergence, sensitivity 200": {"epsilon": 30.0, "rounds": 1, "dimension": 1000, "modulus_bits": 13},
    "numerical divergence, sensitivity 500": {"epsilon": 36.0, "rounds": 1, "dimension": 2**17, "modulus_bits": 14},
    "a secret sample": {
        "sampling": Sampling(SampleKnownTo.PARTICIPANTS, population=10**6, sample=100),
        "adversary": Adversary.OUTSIDER,
        "rounds": 1000,
        "epsilon": 1.0,
    },
}


def forget():
    divergence._worst_rate.cache_clear()
    divergence._table.cache_clear()
    distributed_rdp._curves.cache_clear()
    rdp._terms.cache_clear()


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_plan(benchmark, setting):
    """Nothing is kept from one plan to the next."""
    found = benchmark.pedantic(plan, kwargs=USUAL | setting, setup=forget, rounds=5)
    assert 0.999999 < found.promised_epsilon / found.target_epsilon <= 1


def test_refusal(benchmark):
    def refused():
        with pytest.raises(InfeasiblePlanError) as caught:
            plan(**USUAL | {"modulus_bits": 8})
        return caught.value.smallest_modulus_bits

    assert benchmark.pedantic(refused, setup=forget, rounds=5) == 18


@pytest.mark.parametrize("sensitivity", [10, 100, 512])
def test_numerical_divergence(benchmark, sensitivity):
    event = Skellam(Fraction(10**4), sensitivity**2, sensitivity**2)
    (value,) = benchmark.pedantic(numerical_skellam_rdp, (np.array([4.5]), event), setup=forget, rounds=7)
    assert value == pytest.approx(4.5 * sensitivity**2 / (2 * 10**4), rel=1e-6)


def test_epsilon_by_numerical_divergence(benchmark):
    event = Skellam(Fraction(10**3), 30**2, 30**2)

    def epsilon():
        return RdpAccountant().compose(event).epsilon(1e-5)

    assert math.isfinite(benchmark.pedantic(epsilon, setup=forget, rounds=7).value)


@pytest.mark.parametrize("shares", [100, 10**4, 10**6])
def test_discrete_gaussian_formula(benchmark, shares):
    event = DistributedDiscreteGaussian(Fraction(3, 2), shares, 10**4, 10**4, 2**20)
    orders = np.linspace(1.5, 64, 100)
    values = benchmark.pedantic(distributed_discrete_gaussian_rdp, (orders, event), setup=forget, rounds=5)
    assert np.all(np.diff(values) > 0)
