"""How large a privacy loss distribution would be, predicted before it is made, against what the library makes."""

import importlib.util
import math

import pytest

from dp import ComputationTooLargeError, Gaussian, PoissonSampled, RdpAccountant
from dp.accounting import pld_size
from dp.accounting.pld_size import MOST_DIFFERENT, MOST_POINTS, SampledRelease, check_size, loss_grid

needs_pld = pytest.mark.skipif(importlib.util.find_spec("dp_accounting") is None, reason="the extra pld is not there")


def made(q: float, sigma: float, count: int) -> tuple[int, int]:
    """The points that the library takes for one release, and for all of them together; the longer direction."""
    from dp_accounting.pld import privacy_loss_distribution as library

    one = library.from_gaussian_mechanism(sigma, sampling_prob=q)
    many = one.self_compose(count)
    return tuple(
        max(pmf.to_dense_pmf().size for pmf in (distribution._pmf_remove, distribution._pmf_add))
        for distribution in (one, many)
    )


@needs_pld
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("q", "sigma", "count"),
    [
        (0.01, 1.0, 1),
        (0.01, 1.0, 1000),
        (0.5, 0.5, 10),
        (1e-4, 2.0, 10**5),
        (0.9, 3.0, 50),
        (0.1, 0.3, 3),
        (1e-6, 0.7, 10),
    ],
)
def test_the_prediction_is_between_half_and_four_times_what_is_made(q: float, sigma: float, count: int) -> None:
    grid = loss_grid(SampledRelease(q, sigma, count))
    for predicted, real in zip((grid.single, grid.composed), made(q, sigma, count), strict=True):
        assert real / 2 <= predicted <= 4 * real + 4


@pytest.mark.parametrize(
    ("releases", "reason"),
    [
        ([SampledRelease(0.01, 0.05, 10)], "points of its grid"),
        ([SampledRelease(0.5, 1e-6, 1)], "points of its grid"),
        ([SampledRelease(0.01, 1e-200, 1)], "points of its grid"),
        ([SampledRelease(0.5, 1.0, 2**63)], "points of its grid"),
        ([SampledRelease(1e-3 + 1e-6 * at, 1.0, 1) for at in range(MOST_DIFFERENT + 1)], "different sampled releases"),
        ([SampledRelease(1e-3 + 1e-6 * at, 0.5, 1000) for at in range(MOST_DIFFERENT)], "points of all grids"),
        ([SampledRelease(1e-9, 1e4, 10**9)], "bits of the power"),
    ],
    ids=["little noise", "hardly any", "none", "many", "different", "together", "a power"],
)
def test_what_would_take_minutes_or_gigabytes_is_refused_with_its_reason(
    releases: list[SampledRelease], reason: str
) -> None:
    with pytest.raises(ComputationTooLargeError) as refused:
        check_size(releases)
    error = refused.value
    assert reason in error.reason
    assert error.predicted > error.allowed > 0
    assert "without pld=True" in error.instead
    assert "nan" not in str(error)


def test_what_takes_seconds_is_not_refused() -> None:
    for releases in (
        [SampledRelease(0.01, 1.0, 1000)],
        [SampledRelease(1e-4, 2.0, 10**6)],
        [SampledRelease(0.02, 0.7, 5000), SampledRelease(1.0, 30.0, 1)],
        [SampledRelease(0.01, 1.0 + 0.01 * at, 10) for at in range(10)],
    ):
        check_size(releases)


@needs_pld
def test_nothing_is_made_before_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dp.accounting.pld._composed", lambda releases: pytest.fail("made"))
    accountant = RdpAccountant(pld=True).compose(PoissonSampled(0.01, Gaussian(0.05)), 10)
    for ask in (lambda: accountant.epsilon(1e-5), lambda: accountant.delta(1.0)):
        with pytest.raises(ComputationTooLargeError) as refused:
            ask()
        assert refused.value.allowed == MOST_POINTS


def test_predictions_are_never_nan() -> None:
    for q in (1e-290, 1e-9, 0.5, 1.0):
        for sigma in (1e-300, 1e-3, 0.3, 1.0, 1e9, 1e100):
            for count in (1, 10**6, 2**63):
                grid = loss_grid(SampledRelease(q, sigma, count))
                assert grid.single > 0
                assert not math.isnan(grid.composed)
                assert grid.composed >= grid.single or grid.single == math.inf
    assert pld_size.MOST_WORK > MOST_POINTS
