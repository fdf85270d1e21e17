"""secagg.pipeline.bundle: what travels has one form, and anything else is refused by name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import SERVER, InvalidInputError, MalformedMessageError
from secagg.pipeline import MOST_PARTS, Part, decode_bundle, encode_bundle

parts_lists = st.lists(
    st.builds(Part, st.binary(min_size=16, max_size=16), st.binary(max_size=50)),
    max_size=MOST_PARTS,
    unique_by=lambda part: part.session_id,
)
clients = st.none() | st.integers(0, 2**64 - 1)


def party(client):
    return SERVER if client is None else client


@given(parts_lists, clients)
@settings(deadline=None, max_examples=200)
def test_what_was_encoded_comes_back(parts, client):
    data = encode_bundle(parts, client)
    claimed, read = decode_bundle(data, party(client))
    assert claimed == (client or 0)
    assert [(sid, bytes(message)) for sid, message in read] == parts
    assert encode_bundle(read, client) == data
    assert [bytes(part.message) for part in decode_bundle(bytearray(data), party(client))[1]] == [
        p.message for p in parts
    ]


@given(parts_lists, clients, st.data())
@settings(deadline=None, max_examples=400)
def test_any_other_bytes_are_refused_or_are_another_bundle(parts, client, data):
    good = encode_bundle(parts, client)
    at = data.draw(st.integers(0, len(good) - 1))
    changed = data.draw(
        st.sampled_from(
            [good[:at], good + b"x", good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]]
        )
    )
    named = None
    try:
        claimed, read = decode_bundle(changed, party(client))
    except MalformedMessageError as error:
        named = error.culprit
    if named is None:
        assert encode_bundle(read, None if client is None else claimed) == changed
    else:
        assert named == party(client)


def test_two_messages_of_one_session_and_too_many_are_refused():
    part = Part(bytes(16), b"m")
    with pytest.raises(MalformedMessageError, match="two messages"):
        decode_bundle(encode_bundle([part, part]), SERVER)
    many = [Part(bytes([at]) * 16, b"") for at in range(MOST_PARTS + 1)]
    with pytest.raises(MalformedMessageError, match="too many"):
        decode_bundle(encode_bundle(many), SERVER)


def test_a_bundle_of_the_other_role_is_refused():
    with pytest.raises(MalformedMessageError, match="another role"):
        decode_bundle(encode_bundle([]), 5)
    with pytest.raises(MalformedMessageError, match="another role"):
        decode_bundle(encode_bundle([], 5), SERVER)


def test_what_is_no_bytes_is_refused():
    released = memoryview(b"abc")
    released.release()
    for wrong in (None, "text", [1], released):
        with pytest.raises(InvalidInputError, match="data"):
            decode_bundle(wrong, SERVER)
