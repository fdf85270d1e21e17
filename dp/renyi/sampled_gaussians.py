"""The sum of the curves of many sampled Gaussians, continuous or discrete, evaluated as one array."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dp.float_events import ignoring
from dp.special import erf

__all__ = ["SampledGaussian", "SampledGaussianFormula", "SampledGaussians"]

_Array = npt.NDArray[np.float64]

SampledGaussianFormula: TypeAlias = Callable[[float, _Array, _Array], _Array]
"""Takes an order, the parts sampled and the noise multipliers, and returns a bound for each."""


@dataclass(frozen=True, slots=True)
class SampledGaussian:
    """A sampled Gaussian; many with the same formula are evaluated as one array."""

    formula: SampledGaussianFormula
    part: float
    noise_multiplier: float


@dataclass(frozen=True, slots=True, eq=False)
class SampledGaussians:
    """Sampled Gaussians with one formula.

    Args:
        formula: of their bounds.
        part: of each, how much is sampled, shape (n,).
        noise_multiplier: of each, shape (n,).
        count: how often each happened, float64, shape (n,).
    """

    formula: SampledGaussianFormula
    part: _Array
    noise_multiplier: _Array
    count: _Array

    @classmethod
    def of(cls, many: Sequence[tuple[SampledGaussian, int]], formula: SampledGaussianFormula) -> "SampledGaussians":
        """Returns those of `many`, each with its count, that have this formula."""
        own = [(one.part, one.noise_multiplier, count) for one, count in many if one.formula is formula]
        return cls(formula, *np.array(own, dtype=np.float64).T.copy())

    @property
    def size(self) -> int:
        """How many differ."""
        return len(self.part)

    @ignoring("over", "under")
    def rdp(self, order: float) -> float:
        """Returns the sum of their bounds at one order."""
        return float(self.count @ self.formula(order, self.part, self.noise_multiplier))

    @ignoring("over", "under")
    def precision(self) -> float:
        """Returns the sum of 1/sigma^2, as if none were sampled."""
        with np.errstate(over="ignore", divide="ignore"):
            return float(self.count @ (1 / self.noise_multiplier / self.noise_multiplier))

    @ignoring("over", "under")
    def total_variation(self) -> float:
        """Returns the sum of their total variation distances."""
        return float(self.count @ (self.part * erf(1 / (math.sqrt(8) * self.noise_multiplier))))

    @ignoring("divide", "over", "under")
    def discrete_total_variation(self) -> float:
        """Returns a bound on the sum of their total variation distances where the Gaussians are discrete.

        Discrete ones may be farther apart than continuous ones. Their Kullback-Leibler divergence is 1/2sigma^2; the
        better of Pinsker's and Bretagnolle and Huber's inequality is used.
        """
        kl_divergence = 0.5 / self.noise_multiplier / self.noise_multiplier
        distance = np.minimum(np.sqrt(kl_divergence / 2), np.sqrt(-np.expm1(-kl_divergence)))
        return float(self.count @ (self.part * distance))
