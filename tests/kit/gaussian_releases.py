"""Gaussian releases taken apart: the noise that a seed gives, and the rounding that chosen words give."""

from typing import Any

import numpy as np

from dp.mechanisms.gaussian import GaussianMechanism
from dp.noise import samplers
from dp.noise.keystream import Keystream
from dp.vocabulary import Relation, Unit

__all__ = ["ALWAYS_DOWN", "ALWAYS_UP", "SEED", "RepeatedWords", "mechanism", "noise_of", "rounded"]

SEED = bytes(range(32))


def mechanism(
    sensitivity: float = 1.0,
    multiplier: float = 1.0,
    dimension: int = 3,
    relation: Relation = Relation.ADD_REMOVE,
    unit: Unit = Unit.EXAMPLE,
    **other: Any,
) -> GaussianMechanism:
    return GaussianMechanism(sensitivity, multiplier, dimension, relation, unit, **other)


def noise_of(ours: GaussianMechanism, seed: bytes = SEED) -> np.ndarray:
    return samplers._discrete_gaussian(ours.variance, ours.dimension, Keystream(seed))


class RepeatedWords:
    """A source whose words go round in a circle: the worst and the best luck that rounding can have."""

    def __init__(self, *words: int) -> None:
        self.words = words

    def fill(self, words: np.ndarray) -> None:
        words[:] = np.resize(np.array(self.words, np.uint64), len(words))


ALWAYS_UP, ALWAYS_DOWN = RepeatedWords(0), RepeatedWords(2**64 - 1)


def rounded(ours: GaussianMechanism, vector: Any, source: Any) -> np.ndarray:
    """What a release is without its noise, in steps of the lattice."""
    steps = ours._release(vector, np.zeros(ours.dimension, np.int64), source) / ours.spacing
    assert np.array_equal(steps, np.rint(steps))
    return steps.astype(np.int64)
