"""The header and the envelope of a message. Any bytes at all are `tests/fuzz/test_decoding.py`'s."""

import msgspec
import pytest

from secagg.errors import SERVER, InvalidInputError, MalformedMessageError
from secagg.primitives.prg import Suite
from secagg.protocol.messages import (
    HEADER_BYTES,
    INVITATION_BYTES,
    Abort,
    AbortCode,
    AdvertiseKeys,
    Invitation,
    SurvivorSet,
    largest_message_bytes,
)
from secagg.protocol.wire import decode, decode_invitation, encode, immutable
from tests.kit.sessions import make_params

SESSION = bytes(range(16))
PARAMS = make_params()
KEYS = AdvertiseKeys(b"s" * 32, b"m" * 32, b"x" * 64)


def test_a_message_is_a_header_and_an_array_with_its_type():
    data = encode(KEYS, Suite.CHACHA20, SESSION)
    assert data[:HEADER_BYTES] == b"SAGG" + bytes([1, Suite.CHACHA20, 2]) + SESSION
    assert msgspec.msgpack.decode(data[HEADER_BYTES:]) == [2, KEYS.seal_key, KEYS.mask_key, KEYS.signature]
    assert decode(data, 7, PARAMS, session_id=SESSION) == KEYS


@pytest.mark.parametrize(
    ("place", "reason"),
    [(0, "version"), (4, "version"), (5, "suite"), (6, "type"), (7, "another session")],
)
def test_every_part_of_the_header_counts(place: int, reason: str):
    data = bytearray(encode(KEYS, Suite.CHACHA20, SESSION))
    data[place] ^= 0x40
    with pytest.raises(MalformedMessageError, match=reason) as caught:
        decode(bytes(data), 7, PARAMS, session_id=SESSION)
    assert caught.value.culprit == 7


def test_the_body_must_be_of_the_headers_type_and_end():
    data = encode(Abort(AbortCode.LEAVING), Suite.CHACHA20, SESSION)
    other = encode(SurvivorSet(b"", 5), Suite.CHACHA20, SESSION)
    for wrong in (data[:HEADER_BYTES] + other[HEADER_BYTES:], data + b"x", data[:-1], data[:HEADER_BYTES], b"SAGG"):
        with pytest.raises(MalformedMessageError):
            decode(wrong, SERVER, PARAMS, session_id=SESSION)


def test_an_invitation_gives_parameters_and_session():
    data = encode(Invitation(PARAMS.encode()), PARAMS.suite, SESSION)
    assert decode_invitation(data) == (PARAMS, SESSION)
    assert len(data) <= INVITATION_BYTES
    for wrong in (
        encode(KEYS, PARAMS.suite, SESSION),
        encode(Invitation(PARAMS.encode()), Suite.AES_128_CTR, SESSION),
        encode(Invitation(PARAMS.encode() + b"x"), PARAMS.suite, SESSION),
        encode(Invitation(bytes(INVITATION_BYTES)), PARAMS.suite, SESSION),
    ):
        with pytest.raises(MalformedMessageError) as caught:
            decode_invitation(wrong)
        assert caught.value.culprit is SERVER


def test_what_is_received_is_made_unchangeable_and_a_flood_is_not_copied():
    data = b"a message"
    assert immutable(data, 9, 7) is data
    for form in (bytearray, memoryview):
        assert immutable(form(data), 9, 7) == data
        assert type(immutable(form(data), 9, 7)) is bytes
    with pytest.raises(MalformedMessageError, match="more than the 8 bytes"):
        immutable(data, 8, 7)
    for wrong in (None, "text", [1], 5):
        with pytest.raises(InvalidInputError, match="data"):
            immutable(wrong, 9, 7)


def test_the_largest_message_grows_with_the_vector_and_with_the_neighbours():
    usual = largest_message_bytes(PARAMS)
    assert largest_message_bytes(make_params(n=8)) > usual
    assert largest_message_bytes(make_params(vector_length=10**6)) > 10**6
