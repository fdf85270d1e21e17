"""The optional bound by dp-accounting, and that nothing needs it."""

import importlib.util
import math
import sys
from fractions import Fraction

import pytest

from dp.accounting.accountant import Method, RdpAccountant
from dp.errors import MissingExtraError
from dp.events import DiscreteGaussian, Gaussian, PoissonSampled, SampledWithoutReplacement
from dp.vocabulary import Relation, Unit

needs_pld = pytest.mark.skipif(importlib.util.find_spec("dp_accounting") is None, reason="the extra pld is not there")


def test_nothing_imports_it_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    # None makes an import fail as if the package were not there.
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    assert RdpAccountant().compose(Gaussian(1.0)).epsilon(1e-5).value > 0


def test_where_it_is_not_installed_asking_for_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pld"):
        RdpAccountant(pld=True)


@pytest.mark.slow
@needs_pld
@pytest.mark.filterwarnings("ignore")
def test_it_is_one_more_bound() -> None:
    accountant = RdpAccountant(pld=True).compose(PoissonSampled(0.01, Gaussian(1.0)), 1000).compose(Gaussian(100.0), 3)
    bound = accountant.epsilon(1e-5)
    assert bound.method is Method.PLD
    renyi = RdpAccountant().compose(PoissonSampled(0.01, Gaussian(1.0)), 1000).compose(Gaussian(100.0), 3)
    assert 0.8 * renyi.epsilon(1e-5).value < bound.value < renyi.epsilon(1e-5).value
    assert accountant.delta(bound.value).method is Method.PLD
    assert math.isclose(accountant.delta(bound.value).value, 1e-5, rel_tol=1e-3)
    assert accountant.copy().epsilon(1e-5) == bound


@needs_pld
@pytest.mark.filterwarnings("ignore")
def test_it_bounds_the_exact_gaussian_from_above() -> None:
    exact = RdpAccountant().compose(Gaussian(2.0), 4).epsilon(1e-6).value
    bound = RdpAccountant(pld=True).compose(Gaussian(2.0), 4).epsilon(1e-6)
    assert bound.value == exact
    assert bound.method is Method.ANALYTIC_GAUSSIAN


@needs_pld
def test_what_it_has_no_bound_for_has_the_other_bounds_only() -> None:
    central = DiscreteGaussian(Fraction(100), 100, Relation.ZERO_OUT, Unit.CLIENT)
    sampled = SampledWithoutReplacement(100, 10, Gaussian(1.0, Relation.REPLACE_ONE))
    for event in (central, sampled):
        accountant = RdpAccountant(pld=True).compose(event, 10)
        assert accountant.epsilon(1e-5) == RdpAccountant().compose(event, 10).epsilon(1e-5)
        assert accountant.delta(1.0) == RdpAccountant().compose(event, 10).delta(1.0)
    # Below the rounding of its Fourier transform it is not asked.
    many = RdpAccountant(pld=True).compose(PoissonSampled(0.01, Gaussian(1.0)), 1000)
    assert many.epsilon(1e-12).method is Method.RDP


@needs_pld
@pytest.mark.parametrize("delta", [1e-5, 1e-7, 1e-9])
@pytest.mark.parametrize(
    ("q", "sigma", "count"), [(1e-4, 2.0, 10**6), (0.01, 1.0, 1000), (0.1, 5.0, 100), (1.0, 3.0, 9)]
)
def test_the_renyi_bound_is_below_that_of_the_library(q: float, sigma: float, count: int, delta: float) -> None:
    import dp_accounting
    from dp_accounting import rdp

    theirs = rdp.RdpAccountant()
    theirs.compose(dp_accounting.PoissonSampledDpEvent(q, dp_accounting.GaussianDpEvent(sigma)), count)
    ours = RdpAccountant().compose(PoissonSampled(q, Gaussian(sigma)), count).epsilon(delta).value
    assert ours <= theirs.get_epsilon(delta) * (1 + 1e-9)
    if q == 1e-4 and delta == 1e-7:
        assert math.isclose(ours, 0.25481, abs_tol=5e-6)
        assert math.isclose(theirs.get_epsilon(delta), 0.26678, abs_tol=5e-6)
