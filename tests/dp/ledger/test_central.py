"""Noise of one trusted party, as records."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dp.accounting.accountant import RdpAccountant
from dp.errors import BudgetExceededError, InvalidParameterError, UnlikeEventsError, UnsupportedEventError
from dp.events import (
    Composed,
    DiscreteGaussian,
    Event,
    Gaussian,
    NonPrivate,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.ledger.records import Central, Header, decode
from dp.ledger.writer import Ledger
from dp.vocabulary import Adversary, Relation, SampleKnownTo, Unit
from tests.kit.ledger_scene import lines_of

CENTRAL = Header(
    scope="training",
    unit=Unit.EXAMPLE,
    relation=Relation.ADD_REMOVE,
    delta=Fraction(1, 10**5),
    budget=Fraction(4),
)


def records_of(path: Path) -> list[Any]:
    return [decode(line, number)[0] for number, line in enumerate(lines_of(path), 1)]


@pytest.mark.parametrize(
    "event",
    [
        Gaussian(5.0),
        PoissonSampled(0.01, Gaussian(1.0)),
        Composed(((PoissonSampled(0.02, Gaussian(2.0)), 3), (Gaussian(9.0), 1), (Gaussian(8.0), 0))),
        DiscreteGaussian(Fraction(10**8, 3), 10**6, Relation.ADD_REMOVE, Unit.EXAMPLE),
        PoissonSampled(0.1, DiscreteGaussian(Fraction(10**8), 10**6, Relation.ADD_REMOVE, Unit.EXAMPLE)),
    ],
    ids=repr,
)
def test_central_noise_is_spent_as_the_accountant_says(tmp_path: Path, event: Event):
    path = tmp_path / "ledger"
    with Ledger.create(path, CENTRAL) as ledger:
        ledger.spend(event, 10, known_to=SampleKnownTo.NOBODY)
        spent = ledger.spent
    assert spent == pytest.approx(RdpAccountant().compose(event, 10).epsilon(1e-5).value, rel=1e-9)
    with Ledger.open(path) as ledger:
        assert ledger.spent == spent


def test_sampling_that_participants_know_does_not_count(tmp_path: Path):
    event = PoissonSampled(0.01, Gaussian(5.0))
    with Ledger.create(tmp_path / "ledger", CENTRAL) as ledger:
        ledger.spend(event, known_to=SampleKnownTo.PARTICIPANTS)
        assert ledger.spent == pytest.approx(RdpAccountant().compose(Gaussian(5.0)).epsilon(1e-5).value, rel=1e-9)
    with Ledger.create(tmp_path / "outside", replace(CENTRAL, adversary=Adversary.OUTSIDER)) as ledger:
        ledger.spend(event, known_to=SampleKnownTo.PARTICIPANTS)
        assert ledger.spent == pytest.approx(RdpAccountant().compose(event).epsilon(1e-5).value, rel=1e-9)


def test_a_fixed_sample_amplifies_under_replace_one(tmp_path: Path):
    inner = Gaussian(3.0, Relation.REPLACE_ONE)
    event = SampledWithoutReplacement(1000, 10, inner)
    with Ledger.create(tmp_path / "ledger", replace(CENTRAL, relation=Relation.REPLACE_ONE)) as ledger:
        ledger.spend(event, 5, known_to=SampleKnownTo.NOBODY)
        assert ledger.spent == pytest.approx(RdpAccountant().compose(event, 5).epsilon(1e-5).value, rel=1e-9)


def test_several_events_are_spent_together_or_not_at_all(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, CENTRAL) as ledger:
        before = path.read_bytes()
        with pytest.raises(BudgetExceededError):
            ledger.spend(Composed(((Gaussian(2.0), 1), (Gaussian(1.9), 4))))
        assert path.read_bytes() == before
        ledger.spend(Composed(((Gaussian(2.0), 1), (Gaussian(3.0), 1))))
    assert [type(record) for record in records_of(path)] == [Header, Central, Central]


def test_what_happened_is_recorded_whatever_the_budget(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, CENTRAL) as ledger:
        ledger.record_past(Gaussian(0.5))
        assert ledger.spent > 4
        with pytest.raises(BudgetExceededError):
            ledger.spend(Gaussian(100.0))
    with Ledger.open(path) as ledger:
        assert ledger.spent > 4


@pytest.mark.parametrize(
    ("event", "error", "text"),
    [
        (NonPrivate(Relation.ADD_REMOVE, Unit.EXAMPLE), UnsupportedEventError, "one trusted party"),
        (Skellam(Fraction(9), 1, 1), UnsupportedEventError, "reserved"),
        (PoissonSampled(0.5, PoissonSampled(0.5, Gaussian(1.0))), UnsupportedEventError, "trusted"),
        (Gaussian(9.0, Relation.ZERO_OUT), UnlikeEventsError, "relation"),
        (Gaussian(9.0, unit=Unit.CLIENT), UnlikeEventsError, "unit"),
        ("gaussian", UnsupportedEventError, "trusted"),
    ],
    ids=repr,
)
def test_other_events_are_refused(tmp_path: Path, event: Any, error: type[Exception], text: str):
    with Ledger.create(tmp_path / "ledger", CENTRAL) as ledger:
        with pytest.raises(error, match=text):
            ledger.spend(event)
        assert ledger.spent == 0


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_counts_are_positive_integers(tmp_path: Path, count: Any):
    with (
        Ledger.create(tmp_path / "ledger", CENTRAL) as ledger,
        pytest.raises(InvalidParameterError, match="count"),
    ):
        ledger.spend(Gaussian(9.0), count)
