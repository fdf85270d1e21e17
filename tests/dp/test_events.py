"""Records of releases: what they refuse, and that they are values."""

import dataclasses
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from dp.errors import (
    InvalidParameterError,
    UnlikeEventsError,
)
from dp.events import (
    Composed,
    DiscreteGaussian,
    DistributedDiscreteGaussian,
    Event,
    Gaussian,
    NonPrivate,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.vocabulary import Relation, Unit

NAN = float("nan")
INF = float("inf")
ZERO_OUT, REPLACE_ONE, ADD_REMOVE = Relation.ZERO_OUT, Relation.REPLACE_ONE, Relation.ADD_REMOVE
CLIENT, EXAMPLE = Unit.CLIENT, Unit.EXAMPLE

GOOD: dict[type[Event], dict[str, Any]] = {
    Gaussian: {"noise_multiplier": 1.5},
    DiscreteGaussian: {
        "variance": Fraction(9, 4),
        "squared_sensitivity": 4,
        "relation": ZERO_OUT,
        "unit": CLIENT,
    },
    DistributedDiscreteGaussian: {
        "local_variance": Fraction(9, 4),
        "shares": 10,
        "squared_sensitivity": 4,
        "l1_sensitivity": 4,
        "dimension": 8,
    },
    Skellam: {"variance": Fraction(5, 2), "squared_sensitivity": 4, "l1_sensitivity": 3},
    NonPrivate: {"relation": ADD_REMOVE, "unit": EXAMPLE},
    PoissonSampled: {"probability": 0.25, "event": Gaussian(1.0)},
    SampledWithoutReplacement: {"population": 100, "sample": 10, "event": Gaussian(1.0, REPLACE_ONE)},
    Composed: {"events": ((Gaussian(1.0), 3), (PoissonSampled(0.1, Gaussian(2.0)), 0))},
}

NO_REAL = [NAN, INF, -INF, "1", None, 1j, True, np.array([1.0]), 10**400]
NO_POSITIVE = [*NO_REAL, 0, 0.0, -1.0]
NO_FRACTION = [0, -1, Fraction(0), 1.5, NAN, "1", None, True, Fraction(1, 10**400), Fraction(10**400)]
NO_COUNT = [0, -1, 1.0, 1.5, NAN, "1", None, True, Fraction(2), 2**128]
BAD = {
    (Gaussian, "noise_multiplier"): NO_POSITIVE,
    (DiscreteGaussian, "variance"): NO_FRACTION,
    (DiscreteGaussian, "squared_sensitivity"): NO_COUNT,
    (DistributedDiscreteGaussian, "local_variance"): [*NO_FRACTION, Fraction(249, 1000)],
    (DistributedDiscreteGaussian, "shares"): NO_COUNT,
    (DistributedDiscreteGaussian, "squared_sensitivity"): NO_COUNT,
    (DistributedDiscreteGaussian, "l1_sensitivity"): NO_COUNT,
    (DistributedDiscreteGaussian, "dimension"): NO_COUNT,
    (DistributedDiscreteGaussian, "relation"): [ADD_REMOVE],
    (Skellam, "variance"): NO_FRACTION,
    (Skellam, "squared_sensitivity"): NO_COUNT,
    (Skellam, "l1_sensitivity"): NO_COUNT,
    (Skellam, "relation"): [ADD_REMOVE],
    (PoissonSampled, "probability"): [*NO_REAL, -0.1, 1.1, -1e-300, 1 + 1e-15],
    (PoissonSampled, "event"): [None, 1.0, Gaussian],
    (SampledWithoutReplacement, "population"): [0, -1, 9, 100.0, NAN, None, True],
    (SampledWithoutReplacement, "sample"): [-1, 101, 10.0, NAN, None, True],
    (SampledWithoutReplacement, "event"): [None, 1.0],
    (Composed, "events"): [(), None, Gaussian(1.0), (Gaussian(1.0),), ((Gaussian(1.0), -1),), ((Gaussian(1.0), 1.0),)],
}


@pytest.mark.parametrize("kind", GOOD)
def test_an_event_is_a_value(kind: type[Event]) -> None:
    event, twin = kind(**GOOD[kind]), kind(**GOOD[kind])
    assert event == twin
    assert hash(event) == hash(twin)
    assert pickle.loads(pickle.dumps(event)) == event
    assert isinstance(event.relation, Relation)
    assert isinstance(event.unit, Unit)
    # Frozen classes with slots raise TypeError for names that are no fields (CPython issue 90562).
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        event.relation = ZERO_OUT  # type: ignore[misc]
    assert not hasattr(event, "__dict__")


@pytest.mark.parametrize(("kind", "parameter"), BAD)
def test_a_bad_field_is_named(kind: type[Event], parameter: str) -> None:
    for value in BAD[kind, parameter]:
        with pytest.raises(InvalidParameterError) as caught:
            kind(**GOOD[kind] | {parameter: value})
        expected = {"events": {"events", "event", "count"}, "population": {"population", "sample"}}
        assert caught.value.parameter in expected.get(parameter, {parameter})
        assert caught.value.parameter in str(caught.value)


@pytest.mark.parametrize("kind", [Gaussian, DiscreteGaussian, DistributedDiscreteGaussian, Skellam, NonPrivate])
@pytest.mark.parametrize("parameter", ["relation", "unit"])
def test_relation_and_unit_are_members_not_names(kind: type[Event], parameter: str) -> None:
    for value in ("zero-out", "client", None, 1):
        with pytest.raises(InvalidParameterError, match=parameter):
            kind(**GOOD[kind] | {parameter: value})


def test_numbers_come_in_one_type() -> None:
    assert Gaussian(np.float32(2.0)) == Gaussian(2) == Gaussian(Fraction(2)) == Gaussian(2.0)
    assert type(Gaussian(2).noise_multiplier) is float
    assert type(Skellam(5, np.int64(4), 3).squared_sensitivity) is int
    assert type(Skellam(5, 4, 3).variance) is Fraction
    assert Composed([(Gaussian(1.0), 1)]).events == ((Gaussian(1.0), 1),)  # type: ignore[arg-type]


def test_wrappers_speak_of_the_neighbours_of_what_they_wrap() -> None:
    inner = Gaussian(1.0, REPLACE_ONE, CLIENT)
    for event in (PoissonSampled(0.5, inner), SampledWithoutReplacement(4, 2, inner), Composed(((inner, 2),))):
        assert (event.relation, event.unit) == (REPLACE_ONE, CLIENT)


@pytest.mark.parametrize("relation", [ZERO_OUT, ADD_REMOVE])
def test_sampling_without_replacement_is_about_replacing_one(relation: Relation) -> None:
    with pytest.raises(InvalidParameterError, match="relation"):
        SampledWithoutReplacement(10, 2, Gaussian(1.0, relation))


def test_unlike_events_do_not_make_one() -> None:
    first = Gaussian(1.0, ADD_REMOVE, EXAMPLE)
    with pytest.raises(UnlikeEventsError) as caught:
        Composed(((first, 1), (Gaussian(1.0, ZERO_OUT, EXAMPLE), 1)))
    assert (caught.value.aspect, caught.value.expected, caught.value.offered) == ("relation", "add-remove", "zero-out")
    with pytest.raises(UnlikeEventsError) as caught:
        Composed(((first, 1), (Gaussian(1.0, ADD_REMOVE, CLIENT), 0)))
    assert (caught.value.aspect, caught.value.expected, caught.value.offered) == ("unit", "example", "client")
