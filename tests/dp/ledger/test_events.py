"""From records to events, against formulas written out here."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from dp.errors import InvalidParameterError
from dp.events import (
    Composed,
    DistributedDiscreteGaussian,
    Gaussian,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.ledger.events import View, event_of, noise_samples
from dp.ledger.records import Central, Header
from dp.ledger.state import LedgerState
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
        LedgerState(CENTRAL).views(Central(**fields))
