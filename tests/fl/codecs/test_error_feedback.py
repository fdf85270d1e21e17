"""Error feedback: nothing that was left out is lost, whatever became of an upload, and its bytes are strict."""

import itertools
import math
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl.codecs.error_feedback import ErrorFeedback
from fl.codecs.low_bit import LowBit
from fl.codecs.sparsify import RandomK
from secagg.errors import InvalidInputError, InvalidParameterError, InvalidStateError
from secagg.protocol.snapshot import SnapshotRole, write_snapshot

KEY = bytes(range(32))

rounds_of_integers = st.integers(1, 5).flatmap(
    lambda length: st.lists(
        st.tuples(
            st.lists(st.integers(-(2**40), 2**40), min_size=length, max_size=length),
            st.lists(st.integers(-(2**40), 2**40), min_size=length, max_size=length),
            st.booleans(),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    )
)


@given(rounds_of_integers)
@settings(deadline=None)
def test_what_was_counted_and_what_is_left_is_all_that_was_intended(
    rounds: list[tuple[list[int], list[int], bool, bool]],
):
    """In integers, which float64 adds exactly; any encoder, any pattern of losses, a fresh process at any time."""
    length = len(rounds[0][0])
    feedback = ErrorFeedback(length)
    updates, counted = [0] * length, [0] * length
    for update, sent, counts, restarts in rounds:
        intended = feedback.add(np.array(update, np.float64))
        feedback.keep(intended, np.array(sent, np.float64))
        if restarts:
            feedback = ErrorFeedback.from_bytes(feedback.to_bytes(), length)
        if counts:
            feedback.commit()
        else:
            feedback.rollback()
        updates = [a + b for a, b in zip(updates, update, strict=True)]
        counted = [a + counts * b for a, b in zip(counted, sent, strict=True)]
        assert [a + int(b) for a, b in zip(counted, feedback.residual, strict=True)] == updates


@given(
    rounds=st.lists(
        st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.sampled_from([True, True, False])),
        min_size=1,
        max_size=30,
    )
)
@settings(deadline=None)
def test_with_real_numbers_only_two_roundings_a_round_are_lost(rounds: list[tuple[float, float, bool]]):
    feedback = ErrorFeedback(1)
    total, bound = Fraction(0), Fraction(0)
    for update, sent, counts in rounds:
        intended = feedback.add(np.array([update]))
        feedback.keep(intended, np.array([sent]))
        bound += Fraction(abs(intended[0])) / 2**53
        total += Fraction(update)
        if counts:
            bound += Fraction(abs(feedback.residual[0])) / 2**53
            total -= Fraction(sent)
            feedback.commit()
        else:
            feedback.rollback()
        assert abs(Fraction(feedback.residual[0]) - total) <= bound


def test_a_round_that_was_given_up_before_anything_was_kept_changes_nothing():
    feedback = ErrorFeedback(2)
    feedback.keep(np.array([3.0, 1.0]), np.array([1.0, 1.0]))
    feedback.commit()
    for _ in range(3):
        assert feedback.add(np.array([10.0, 10.0])).tolist() == [12.0, 10.0]
    assert feedback.residual.tolist() == [2.0, 0.0]


def test_a_lost_upload_is_sent_again_as_a_whole():
    feedback = ErrorFeedback(2)
    feedback.keep(feedback.add(np.array([3.0, 1.0])), np.array([1.0, 1.0]))
    feedback.rollback()
    assert feedback.add(np.zeros(2)).tolist() == [3.0, 1.0]


def test_with_random_k_every_coordinate_gets_through_in_time():
    length, kept, rounds = 40, 10, 60
    feedback, counted = ErrorFeedback(length), np.zeros(length)
    update = np.arange(1.0, length + 1)
    for number in range(rounds):
        chosen = RandomK(length, kept, number.to_bytes(32, "big"))
        intended = feedback.add(update)
        sent = chosen.spread(chosen.select(intended), unbiased=False)
        feedback.keep(intended, sent)
        feedback.commit()
        counted += sent
    assert np.array_equal(counted + feedback.residual, rounds * update)
    # A coordinate waits for 40 rounds with a probability of 1e-5: deterministic here, as seeds are.
    assert (counted >= (rounds - 40) * update).all()


def test_with_one_bit_the_mean_of_many_rounds_comes_close_where_a_single_round_is_far_off():
    length, rounds = 64, 200
    update = np.random.default_rng(1).normal(size=length)
    norm = float(np.linalg.norm(update))
    feedback, counted, errors = ErrorFeedback(length), np.zeros(length), []
    for number in range(rounds):
        low_bit = LowBit(length, 1, 2 * norm, 1, 1, number.to_bytes(32, "big"))
        intended = feedback.add(update)
        sent, _ = low_bit.decode(low_bit.encode(intended, 1), 1)
        feedback.keep(intended, sent)
        feedback.commit()
        counted += sent
        errors.append(float(np.linalg.norm(sent - update)))
    assert np.linalg.norm(counted / rounds - update) < 0.1 * norm < 0.5 * norm < min(errors)


def test_clipping_in_between_keeps_the_residual_bounded():
    clip, feedback = 1.0, ErrorFeedback(3)
    for _ in range(50):
        intended = feedback.add(np.array([100.0, 0.0, 0.0]))
        intended *= min(1.0, clip / float(np.linalg.norm(intended)))
        feedback.keep(intended, np.round(intended, 1))
        feedback.commit()
        assert np.linalg.norm(feedback.residual) <= 0.05 * math.sqrt(3)


def test_what_became_of_an_upload_has_to_be_said_before_the_next():
    feedback = ErrorFeedback(1)
    feedback.keep(np.ones(1), np.zeros(1))
    assert feedback.pending
    with pytest.raises(InvalidStateError, match="pending"):
        feedback.add(np.ones(1))
    with pytest.raises(InvalidStateError, match="pending"):
        feedback.keep(np.ones(1), np.zeros(1))
    feedback.commit()
    assert not feedback.pending
    for decide in (feedback.commit, feedback.rollback):
        with pytest.raises(InvalidStateError, match="no vector is pending"):
            decide()


def test_the_callers_arrays_and_ours_are_separate():
    feedback = ErrorFeedback(2)
    intended, sent = np.array([5.0, 5.0]), np.array([1.0, 1.0])
    feedback.keep(intended, sent)
    intended[:] = sent[:] = 99
    assert feedback.residual.tolist() == [4.0, 4.0]
    feedback.rollback()
    assert feedback.residual.tolist() == [5.0, 5.0]
    feedback.add(np.zeros(2))[:] = 99
    assert feedback.residual.tolist() == [5.0, 5.0]
    with pytest.raises(ValueError, match="read-only"):
        feedback.residual[0] = 1


def test_the_text_of_it_tells_no_values():
    feedback = ErrorFeedback(2)
    feedback.keep(np.array([123.5, 0.0]), np.zeros(2))
    assert repr(feedback) == "ErrorFeedback(length=2, pending=True)"


BAD_VECTORS = {
    "short": np.zeros(2),
    "matrix": np.zeros((3, 1)),
    "float32": np.zeros(3, np.float32),
    "integers": np.zeros(3, np.int64),
    "list": [0.0] * 3,
    "nan": np.array([0, np.nan, 0]),
    "inf": np.array([0, np.inf, 0]),
    "-inf": np.array([0, -np.inf, 0]),
}


@pytest.mark.parametrize("name", BAD_VECTORS)
def test_an_unusable_vector_is_refused_and_nothing_kept(name: str):
    bad: Any = BAD_VECTORS[name]
    feedback = ErrorFeedback(3)
    feedback.keep(np.array([1.0, 2.0, 3.0]), np.zeros(3))
    feedback.commit()
    with pytest.raises(InvalidInputError, match="vector"):
        feedback.add(bad)
    with pytest.raises(InvalidInputError, match="intended"):
        feedback.keep(bad, np.zeros(3))
    with pytest.raises(InvalidInputError, match="sent"):
        feedback.keep(np.zeros(3), bad)
    assert feedback.residual.tolist() == [1.0, 2.0, 3.0]
    assert not feedback.pending


def test_sums_that_overflow_are_refused_and_nothing_kept():
    feedback = ErrorFeedback(1)
    with pytest.raises(InvalidInputError, match="sent"):
        feedback.keep(np.array([1.7e308]), np.array([-1.7e308]))
    assert not feedback.pending
    feedback.keep(np.array([1.7e308]), np.zeros(1))
    feedback.rollback()
    with pytest.raises(InvalidInputError, match="vector"):
        feedback.add(np.array([1.7e308]))
    assert feedback.residual.tolist() == [1.7e308]


@pytest.mark.parametrize("length", [0, -1, 2**32 + 1, 3.0, True, None], ids=repr)
def test_another_length_is_refused(length: Any):
    with pytest.raises(InvalidParameterError, match="length"):
        ErrorFeedback(length)
    with pytest.raises(InvalidParameterError, match="length"):
        ErrorFeedback.from_bytes(ErrorFeedback(1).to_bytes(), length)


def some_states() -> dict[str, ErrorFeedback]:
    settled, pending = ErrorFeedback(3), ErrorFeedback(3)
    settled.keep(np.array([1.0, 2.0, 3.0]), np.array([0.5, -0.0, 5e-324]))
    settled.commit()
    pending.keep(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.1, 1e300]))
    return {"new": ErrorFeedback(3), "settled": settled, "pending": pending}


@pytest.mark.parametrize("name", some_states())
@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "wrapped"])
def test_a_state_comes_back_as_it_was_and_goes_on(name: str, key: bytes | None):
    state = some_states()[name]
    back = ErrorFeedback.from_bytes(state.to_bytes(key), 3, key)
    assert (back.length, back.pending) == (3, state.pending)
    assert back.residual.tobytes() == state.residual.tobytes()
    for one in (state, back):
        if one.pending:
            one.rollback()
        one.keep(one.add(np.ones(3)), np.zeros(3))
        one.commit()
    assert back.residual.tolist() == state.residual.tolist()


def test_a_wrapped_state_shows_nothing_and_needs_its_key():
    state = some_states()["pending"]
    data = state.to_bytes(KEY)
    assert np.array([1.0, 2.0, 3.0]).tobytes() in state.to_bytes()
    assert np.array([1.0, 2.0, 3.0]).tobytes() not in data
    for key in (None, bytes(32)):
        with pytest.raises(InvalidStateError):
            ErrorFeedback.from_bytes(data, 3, key)
    with pytest.raises(InvalidStateError):
        ErrorFeedback.from_bytes(state.to_bytes(), 3, KEY)
    with pytest.raises(InvalidInputError, match="wrapping_key"):
        state.to_bytes(bytes(31))


def test_any_damage_is_found():
    data = some_states()["pending"].to_bytes()
    for place, bit in itertools.product(range(len(data)), (0, 7)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << bit
        with pytest.raises(InvalidStateError):
            ErrorFeedback.from_bytes(bytes(damaged), 3)
    for length in range(len(data)):
        with pytest.raises(InvalidStateError):
            ErrorFeedback.from_bytes(data[:length], 3)
    with pytest.raises(InvalidStateError):
        ErrorFeedback.from_bytes(data + b"\0", 3)


class Content(msgspec.Struct):
    version: Any = 1
    residual: Any = None
    intended: Any = None


class Wider(Content):
    more: int = 0


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (Content(residual=np.zeros(2)), "length 3"),
        (Content(residual=np.zeros(4)), "length 3"),
        (Content(residual=np.zeros((3, 1))), "length 3"),
        (Content(residual=np.zeros(3, np.float32)), "float64"),
        (Content(residual=np.zeros(3, ">f8")), "float64"),
        (Content(residual=np.zeros(3), intended=np.zeros(2)), "length 3"),
        (Content(residual=np.array([0, 0, np.nan])), "NaN"),
        (Content(residual=np.zeros(3), intended=np.array([0, 0, np.inf])), "NaN or infinity"),
        (Content(version=2, residual=np.zeros(3)), "version 2"),
        (Content(version="1", residual=np.zeros(3)), "does not decode"),
        (Content(), "does not decode"),
        (Content(residual=b"abc"), "does not decode"),
        (Content(residual=["|O", [3], bytes(24)]), "does not decode"),
        (Content(residual=["<f8", [3], bytes(23)]), "does not decode"),
        (Wider(residual=np.zeros(3)), "does not decode"),
    ],
    ids=str,
)
def test_intact_bytes_of_anything_else_are_refused(content: Content, text: str):
    data = write_snapshot(SnapshotRole.ERROR_FEEDBACK, content, None)
    with pytest.raises(InvalidStateError, match=text):
        ErrorFeedback.from_bytes(data, 3)


@pytest.mark.parametrize("data", [b"", b"SAGS", bytes(100), "text", None, 7], ids=repr)
def test_other_bytes_are_refused(data: Any):
    with pytest.raises(InvalidStateError):
        ErrorFeedback.from_bytes(data, 3)


@pytest.mark.parametrize("role", [1, 2, 3, 4])
def test_the_snapshot_of_a_session_is_no_residual(role: int):
    with pytest.raises(InvalidStateError, match="role"):
        ErrorFeedback.from_bytes(write_snapshot(role, Content(residual=np.zeros(3)), None), 3)
