"""`DistributedPlan.verify`: every figure of a plan that follows from the others is worked out again."""

from dataclasses import replace
from fractions import Fraction

import pytest

from dp.errors import InvalidParameterError
from dp.mechanisms.rounding import largest_l1
from dp.shares.plan import DistributedPlan
from dp.shares.planning import plan
from dp.vocabulary import DISTRIBUTED_DISCRETE_GAUSSIAN, SKELLAM, Unit

LARGEST = Fraction(1 << 1024)
"""The largest rational that a plan may hold; no float is as large."""


def planned(**changes: object) -> DistributedPlan:
    usual: dict[str, object] = {
        "epsilon": 5.0,
        "delta": 1e-5,
        "rounds": 100,
        "clip": 1.0,
        "dimension": 1000,
        "clients": 100,
        "min_survivors": 70,
        "modulus_bits": 20,
    }
    return plan(**(usual | changes))  # type: ignore[arg-type]


def bounded_by(found: DistributedPlan, squared: int) -> DistributedPlan:
    return replace(found, squared_norm_bound=squared, l1_bound=largest_l1(squared, dimension=found.padded_dimension))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mechanism": DISTRIBUTED_DISCRETE_GAUSSIAN},
        {"clip_bit_noise": 20.0},
        {"modulus_bits": 60, "rounds": 1},
        {"unit": Unit.EXAMPLE, "vectors_per_client": 10, "modulus_bits": 28},
        {"clip": 2.0**-500},
        {"clip": 2.0**500},
        {"mechanism": SKELLAM, "rounds": 1, "dimension": 60, "clients": 10, "min_survivors": 8, "modulus_bits": 9},
    ],
    ids=str,
)
def test_what_was_planned_passes(changes: dict[str, object]) -> None:
    planned(**changes).verify()


def refused(found: DistributedPlan, parameter: str) -> InvalidParameterError:
    with pytest.raises(InvalidParameterError) as error:
        found.verify()
    assert error.value.parameter == parameter
    return error.value


def test_a_promise_that_does_not_hold_is_refused() -> None:
    found = planned()
    too_little = replace(found, promised_epsilon=found.promised_epsilon * Fraction(99, 100))
    refused(too_little, "promised_epsilon")
    refused(replace(found, target_epsilon=Fraction(4)), "promised_epsilon")
    refused(replace(found, local_variance=found.local_variance / 2), "promised_epsilon")


@pytest.mark.parametrize("scale", [Fraction(2**41), LARGEST, Fraction(1, 10**350)])
def test_a_lattice_that_floats_cannot_tell_is_refused(scale: Fraction) -> None:
    found = planned()
    refused(replace(found, scale=scale), "scale")


def test_a_clip_norm_beyond_floats_is_refused() -> None:
    refused(replace(planned(), scale=LARGEST, clip=LARGEST), "scale")


def test_a_norm_bound_below_what_rounding_needs_is_refused() -> None:
    """Clients whose vectors round to more would have to stay away, and that would say something of their vectors."""
    found = planned()
    assert "tell its norm" in refused(bounded_by(found, found.squared_norm_bound - 1), "squared_norm_bound").allowed


def test_a_rarer_repetition_needs_a_larger_bound() -> None:
    found = planned()
    refused(replace(found, beta=Fraction(1, 10**6)), "squared_norm_bound")
    refused(replace(found, beta=Fraction(1, 10**399)), "beta")
    replace(found, beta=Fraction(1)).verify()


def test_a_modulus_without_room_is_refused() -> None:
    found = planned()
    small = replace(found, modulus_bits=found.modulus_bits - 4, smallest_modulus_bits=1)
    refused(small, "modulus_bits")


def test_a_modulus_without_room_for_the_bits_is_refused() -> None:
    found = planned(clip_bit_noise=20.0)
    vector, bits = found.round_wraps()
    assert bits < vector <= 1e-6
    wide = replace(found, clip_bit_variance=Fraction(2**40))
    refused(wide, "modulus_bits")


def test_a_chance_to_wrap_that_is_told_too_small_is_refused() -> None:
    found = planned()
    assert found.wrap_probability > 0
    refused(replace(found, wrap_probability=found.wrap_probability / 3), "wrap_probability")
    replace(found, wrap_probability=found.wrap_probability * 2).verify()


@pytest.mark.parametrize("factor", [Fraction(9, 10), Fraction(11, 10)])
def test_another_inflation_is_refused(factor: Fraction) -> None:
    found = planned()
    refused(replace(found, inflation=found.inflation * factor), "inflation")


def test_the_first_figure_that_does_not_hold_is_named() -> None:
    found = planned()
    wrong = replace(found, promised_epsilon=Fraction(1), scale=Fraction(2**41), inflation=Fraction(1))
    refused(wrong, "promised_epsilon")
