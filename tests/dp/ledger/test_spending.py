"""What the releases of a ledger spend together, as it is written."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import pytest

from dp.accounting.accountant import RdpAccountant
from dp.events import (
    Event,
    Skellam,
)
from dp.ledger import epsilon as ledger_epsilon
from dp.ledger.writer import Ledger
from dp.shares.planning import plan
from tests.kit.ledger_scene import HEADER, a_round


def epsilon_of(curve: Iterable[tuple[int, mpmath.mpf]], delta: Any) -> Any:
    """Canonne, Kamath, Steinke 2020, Prop. 12, at the best of some orders."""
    return min(
        rho + mpmath.log((a - 1) / mpmath.mpf(a)) - (mpmath.log(delta) + mpmath.log(a)) / (a - 1) for a, rho in curve
    )


def skellam_rho(alpha: int, mu: Any, l2_squared: int, l1: int) -> Any:
    """Agarwal, Kairouz, Liu 2021."""
    lead = mpmath.mpf(alpha) * l2_squared / (2 * mu)
    return lead + min(((2 * alpha - 1) * l2_squared + 6 * l1) / (4 * mu**2), mpmath.mpf(3) * l1 / (2 * mu))


def test_a_ledger_spends_what_the_formulas_say(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", replace(HEADER, budget=Fraction(10**3))) as ledger:
        for number in range(1, 6):
            ledger.reserve(a_round(number, local_variance=Fraction(10**7 * number, 20)))
        mus = [mpmath.mpf(68) * 10**7 * number / 20 for number in range(1, 6)]
        curve = ((a, sum(skellam_rho(a, mu, 10**6, 10**6) for mu in mus)) for a in range(2, 60))
        expected = epsilon_of(curve, mpmath.mpf(10) ** -5)
        assert expected * (1 - 1e-6) < ledger.spent <= expected * (1 + 1e-9)


@pytest.mark.slow
def test_a_plan_and_the_ledger_of_its_rounds_agree(tmp_path: Path):
    planned = plan(
        epsilon=4.0,
        delta=1e-6,
        rounds=20,
        clip=1.0,
        dimension=1000,
        clients=100,
        min_survivors=70,
        colluders=2,
        modulus_bits=24,
    )
    header = replace(HEADER, delta=planned.delta, budget=planned.promised_epsilon, colluders=planned.colluders)
    fields = {
        "mechanism": planned.mechanism,
        "invited": planned.clients,
        "min_survivors": planned.min_survivors,
        "squared_norm_bound": planned.squared_norm_bound,
        "l1_bound": planned.l1_bound,
        "dimension": planned.padded_dimension,
        "modulus_bits": planned.modulus_bits,
        "local_variance": planned.local_variance,
    }
    with Ledger.create(tmp_path / "ledger", header) as ledger:
        for number in range(1, 21):
            ledger.reserve(a_round(number, **fields))
        assert ledger.spent == pytest.approx(planned.epsilon().value, rel=1e-7)
        assert ledger.would_exceed(a_round(21, **fields))


def test_the_samplers_take_their_share_of_delta(tmp_path: Path):
    # 2^32 participants, 2^40 coordinates: 2^72 samples are off by 2^-28 together.
    many = {"invited": 2**32, "min_survivors": 2**31, "dimension": 2**40}
    with Ledger.create(tmp_path / "few", HEADER) as ledger:
        few = a_round(1, invited=2**31, min_survivors=2**31, dimension=2**40)
        assert not ledger.would_exceed(few)
    with Ledger.create(tmp_path / "many", replace(HEADER, delta=Fraction(1, 2**28))) as ledger:
        assert ledger.would_exceed(a_round(1, **many))
    with Ledger.create(tmp_path / "delta", replace(HEADER, delta=Fraction(1, 2**25))) as ledger:
        ledger.reserve(a_round(1, **many))
        event = Skellam((2**31 - 2) * a_round(1).local_variance, 10**6, 10**6)
        epsilon = ledger.spent
        left = 2**-25 - (1 + 2.718281828459045**epsilon) * 2**-28
        assert epsilon == pytest.approx(RdpAccountant().compose(event).epsilon(left).value, rel=1e-6)
        assert epsilon > RdpAccountant().compose(event).epsilon(2**-25).value * 1.001


def test_one_more_round_of_a_plan_computes_no_new_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Ledger.create(tmp_path / "ledger", replace(HEADER, budget=Fraction(10**9))) as ledger:
        ledger.reserve(a_round(1))
        new: list[object] = []
        real = ledger_epsilon.many_curves

        def noting(events: Iterable[Event]) -> dict[Event, Any]:
            noted = list(events)
            new.extend(noted)
            return real(noted)

        monkeypatch.setattr(ledger_epsilon, "many_curves", noting)
        ledger.reserve(a_round(2))
        ledger.settle(2, 90)
        assert new == []
        ledger.reserve(a_round(3, local_variance=Fraction(10**10)))
        assert len(new) == 1
