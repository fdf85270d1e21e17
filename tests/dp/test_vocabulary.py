"""The words that the package shares are public, and each is the text that records hold."""

from fractions import Fraction

import dp
from dp.vocabulary import SampleKnownTo, Sampling


def test_the_names_of_mechanisms_are_public() -> None:
    names = [dp.SKELLAM, dp.DISTRIBUTED_DISCRETE_GAUSSIAN, dp.GAUSSIAN, dp.DISCRETE_GAUSSIAN]
    assert names == ["skellam", "distributed-discrete-gaussian", "gaussian", "discrete-gaussian"]


def test_all_public_names_are_there() -> None:
    assert sorted(set(dp.__all__)) == sorted(dp.__all__)
    assert all(hasattr(dp, name) for name in dp.__all__)


def test_a_sample_is_of_one_scheme() -> None:
    assert Sampling(SampleKnownTo.NOBODY, probability=Fraction(1, 2)).scheme == "poisson"
    assert Sampling(SampleKnownTo.NOBODY, population=9, sample=3).scheme == "without-replacement"
