"""Claims and totals: what a record has to claim, and what many spend together."""

import math
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import mpmath
import pytest

from dp.ledger.curves import ORDERS
from dp.ledger.epsilon import EpsilonTable, covers
from dp.ledger.events import EventTable, View, event_of
from dp.ledger.records import Header
from tests.kit.ledger_scene import HEADER, a_round


def events(header: Header, release: Any, survivors: int | None = None) -> list[Any]:
    return [event_of(header, release, view, survivors) for view in View]


def epsilon_of(curve: Iterable[tuple[int, mpmath.mpf]], delta: Any) -> Any:
    """Canonne, Kamath, Steinke 2020, Prop. 12, at the best of some orders."""
    return min(
        rho + mpmath.log((a - 1) / mpmath.mpf(a)) - (mpmath.log(delta) + mpmath.log(a)) / (a - 1) for a, rho in curve
    )


def skellam_rho(alpha: int, mu: Any, l2_squared: int, l1: int) -> Any:
    """Agarwal, Kairouz, Liu 2021."""
    lead = mpmath.mpf(alpha) * l2_squared / (2 * mu)
    return lead + min(((2 * alpha - 1) * l2_squared + 6 * l1) / (4 * mu**2), mpmath.mpf(3) * l1 / (2 * mu))


def test_a_claim_is_the_published_bound_at_the_fixed_orders():
    assert [int(order) for order in ORDERS[:22]] == [*range(2, 21), 22, 24, 26]
    assert [int(order) for order in ORDERS[-6:]] == [500, 550, 1024, 2048, 4096, 10**4]
    mu = mpmath.mpf(68) * 10**7 / 20
    # The samplers' share of delta is 1e-22 here: nothing of these digits.
    expected = epsilon_of(((int(a), skellam_rho(int(a), mu, 10**6, 10**6)) for a in ORDERS), mpmath.mpf(10) ** -5)
    claim = EpsilonTable(HEADER.delta).claim(EventTable(HEADER).views(a_round(1)).promised)
    assert claim is not None
    assert claim.denominator <= 10**9
    assert 0 <= claim - Fraction(str(expected)) <= Fraction(2, 10**9)


def test_a_claim_may_be_more_than_it_has_to_be_and_not_less():
    assert covers(Fraction(1), 1.0)
    assert covers(Fraction(2), 1.0)
    assert covers(None, math.inf)
    assert covers(None, 1.0)
    assert not covers(Fraction(1), 1.0 + 1e-8)
    assert not covers(Fraction(0), 1e-30)
    assert not covers(Fraction(10**30), math.inf)


@pytest.mark.slow
def test_many_different_rounds_get_a_bound_a_little_above_the_accountants():
    table, events = EpsilonTable(HEADER.delta), EventTable(replace(HEADER, colluders=0))
    rounds = [
        events.views(a_round(i + 1, local_variance=Fraction(10**9 + 10**5 * i, 20), dimension=10**6)).promised
        for i in range(257)
    ]
    few = table.total(rounds[:256])
    many = table.total(rounds)
    assert few.order is not None
    assert few.value < many.value < few.value * 1.005
    # As if all rounds had been the first or the last one.
    assert table.total([rounds[-1]] * 257).value < many.value < table.total([rounds[0]] * 257).value * 1.002
