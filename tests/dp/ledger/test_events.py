"""From records to events and epsilons, against formulas written out here."""

import math
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

from dp.accounting.accountant import RdpAccountant
from dp.accounting.opacus_history import from_opacus
from dp.errors import InvalidParameterError
from dp.events import (
    Composed,
    DistributedDiscreteGaussian,
    Gaussian,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.ledger.curves import ORDERS, many_curves
from dp.ledger.epsilon import EpsilonTable, covers
from dp.ledger.events import View, check_release, event_of, noise_samples
from dp.ledger.records import Central, Header
from dp.ledger.writer import Ledger
from dp.renyi.curve import RenyiCurve
from dp.shares.planning import plan
from dp.vocabulary import Adversary, Relation, SampleKnownTo, Sampling, Unit
from tests.kit.ledger_scene import HEADER, a_round

REPLACE_ONE = replace(HEADER, relation=Relation.REPLACE_ONE)
OUTSIDER = replace(REPLACE_ONE, adversary=Adversary.OUTSIDER)
CENTRAL = replace(HEADER, relation=Relation.ADD_REMOVE, unit=Unit.EXAMPLE)
KNOWN = Sampling(SampleKnownTo.PARTICIPANTS, population=1000, sample=100)
SECRET = replace(KNOWN, known_to=SampleKnownTo.NOBODY)
POISSON = Sampling(SampleKnownTo.PARTICIPANTS, probability=Fraction(1, 3))


def events(header: Header, release: Any, survivors: int | None = None) -> list[Any]:
    return [event_of(header, release, view, survivors) for view in View]


def test_noise_is_that_of_the_survivors_less_the_colluders():
    reserve = a_round(1)
    promised, realised, server, outsider = events(HEADER, reserve, 90)
    assert promised == server == outsider == Skellam(68 * Fraction(10**7, 20), 10**6, 10**6)
    assert realised == Skellam(88 * Fraction(10**7, 20), 10**6, 10**6)
    # What is not settled is realised as it was promised.
    assert event_of(HEADER, reserve, View.REALISED) == promised


def test_replacing_one_doubles_the_difference():
    promised = event_of(REPLACE_ONE, a_round(1, squared_norm_bound=7, l1_bound=7), View.PROMISED)
    assert promised == Skellam(68 * Fraction(10**7, 20), 28, 14, Relation.REPLACE_ONE)


def test_the_l1_bound_follows_from_the_l2_bound():
    # Of few coordinates, the root of d B2; of many, B2 itself, as entries are integers.
    few = event_of(HEADER, a_round(1, dimension=10, squared_norm_bound=10**6), View.PROMISED)
    assert isinstance(few, Skellam)
    assert few.l1_sensitivity == math.isqrt(10**7)
    many = event_of(HEADER, a_round(1, dimension=10**7, squared_norm_bound=10**6), View.PROMISED)
    assert isinstance(many, Skellam)
    assert many.l1_sensitivity == 10**6


def test_shares_of_discrete_gaussian_noise_are_counted():
    reserve = a_round(1, mechanism="distributed-discrete-gaussian")
    promised, realised, *_ = events(HEADER, reserve, 100)
    assert promised == DistributedDiscreteGaussian(reserve.local_variance, 68, 10**6, 10**6, 10**6)
    assert realised == DistributedDiscreteGaussian(reserve.local_variance, 98, 10**6, 10**6, 10**6)


@pytest.mark.parametrize(("header", "sensitivity"), [(HEADER, 1), (REPLACE_ONE, 2)])
def test_the_bit_that_adapts_the_clip_norm_is_one_more_coordinate(header: Header, sensitivity: int):
    event = event_of(header, a_round(1, clip_bit_variance=Fraction(5, 3)), View.PROMISED)
    assert isinstance(event, Composed)
    (update, once), (bit, also_once) = event.events
    assert (once, also_once) == (1, 1)
    assert update == event_of(header, a_round(1), View.PROMISED)
    assert bit == Skellam(68 * Fraction(5, 3), sensitivity**2, sensitivity, header.relation)
    assert noise_samples(a_round(1, clip_bit_variance=Fraction(5, 3))) == 100 * (10**6 + 1)
    assert noise_samples(a_round(1)) == 100 * 10**6


def test_a_known_sample_hides_from_outsiders_alone():
    promised, realised, server, outsider = events(REPLACE_ONE, a_round(1, sampling=KNOWN), 90)
    assert promised == server
    assert realised != promised
    assert outsider == SampledWithoutReplacement(1000, 100, promised)


def test_a_secret_sample_hides_from_everybody():
    promised, realised, server, outsider = events(REPLACE_ONE, a_round(1, sampling=SECRET), 90)
    assert promised == server == outsider
    assert isinstance(realised, SampledWithoutReplacement)
    assert realised.event == Skellam(88 * Fraction(10**7, 20), 4 * 10**6, 2 * 10**6, Relation.REPLACE_ONE)


def test_a_budget_against_outsiders_counts_what_they_see():
    promised, realised, server, outsider = events(OUTSIDER, a_round(1, sampling=KNOWN), 90)
    assert promised == outsider
    assert isinstance(realised, SampledWithoutReplacement)
    assert not isinstance(server, SampledWithoutReplacement)


@pytest.mark.parametrize(
    ("header", "sampling"),
    [(HEADER, SECRET), (HEADER, KNOWN), (HEADER, POISSON), (REPLACE_ONE, POISSON)],
    ids=["zero-out, secret", "zero-out", "Poisson", "Poisson, replace-one"],
)
def test_sampling_without_a_proof_amplifies_nothing(header: Header, sampling: Sampling):
    plain = event_of(header, a_round(1), View.PROMISED)
    assert set(events(header, a_round(1, sampling=sampling))) == {plain}


def test_central_noise_on_a_poisson_sample():
    central = Central(mechanism="gaussian", noise_multiplier=Fraction(3), sampling=POISSON)
    promised, realised, server, outsider = events(CENTRAL, central)
    assert promised == realised == server == Gaussian(3.0)
    assert isinstance(outsider, PoissonSampled)
    # A third is no float: what is sampled with a smaller probability would be promised too much.
    assert Fraction(outsider.probability) > Fraction(1, 3)
    assert outsider.probability == math.nextafter(1 / 3, 1)
    tenth = Central(mechanism="gaussian", noise_multiplier=Fraction(1, 10))
    assert Fraction(event_of(CENTRAL, tenth, View.PROMISED).noise_multiplier) <= Fraction(1, 10)  # type: ignore[attr-defined]
    # Poisson's bounds are for add/remove and zero-out.
    assert set(events(REPLACE_ONE, central)) == {Gaussian(3.0, Relation.REPLACE_ONE, Unit.CLIENT)}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"mechanism": "gaussian"}, "noise_multiplier"),
        ({"mechanism": "gaussian", "noise_multiplier": Fraction(1), "variance": Fraction(1)}, "variance"),
        ({"mechanism": "gaussian", "noise_multiplier": Fraction(1), "dimension": 3}, "dimension"),
        ({"mechanism": "gaussian", "noise_multiplier": Fraction(1), "sampler": "exact/1"}, "sampler"),
        ({"mechanism": "discrete-gaussian", "variance": Fraction(1), "dimension": 3}, "squared_sensitivity"),
        (
            {"mechanism": "discrete-gaussian", "variance": Fraction(1), "squared_sensitivity": 1, "dimension": 1},
            "sampler",
        ),
    ],
)
def test_a_mechanism_has_its_own_figures(fields: dict[str, Any], name: str):
    with pytest.raises(InvalidParameterError, match=name):
        check_release(CENTRAL, Central(**fields))


# --- Claims and totals ---


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
    claim = EpsilonTable(HEADER).claim(a_round(1))
    assert claim is not None
    assert claim.denominator <= 10**9
    assert 0 <= claim - Fraction(str(expected)) <= Fraction(2, 10**9)


def test_a_ledger_spends_what_the_formulas_say(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", replace(HEADER, budget=Fraction(10**3))) as ledger:
        for number in range(1, 6):
            ledger.reserve(a_round(number, local_variance=Fraction(10**7 * number, 20)))
        mus = [mpmath.mpf(68) * 10**7 * number / 20 for number in range(1, 6)]
        curve = ((a, sum(skellam_rho(a, mu, 10**6, 10**6) for mu in mus)) for a in range(2, 60))
        expected = epsilon_of(curve, mpmath.mpf(10) ** -5)
        assert expected * (1 - 1e-6) < ledger.spent <= expected * (1 + 1e-9)


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
    table = EpsilonTable(replace(HEADER, colluders=0))
    rounds = [
        table.promised(a_round(i + 1, local_variance=Fraction(10**9 + 10**5 * i, 20), dimension=10**6))
        for i in range(257)
    ]
    few = table.total(rounds[:256])
    many = table.total(rounds)
    assert few.order is not None
    assert few.value < many.value < few.value * 1.005
    # As if all rounds had been the first or the last one.
    assert table.total([rounds[-1]] * 257).value < many.value < table.total([rounds[0]] * 257).value * 1.002


def test_curves_of_many_are_those_of_one_by_one():
    several = [
        PoissonSampled(0.01, Gaussian(1.0)),
        PoissonSampled(0.5, Gaussian(3.0, Relation.ZERO_OUT, Unit.CLIENT)),
        PoissonSampled(1.0, Gaussian(3.0)),
        PoissonSampled(0.0, Gaussian(3.0)),
        Gaussian(2.0),
    ]
    curves = many_curves(several)
    for event in several:
        assert curves[event] == pytest.approx(RenyiCurve({event: 1})(ORDERS), rel=1e-13)
    inner = Skellam(Fraction(10**7), 4 * 10**6, 2 * 10**6, Relation.REPLACE_ONE)
    bit = Skellam(Fraction(10**5), 4, 2, Relation.REPLACE_ONE)
    for event in (
        SampledWithoutReplacement(1000, 10, inner),
        SampledWithoutReplacement(10, 10, inner),
        SampledWithoutReplacement(1000, 10, Composed(((inner, 1), (bit, 1)))),
        Composed(((inner, 2), (Gaussian(3.0, Relation.REPLACE_ONE, Unit.CLIENT), 1))),
        DistributedDiscreteGaussian(Fraction(100), 50, 4 * 10**6, 2 * 10**6, 10**6, Relation.REPLACE_ONE),
    ):
        own = many_curves([event])[event]
        accountants = RenyiCurve({event: 1})(ORDERS)
        # The accountant has a numerical bound besides, never a larger one.
        assert np.all(accountants <= own * (1 + 1e-9))
    whole = many_curves([inner])[inner]
    assert many_curves([SampledWithoutReplacement(10, 10, inner)]).popitem()[1] == pytest.approx(whole)


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


# --- Opacus ---


def test_a_history_of_opacus_is_one_composition():
    history = [(1.0, 0.01, 500), (1.5, 0.01, 300), (1.0, 0.01, 20), (2.0, 1.0, 1), (3.0, 0.5, 0)]
    assert from_opacus(history) == Composed(
        (
            (PoissonSampled(0.01, Gaussian(1.0)), 520),
            (PoissonSampled(0.01, Gaussian(1.5)), 300),
            (PoissonSampled(1.0, Gaussian(2.0)), 1),
        )
    )
    assert from_opacus(history, Unit.CLIENT).unit is Unit.CLIENT
    assert from_opacus([(0.0, 0.1, 1)]).events[0][0].relation is Relation.ADD_REMOVE


def test_a_history_of_opacus_goes_on_a_ledger(tmp_path: Path):
    history = from_opacus([(1.0, 0.01, 1000), (1.2, 0.01, 500)])
    with Ledger.create(tmp_path / "ledger", replace(CENTRAL, delta=Fraction(1, 10**5))) as ledger:
        ledger.record_past(history)
        assert ledger.spent == pytest.approx(RdpAccountant().compose(history).epsilon(1e-5).value, rel=1e-9)


@pytest.mark.parametrize(
    ("history", "name"),
    [
        ([], "history"),
        ([(1.0, 0.1, 0)], "history"),
        ([(1.0, 0.1)], r"history\[0\]"),
        ([(1.0, 0.1, 1), 3], r"history\[1\]"),
        ([(-1.0, 0.1, 1)], r"history\[0\]\.noise_multiplier"),
        ([(math.nan, 0.1, 1)], r"history\[0\]\.noise_multiplier"),
        ([(1.0, 1.1, 1)], r"history\[0\]\.sample_rate"),
        ([(1.0, 0.1, 1.0)], r"history\[0\]\.steps"),
        ([(1.0, 0.1, -1)], r"history\[0\]\.steps"),
    ],
)
def test_what_is_no_history_is_refused_by_its_place(history: Any, name: str):
    with pytest.raises(InvalidParameterError, match=name):
        from_opacus(history)
