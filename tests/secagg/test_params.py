"""Every bound of the session parameters, and their encoding."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import InvalidParameterError
from secagg.params import (
    MAX_APPLICATION_BYTES,
    MAX_COHORT_SIZE,
    MAX_VECTOR_LENGTH,
    AdversaryModel,
    SessionParams,
    default_threshold,
    encoded_params_limit,
    smallest_threshold,
)
from secagg.policy import ClientPolicy
from secagg.primitives.prg import Suite
from secagg.testing import session_params
from tests.kit.weak_keys import BASE_POINT

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS
GOOD: Mapping[str, Any] = {"cohort_size": 10, "threshold": 7, "vector_length": 100, "modulus_bits": 32}

BOUNDS = {
    "threshold": (5, 9),  # more than half of 9 neighbours, and all of them
    "vector_length": (0, MAX_VECTOR_LENGTH),
    "modulus_bits": (1, 64),
    "min_survivors": (0, 10),
    "round_number": (0, 2**64 - 1),
}


def make(**changes: Any) -> SessionParams:
    return SessionParams(**(dict(GOOD) | changes))


def refused(parameter: str, **changes: Any) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        make(**changes)
    assert caught.value.parameter == parameter
    assert caught.value.offered is changes[parameter] or parameter == "application"


@pytest.mark.parametrize(("field", "bounds"), BOUNDS.items())
def test_a_number_is_accepted_up_to_its_bounds_and_no_further(field: str, bounds: tuple[int, int]):
    low, high = bounds
    for accepted in (low, low + 1, high - 1, high):
        assert getattr(make(**{field: accepted}), field) == (max(accepted, 8) if field == "min_survivors" else accepted)
    for out_of_range in (low - 1, high + 1, -(2**70), 2**70):
        refused(field, **{field: out_of_range})


@pytest.mark.parametrize("field", ["cohort_size", *BOUNDS])
def test_an_integer_out_of_numpy_becomes_a_plain_one(field: str):
    made = make(**{field: np.int64(8)})
    assert type(getattr(made, field)) is int
    assert made.encode() == make(**{field: 8}).encode()


@pytest.mark.parametrize("field", ["cohort_size", *BOUNDS])
@pytest.mark.parametrize("value", [True, 8.0, "8", None, b"8", np.float64(8), np.bool_(True), float("nan")])
def test_a_number_must_be_a_plain_integer(field: str, value: object):
    refused(field, **{field: value})


@pytest.mark.parametrize(("adversary", "smallest"), [(CURIOUS, 3), (ACTIVE, 4)])
def test_the_cohort_has_bounds(adversary: AdversaryModel, smallest: int):
    make(cohort_size=smallest, threshold=smallest - 1, adversary=adversary)
    make(cohort_size=MAX_COHORT_SIZE, threshold=MAX_COHORT_SIZE - 1, adversary=adversary)
    for size in (smallest - 1, 0, -1, MAX_COHORT_SIZE + 1):
        refused("cohort_size", cohort_size=size, threshold=smallest - 1, adversary=adversary)


@pytest.mark.parametrize("size", range(4, 40))
def test_a_threshold_is_more_than_half_of_the_neighbours_and_at_most_all(size: int):
    accepted = []
    for threshold in range(-1, size + 2):
        with contextlib.suppress(InvalidParameterError):
            accepted.append(make(cohort_size=size, threshold=threshold).threshold)
    assert accepted == [t for t in range(1, size) if 2 * t > size - 1]


@pytest.mark.parametrize("field", ["adversary", "suite"])
@pytest.mark.parametrize("value", [1, 2, "ACTIVE", None])
def test_models_and_suites_must_be_members(field: str, value: object):
    refused(field, **{field: value})


def test_models_and_suites_are_not_exchangeable():
    refused("adversary", adversary=Suite.CHACHA20)
    refused("suite", suite=CURIOUS)


def test_the_application_is_bytes_of_a_bounded_length():
    assert make(application=b"x" * MAX_APPLICATION_BYTES).application == b"x" * MAX_APPLICATION_BYTES
    for application in (b"x" * (MAX_APPLICATION_BYTES + 1), "text", None, bytearray(b"x"), memoryview(b"x")):
        refused("application", application=application)


def test_min_survivors_is_raised_to_one_more_than_the_threshold():
    assert make().min_survivors == 8
    assert make(min_survivors=7).min_survivors == 8
    assert make(min_survivors=9).min_survivors == 9


@pytest.mark.parametrize("size", [3, 4, 5, 6, 7, 10, 100, 1000, MAX_COHORT_SIZE])
def test_the_default_threshold_is_the_least_above_two_thirds_of_the_neighbours(size: int):
    threshold = default_threshold(size)
    assert 3 * threshold > 2 * (size - 1)
    assert 3 * (threshold - 1) <= 2 * (size - 1)
    params = SessionParams.for_cohort(
        cohort_size=size,
        vector_length=5,
        modulus_bits=20,
        adversary=CURIOUS,
        suite=Suite.CHACHA20,
        round_number=6,
        application=b"a",
    )
    assert params == make(
        cohort_size=size,
        threshold=threshold,
        vector_length=5,
        modulus_bits=20,
        adversary=CURIOUS,
        suite=Suite.CHACHA20,
        round_number=6,
        application=b"a",
    )


def test_for_cohort_checks_the_size_before_it_counts_with_it():
    for size in (2, 0, -5, MAX_COHORT_SIZE + 1, "4", None, 4.0):
        with pytest.raises(InvalidParameterError, match="cohort_size"):
            SessionParams.for_cohort(cohort_size=size, vector_length=1, modulus_bits=1)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="cohort_size"):
        SessionParams.for_cohort(cohort_size=3, vector_length=1, modulus_bits=1)  # ACTIVE needs 4


def test_parameters_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().threshold = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("length", "bits", "size"), [(0, 13, 0), (1, 1, 1), (8, 1, 1), (9, 1, 2), (5, 13, 9), (3, 64, 24)]
)
def test_the_packed_vector_has_so_many_bytes(length: int, bits: int, size: int):
    assert make(vector_length=length, modulus_bits=bits).packed_vector_bytes == size


# ------------------------------------------------------------------------------------------------------- Graph
@pytest.mark.parametrize("neighbours", [3, 5, 7, 1, 10, 11, -2, 2**32])
def test_an_odd_degree_or_one_of_everybody_and_more_is_refused(neighbours: int):
    refused("neighbours", neighbours=neighbours, threshold=1)


@pytest.mark.parametrize("neighbours", [True, False, 4.0, "4", None])
def test_a_degree_that_is_no_integer_is_refused(neighbours: object):
    refused("neighbours", neighbours=neighbours)


def test_the_complete_graph_is_the_default_and_may_be_written_out():
    assert make() == make(neighbours=0) == make(neighbours=9)
    assert make().neighbours == 9
    assert not make().sparse


@pytest.mark.parametrize(("model", "threshold"), [(ACTIVE, 4), (ACTIVE, 6), (CURIOUS, 1), (CURIOUS, 6)], ids=str)
def test_a_sparse_graph_takes_thresholds_up_to_its_degree(model: AdversaryModel, threshold: int):
    params = make(neighbours=6, threshold=threshold, adversary=model)
    assert params.sparse
    assert SessionParams.decode(params.encode()) == params


@pytest.mark.parametrize(("model", "threshold"), [(ACTIVE, 3), (ACTIVE, 7), (CURIOUS, 0), (CURIOUS, 7)])
def test_a_sparse_graph_takes_no_threshold_beyond_its_degree_or_below_its_half_against_liars(
    model: AdversaryModel, threshold: int
):
    refused("threshold", neighbours=6, threshold=threshold, adversary=model)


def test_a_sparse_graph_against_liars_needs_more_than_half_of_all():
    assert make(neighbours=6, threshold=4).min_survivors == 6
    assert make(neighbours=6, threshold=4, adversary=CURIOUS).min_survivors == 5
    assert make(neighbours=6, threshold=6).min_survivors == 7


def test_signatures_needed_are_the_quorum_or_the_minimum_of_a_sparse_graph():
    assert make(min_survivors=9).min_signatures == 8
    assert make(neighbours=6, threshold=4, min_survivors=9).min_signatures == 9


@pytest.mark.parametrize(
    ("model", "neighbours", "among", "seen"),
    [(ACTIVE, 6, 10, 10), (ACTIVE, 9, 10, 10), (CURIOUS, 9, 10, 10), (CURIOUS, 6, 10, 7), (CURIOUS, 6, 6, 6)],
)
def test_what_a_client_sees(model: AdversaryModel, neighbours: int, among: int, seen: int):
    params = make(neighbours=neighbours, threshold=6 if neighbours == 6 else 7, adversary=model)
    assert params.visible_among(among) == seen
    assert params.neighbours_among(among) == min(neighbours, among - 1)


def test_neighbours_of_nobody_on_the_wire_are_no_canonical_encoding():
    encoded = bytearray(make().encode())
    assert encoded[6] == 9
    encoded[6] = 0
    with pytest.raises(InvalidParameterError, match="neighbours"):
        SessionParams.decode(bytes(encoded))


def test_active_says_which_model_it_is():
    assert make().active
    assert not make(adversary=CURIOUS).active


# ---------------------------------------------------------------------------------------------------- Encoding
def test_the_encoding_is_that_of_the_page():
    params = make(adversary=CURIOUS, suite=Suite.CHACHA20, round_number=2**63, application=b"\x00app")
    assert params.encode() == bytes.fromhex(
        "02010a0000000900000007000000080000006400000000000000200000000000000080040000617070"
    )


@settings(deadline=None)
@given(session_params(max_cohort=50, max_length=2**32))
def test_encoding_and_decoding_are_inverse(params: SessionParams):
    encoded = params.encode()
    assert SessionParams.decode(encoded) == params
    assert len(encoded) <= encoded_params_limit()


def test_the_limit_is_reached():
    assert len(make(application=bytes(MAX_APPLICATION_BYTES)).encode()) == encoded_params_limit()


def decodes(data: bytes) -> SessionParams | None:
    """Decodes, or refuses with the one error that is allowed."""
    try:
        params = SessionParams.decode(data)
    except InvalidParameterError:
        return None
    assert params.encode() == data, "two encodings of the same parameters"
    return params


def test_every_truncated_or_extended_encoding_is_refused():
    encoded = make(application=b"application").encode()
    for size in range(len(encoded)):
        assert decodes(encoded[:size]) is None
    for tail in (b"\x00", b"x", bytes(1000)):
        assert decodes(encoded + tail) is None


def test_every_flipped_bit_is_refused_or_gives_other_parameters():
    encoded = make(application=b"app").encode()
    refusals = 0
    for bit in range(8 * len(encoded)):
        flipped = bytearray(encoded)
        flipped[bit // 8] ^= 1 << bit % 8
        params = decodes(bytes(flipped))
        assert params != make(application=b"app")
        refusals += params is None
    assert refusals > 8 * 14  # every bit of suite, model and length, most of the numbers


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(max_size=80), st.binary(min_size=37, max_size=37)))
def test_any_bytes_are_refused_or_are_an_encoding(data: bytes):
    decodes(data)


@settings(deadline=None, max_examples=300)
@given(session_params(), st.lists(st.tuples(st.integers(0, 36), st.integers(0, 255)), max_size=3))
def test_any_garbled_encoding_is_refused_or_is_an_encoding(params: SessionParams, changes: list[tuple[int, int]]):
    garbled = bytearray(params.encode())
    for at, value in changes:
        garbled[at] = value
    decodes(bytes(garbled))


def test_a_minimum_below_what_the_threshold_needs_is_no_canonical_encoding():
    encoded = bytearray(make().encode())
    assert encoded[14] == 8
    encoded[14] = 7
    with pytest.raises(InvalidParameterError, match="min_survivors"):
        SessionParams.decode(bytes(encoded))


@pytest.mark.parametrize("adversary", AdversaryModel, ids=lambda model: model.name)
@pytest.mark.parametrize("size", [4, 5, 8, 9, 30, 31])
def test_parameters_for_a_cohort_with_corrupt_clients_are_what_their_policy_accepts(
    adversary: AdversaryModel, size: int
):
    for corrupt in range(size - 2):
        params = SessionParams.for_cohort(
            cohort_size=size, vector_length=1, modulus_bits=8, adversary=adversary, corrupt_clients=corrupt
        )
        assert params.min_survivors >= corrupt + 3
        smallest = smallest_threshold(size - 1, corrupt_clients=corrupt, adversary=adversary)
        assert params.threshold == max(default_threshold(size), smallest)
        if 2 * corrupt < size:
            known = {0: BASE_POINT} if params.active else {}
            ClientPolicy(identities=known, adversary=adversary, corrupt_clients=corrupt, min_cohort=3).check(params)
    with pytest.raises(InvalidParameterError) as caught:
        SessionParams.for_cohort(
            cohort_size=size, vector_length=1, modulus_bits=8, adversary=adversary, corrupt_clients=size - 2
        )
    assert caught.value.parameter == "corrupt_clients"
