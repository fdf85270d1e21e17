"""Sharing and rebuilding at the size of a large cohort: 1000 clients, t = 667."""

import numpy as np
import pytest

from secagg import Suite
from secagg.primitives import limbs_to_secret, reconstruct, split

COHORT, THRESHOLD = 1000, 667
POINTS = np.arange(1, COHORT + 1)
SEED = bytes(range(32))
SECRETS = [number.to_bytes(2, "big") * 16 for number in range(COHORT)]


@pytest.fixture(scope="module")
def shares():
    return split(SECRETS, THRESHOLD, POINTS, SEED, suite=Suite.AES_128_CTR)


def test_split_one_secret(benchmark):
    result = benchmark(split, SECRETS[1:2], THRESHOLD, POINTS, SEED, Suite.AES_128_CTR)
    rebuilt = reconstruct(
        result[:, -THRESHOLD:],
        points=POINTS[-THRESHOLD:],
        available=np.ones((1, THRESHOLD), bool),
        dealer_points=POINTS[:1],
        threshold=667,
    )
    assert limbs_to_secret(rebuilt[0]) == SECRETS[1]


def test_rebuild_every_secret_without_the_dealers_own_share(benchmark, shares):
    available = ~np.eye(COHORT, dtype=bool)
    limbs = benchmark(reconstruct, shares, POINTS, available, POINTS, THRESHOLD)
    assert [limbs_to_secret(row) for row in limbs] == SECRETS


def test_rebuild_where_fifty_dealers_each_starved_other_holders(benchmark, shares):
    available = ~np.eye(COHORT, dtype=bool)
    rng = np.random.default_rng(0)
    for dealer in range(50):
        available[dealer, rng.choice(COHORT, 300, replace=False)] = False
    limbs = benchmark(reconstruct, shares, POINTS, available, POINTS, THRESHOLD)
    assert [limbs_to_secret(row) for row in limbs] == SECRETS
