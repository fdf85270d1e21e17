"""Many secrets rebuilt at once, each dealer with holders of its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import InvalidInputError
from secagg.primitives.prg import Suite
from secagg.primitives.shamir import limbs_to_secret, split
from secagg.primitives.sparse_shamir import reconstruct_rows


def dealt(rng: np.random.Generator, dealers: int, holders: int, threshold: int):
    """Secrets, points and shares of dealers whose holders stand at points of their own."""
    secrets = [rng.bytes(32) for _ in range(dealers)]
    points = np.array([rng.choice(np.arange(1, 10 * holders + 1), holders, replace=False) for _ in range(dealers)])
    points[0, 0] = 2**31 - 2
    shares = [
        split([secret], threshold, row, rng.bytes(32), suite=Suite.AES_128_CTR)[0]
        for secret, row in zip(secrets, points, strict=True)
    ]
    return secrets, points, np.array(shares)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 9), st.data())
def test_any_t_shares_of_each_dealer_rebuild_its_secret(seed: int, dealers: int, holders: int, data: st.DataObject):
    rng = np.random.default_rng(seed)
    threshold = data.draw(st.integers(1, holders))
    secrets, points, shares = dealt(rng, dealers, holders, threshold)
    available = np.zeros((dealers, holders), np.bool_)
    for row in available:
        row[rng.choice(holders, data.draw(st.integers(threshold, holders)), replace=False)] = True
    shares[~available] = 2**32 - 1
    assert [limbs_to_secret(limbs) for limbs in reconstruct_rows(shares, points, available, threshold)] == secrets


def test_more_dealers_than_fit_one_block_are_rebuilt():
    secrets, points, shares = dealt(np.random.default_rng(1), 90, 80, 70)
    everything = np.ones((90, 80), np.bool_)
    assert [limbs_to_secret(limbs) for limbs in reconstruct_rows(shares, points, everything, 70)] == secrets


def test_one_changed_share_gives_another_secret():
    secrets, points, shares = dealt(np.random.default_rng(2), 3, 6, 4)
    shares[1, 2, 0] ^= 1
    rebuilt = [limbs_to_secret(limbs) for limbs in reconstruct_rows(shares, points, np.ones((3, 6), np.bool_), 4)]
    assert [one == other for one, other in zip(rebuilt, secrets, strict=True)] == [True, False, True]


def test_nobody_to_rebuild_is_no_error():
    empty = reconstruct_rows(np.zeros((0, 5, 9), np.uint32), np.zeros((0, 5), int), np.zeros((0, 5), np.bool_), 3)
    assert empty.shape == (0, 9)


def test_fewer_than_t_shares_of_any_dealer_are_refused():
    _, points, shares = dealt(np.random.default_rng(3), 3, 6, 4)
    available = np.ones((3, 6), np.bool_)
    available[2, :3] = False
    with pytest.raises(InvalidInputError, match="too few shares"):
        reconstruct_rows(shares, points, available, 4)


@pytest.mark.parametrize("threshold", [0, 7])
def test_a_threshold_that_nobody_can_have_is_refused(threshold: int):
    _, points, shares = dealt(np.random.default_rng(4), 2, 6, 4)
    with pytest.raises(InvalidInputError):
        reconstruct_rows(shares, points, np.ones((2, 6), np.bool_), threshold)


def test_shapes_that_do_not_fit_are_refused():
    _, points, shares = dealt(np.random.default_rng(5), 2, 6, 4)
    available = np.ones((2, 6), np.bool_)
    for bad in (
        (shares[:1], points, available),
        (shares, points[:, :5], available),
        (shares[:, :5], points, available),
    ):
        with pytest.raises(InvalidInputError):
            reconstruct_rows(*bad, 4)
