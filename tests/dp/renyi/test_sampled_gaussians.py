"""Many sampled Gaussians as one array are the sum of each alone."""

import math

import numpy as np
import pytest

from dp.renyi.sampled_gaussian import poisson_gaussian_rdp
from dp.renyi.sampled_gaussians import SampledGaussian, SampledGaussians
from dp.renyi.sampled_without_replacement import gaussian_without_replacement_rdp

POISSON = [(SampledGaussian(poisson_gaussian_rdp, 0.01, 1.0), 3), (SampledGaussian(poisson_gaussian_rdp, 0.1, 4.0), 2)]
OTHER = [(SampledGaussian(gaussian_without_replacement_rdp, 0.2, 2.0), 5)]


def test_only_those_with_the_formula_are_taken() -> None:
    taken = SampledGaussians.of(OTHER + POISSON, poisson_gaussian_rdp)
    assert taken.size == 2
    assert (taken.part.tolist(), taken.noise_multiplier.tolist(), taken.count.tolist()) == ([0.01, 0.1], [1, 4], [3, 2])


def test_what_they_come_to_is_the_sum() -> None:
    taken = SampledGaussians.of(POISSON, poisson_gaussian_rdp)
    alone = [
        count
        * float(
            poisson_gaussian_rdp(
                3.0, probability=np.array([one.part]), noise_multiplier=np.array([one.noise_multiplier])
            )[0]
        )
        for one, count in POISSON
    ]
    assert taken.rdp(3.0) == pytest.approx(math.fsum(alone))
    assert taken.precision() == pytest.approx(3 + 2 / 16)
    distances = [count * one.part * math.erf(1 / (math.sqrt(8) * one.noise_multiplier)) for one, count in POISSON]
    assert taken.total_variation() == pytest.approx(math.fsum(distances))
