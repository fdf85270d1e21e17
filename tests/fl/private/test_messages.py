"""fl.private.messages: one form for each message, and nothing else is read."""

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl.private.messages import (
    Joined,
    Offer,
    RoundMessage,
    Step,
    Task,
    decode_joined,
    decode_round_message,
    encode_round_message,
    is_round_message,
)
from secagg.errors import SERVER, MalformedMessageError

OFFER = Offer(bytes(range(32)), 7, b"an invitation")
TASK = Task(0.1, (b"header\n", b"reserve\n"), b"a delivery")
JOINED = Joined(bytes(range(32)), b"an advertisement")
STEP = Step((b"reserve\n",), b"a message")

MESSAGES: st.SearchStrategy[RoundMessage] = st.one_of(
    st.builds(
        Offer,
        plan_digest=st.binary(max_size=40),
        round_number=st.integers(-(2**63), 2**64 - 1),
        session=st.binary(max_size=40),
    ),
    st.builds(
        Task,
        clip=st.floats(),
        ledger=st.lists(st.binary(max_size=20), max_size=4).map(tuple),
        session=st.binary(max_size=40),
    ),
    st.builds(Step, ledger=st.lists(st.binary(max_size=20), max_size=4).map(tuple), session=st.binary(max_size=40)),
)


@settings(deadline=None)
@given(MESSAGES)
def test_a_message_comes_back_as_it_was(message: RoundMessage):
    data = encode_round_message(message)
    again = decode_round_message(data)
    assert type(again) is type(message)
    assert encode_round_message(again) == data
    if not isinstance(message, Task) or not math.isnan(message.clip):
        assert again == message


def refused(data: object) -> MalformedMessageError:
    with pytest.raises(MalformedMessageError) as raised:
        decode_round_message(data)  # type: ignore[arg-type]
    assert raised.value.culprit is SERVER
    return raised.value


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=60), magic=st.booleans())
def test_any_bytes_are_a_message_or_the_one_error(data: bytes, magic: bool):
    data = b"flPR\x02" + data if magic else data
    try:
        message = decode_round_message(data)
    except MalformedMessageError:
        return
    assert encode_round_message(message) == data


@pytest.mark.parametrize("message", [OFFER, TASK, STEP], ids=["offer", "task", "step"])
def test_any_byte_changed_is_refused_or_another_message(message: RoundMessage):
    data = encode_round_message(message)
    for place in range(len(data)):
        for change in (1, 0x80, 0xFF):
            changed = data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]
            try:
                assert decode_round_message(changed) != message
            except MalformedMessageError:
                continue


def test_what_is_no_message_of_this_version_is_refused():
    data = encode_round_message(STEP)
    for foreign in (b"", b"flPR\x01" + data[5:], data[1:]):
        assert "of another version" in refused(foreign).reason


@pytest.mark.parametrize(
    "body",
    [
        ["offer", b"", 1, b"", b"one too many"],
        ["task", 0.5, [], b"", b"one too many"],
        ["step", [], b"", b"one too many"],
        ["step", []],
        ["step", b"lines", b""],
        ["step", [1], b""],
        ["step", ["text"], b""],
        ["offer", b"", 1.0, b""],
        ["offer", b"", True, b""],
        ["task", "0.5", [], b""],
        ["joined", b"", b""],
        ["stop", [], b""],
        {"ledger": [], "session": b""},
        None,
    ],
    ids=str,
)
def test_fields_that_are_missing_surplus_or_of_another_type_are_refused(body: object):
    refused(b"flPR\x02" + msgspec.msgpack.encode(body))


def test_a_longer_form_of_the_same_values_is_refused():
    # An int in the place of the clip norm; a length in more bytes than it takes; something after the end.
    assert "canonical" in refused(b"flPR\x02" + msgspec.msgpack.encode(["task", 1, [], b""])).reason
    data = encode_round_message(Step((), b"abc"))
    assert data.endswith(b"\xc4\x03abc")
    assert "canonical" in refused(data[:-5] + b"\xc5\x00\x03abc").reason
    refused(data + b"\x00")


def test_brackets_without_end_are_refused():
    refused(b"flPR\x02" + b"\x91" * 100_000)


def test_a_ledger_of_too_many_lines_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fl.private.messages._MAX_LINES", 3)
    decode_round_message(encode_round_message(Step((b"",) * 3, b"")))
    refused(encode_round_message(Step((b"",) * 4, b"")))
    refused(encode_round_message(Task(1.0, (b"",) * 4, b"")))


def test_any_view_of_the_bytes_is_read_and_nothing_else():
    data = encode_round_message(TASK)
    for view in (bytearray(data), memoryview(data)):
        assert decode_round_message(view) == TASK
        assert is_round_message(view)
    released = memoryview(data)
    released.release()
    for odd in (None, "flPR\x02", 5, released):
        refused(odd)
    for other in (b"", b"SAGG", None, "flPR\x02"):
        assert not is_round_message(other)


# ---------------------------------------------------------------------------------------------------- Joined
def test_a_clients_answer_comes_back_and_no_other_form_of_it_is_read():
    for joined in (JOINED, Joined(b"", b"")):
        assert decode_joined(encode_round_message(joined), 7) == joined
    good = encode_round_message(JOINED)
    for lie in (
        good[:-1],
        good + b"\x00",
        encode_round_message(Joined(b"short", b"")),
        encode_round_message(STEP),
        b"SAGG",
        None,
    ):
        with pytest.raises(MalformedMessageError) as raised:
            decode_joined(lie, 7)
        assert raised.value.culprit == 7
    # Nor is it one of the server's.
    refused(good)
