"""Clipping a vector of a million floats, and releasing it with Gaussian noise from the lattice."""

import numpy as np
import pytest

from dp import GaussianMechanism, Relation, Unit, clip

SIZE = 10**6

VECTOR = np.random.default_rng(1).standard_normal(SIZE)
"""Of norm 1000, nearly."""


@pytest.mark.parametrize("clip_norm", [1.0, 2000.0], ids=["longer", "shorter"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_clip(benchmark, dtype: type, clip_norm: float):
    result = benchmark(clip, VECTOR.astype(dtype), clip_norm)
    assert result.clipped == (clip_norm == 1.0)
    assert float(np.linalg.norm(result.vector)) == pytest.approx(min(clip_norm, 1000.0), rel=0.01)


def test_a_norm_that_is_told_exactly(benchmark):
    """The worst case: the norm is the clip norm."""
    result = benchmark(clip, np.full(2**20, 2.0**-10), 1.0)
    assert not result.clipped


@pytest.mark.parametrize("max_price", [1e-6, 1e-2], ids=str)
def test_release(benchmark, max_price: float):
    mechanism = GaussianMechanism(1000.0, 0.01, SIZE, Relation.ADD_REMOVE, Unit.CLIENT, max_price)
    mechanism.release(VECTOR)
    released = benchmark(mechanism.release, VECTOR)
    # Noise of standard deviation 10, its variance seen to 0.14 %; seven times that.
    assert float(((released - VECTOR) ** 2).mean()) == pytest.approx(100.0 * (1 + mechanism.price), rel=0.01)


def test_release_of_a_sum(benchmark):
    """Of ten vectors."""
    mechanism = GaussianMechanism(10.0, 1.0, SIZE, Relation.ADD_REMOVE, Unit.EXAMPLE)
    vectors = [VECTOR] * 10
    mechanism.release_sum(vectors)
    released = benchmark(mechanism.release_sum, vectors)
    expected = VECTOR * (100.0 / np.linalg.norm(VECTOR))
    assert float(((released - expected) ** 2).mean()) == pytest.approx(100.0, rel=0.01)
