"""A client's and the server's work in a private round apart from masks: clip, rotate, round, noise; and back.

One thread each: neither the rotation's products nor the samplers use more.
"""

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fl.arrays.schema import ArraySchema
from fl.private.plan import PrivatePlan
from fl.private.planning import make_plan
from fl.private.vector import PrivateVector

D = 2**20
CLIENTS = 100
CONTEXT = bytes(range(32))


def a_plan(modulus_bits: int | None) -> PrivatePlan:
    return make_plan(
        scope="benchmark",
        schema=ArraySchema.of([np.zeros(D, np.float32)]),
        clients=CLIENTS,
        max_dropouts=30,
        colluders=10,
        clip=1.0,
        epsilon=8.0,
        delta=1e-5,
        rounds=30,
        modulus_bits=modulus_bits,
    )


@pytest.fixture(scope="module")
def update() -> list[np.ndarray]:
    vector = np.random.default_rng(1).standard_normal(D).astype(np.float32)
    return [vector]


# 17 bits: float32 and a noise of about 900 steps; 32 bits: a lattice so fine that the noise is the widest allowed.
@pytest.mark.parametrize("modulus_bits", [17, 20, 32])
def test_client(benchmark: BenchmarkFixture, update: list[np.ndarray], modulus_bits: int) -> None:
    plan = a_plan(modulus_bits)
    vector = PrivateVector(plan, CONTEXT, plan.clip)
    words = benchmark.pedantic(vector.encode, (update,), rounds=15, warmup_rounds=2)
    released = vector.decode(words, 1).update
    noise = released - update[0] / np.linalg.norm(update[0])
    stddev = plan.noise_stddev(1)
    benchmark.extra_info["local_sigma_in_steps"] = float(plan.noise.local_variance) ** 0.5
    # 2**20 squares: their mean is off by 1 % with a probability below 1e-12.
    assert abs(np.mean(noise**2) / stddev**2 - 1) < 0.01


@pytest.mark.parametrize("modulus_bits", [17, 32])
def test_server(benchmark: BenchmarkFixture, update: list[np.ndarray], modulus_bits: int) -> None:
    plan = a_plan(modulus_bits)
    vector = PrivateVector(plan, CONTEXT, plan.clip)
    words = vector.encode(update)
    released = benchmark.pedantic(vector.decode, (words, 1), rounds=15, warmup_rounds=2)
    assert released.update.shape == (D,)
    assert abs(np.std(released.update) / plan.noise_stddev(1) - 1) < 0.02
