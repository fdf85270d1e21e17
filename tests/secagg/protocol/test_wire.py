"""The header and the envelope of a message. Any bytes at all are `tests/fuzz/test_decoding.py`'s."""

import msgspec
import pytest

from secagg.errors import SERVER, InvalidInputError, MalformedMessageError, StrayMessageError
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
from secagg.protocol.wire import decode, decode_invitation, encode, immutable, invitation_received, received
from tests.kit.sessions import make_params

SESSION = bytes(range(16))
PARAMS = make_params()
KEYS = AdvertiseKeys(b"s" * 32, b"m" * 32, b"x" * 64)


def test_a_message_is_a_header_and_an_array_with_its_type():
    data = encode(KEYS, Suite.CHACHA20, SESSION)
    assert data[:HEADER_BYTES] == b"SAGG" + bytes([2, Suite.CHACHA20, 2]) + SESSION
    assert msgspec.msgpack.decode(data[HEADER_BYTES:]) == [2, KEYS.seal_key, KEYS.mask_key, KEYS.signature]
    assert decode(data, 7, PARAMS, session_id=SESSION) == KEYS


@pytest.mark.parametrize(
    ("place", "reason"),
    [(0, "version"), (4, "version"), (5, "suite"), (6, "type")],
)
def test_every_part_of_the_header_counts(place: int, reason: str):
    data = bytearray(encode(KEYS, Suite.CHACHA20, SESSION))
    data[place] ^= 0x40
    with pytest.raises(MalformedMessageError, match=reason) as caught:
        decode(bytes(data), 7, PARAMS, session_id=SESSION)
    assert caught.value.culprit == 7


@pytest.mark.parametrize("place", [7, 22])
def test_another_session_is_stray_whatever_else_the_header_says(place: int):
    data = bytearray(encode(KEYS, Suite.CHACHA20, SESSION))
    data[place] ^= 1
    for suite in (Suite.CHACHA20, Suite.AES_128_CTR, 77):
        data[5] = suite
        with pytest.raises(StrayMessageError, match="another session") as caught:
            decode(bytes(data), 7, PARAMS, session_id=SESSION)
        assert caught.value.sender == 7
        with pytest.raises(StrayMessageError):
            received(bytes(data) + bytes(10**6), 7, PARAMS, session_id=SESSION)


def test_a_view_of_any_form_is_received_and_a_released_one_refused():
    data = encode(KEYS, Suite.CHACHA20, SESSION) + b"x"
    good = decode(data[:-1], 7, PARAMS, session_id=SESSION)
    words = memoryview(bytearray(data[:-1] + bytes(-len(data[:-1]) % 4))).cast("I")
    assert received(words, 7, PARAMS, session_id=SESSION)[: len(data) - 1] == data[:-1]
    twice = bytearray(2 * (len(data) - 1))
    twice[::2] = data[:-1]
    strided = received(memoryview(twice)[::2], 7, PARAMS, session_id=SESSION)
    assert decode(strided, 7, PARAMS, session_id=SESSION) == good
    gone = memoryview(data)
    gone.release()
    for wrong in (gone, None, 5, "text", [1]):
        for call in (
            lambda wrong=wrong: received(wrong, 7, PARAMS, session_id=SESSION),
            lambda wrong=wrong: invitation_received(wrong),
            lambda wrong=wrong: immutable(wrong, 10, 7),
        ):
            with pytest.raises(InvalidInputError, match="data"):
                call()


def test_before_there_is_a_session_only_an_invitation_is_taken():
    invitation = encode(Invitation(PARAMS.encode()), PARAMS.suite, SESSION)
    assert invitation_received(bytearray(invitation)) == invitation
    with pytest.raises(StrayMessageError, match="an AdvertiseKeys|a AdvertiseKeys"):
        invitation_received(encode(KEYS, Suite.CHACHA20, SESSION))
    for garbage in (b"", b"SAGG", bytes(100), invitation[:6] + b"\x63" + invitation[7:] + bytes(2000)):
        with pytest.raises(MalformedMessageError):
            invitation_received(garbage)


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
