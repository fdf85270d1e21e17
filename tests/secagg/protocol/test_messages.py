"""Each message has one number, shows nothing of itself, and knows how long its fields are."""

import msgspec
import pytest

from secagg.errors import SERVER, MalformedMessageError
from secagg.protocol import messages
from secagg.protocol.messages import SHARE_RECORD_BYTES, Abort, AbortCode, KeyRoster, Message, ShareKeys, SurvivorSet
from tests.kit.sessions import ACTIVE, CURIOUS, A, Live, given, make_params, models

TYPES = [one for one in vars(messages).values() if isinstance(one, type) and issubclass(one, Message)]
TYPES.remove(Message)


def test_numbers_are_those_of_the_page():
    assert {one.kind: one.__name__ for one in TYPES} == {
        1: "Invitation",
        2: "AdvertiseKeys",
        3: "KeyRoster",
        4: "ShareKeys",
        5: "ShareDelivery",
        6: "MaskedInput",
        7: "SurvivorSet",
        8: "ConsistencySignature",
        9: "UnmaskingRequest",
        10: "UnmaskingShares",
        11: "Abort",
    }
    for one in TYPES:
        assert one.__struct_config__.tag == one.kind
        assert one.__struct_config__.frozen
        assert one.__struct_config__.forbid_unknown_fields


@models
def test_every_message_of_a_session_fits_its_lengths_and_its_limit(adversary):
    live = Live(make_params(adversary))
    seen = 0

    def look() -> None:
        nonlocal seen
        if live.server.stage != "advertise_keys":
            message = given(live)
            message.require_lengths(SERVER, live.params, 5)
            assert len(msgspec.msgpack.encode(message)) <= type(message).limit(live.params)
            assert repr(message) == f"<{type(message).__name__}>"
            seen += 1

    live.check(live.run(between=look))
    assert seen == (4 if adversary is ACTIVE else 3)


@pytest.mark.parametrize(
    "message",
    [
        ShareKeys(bytes(3 * SHARE_RECORD_BYTES), bytes(32)),
        ShareKeys(bytes(4 * SHARE_RECORD_BYTES), bytes(31)),
        KeyRoster(b"", 5),
        KeyRoster(bytes(77), 5),
        SurvivorSet(b"\xff", 5),
        SurvivorSet(b"", 5),
    ],
)
def test_a_wrong_length_names_the_message_and_who_sent_it(message: Message):
    for culprit in (A, SERVER):
        with pytest.raises(MalformedMessageError, match=type(message).__name__) as caught:
            message.require_lengths(culprit, make_params(CURIOUS), 5)
        assert caught.value.culprit == culprit


def test_codes_of_an_abort_are_those_of_the_page():
    assert {code.value: code.name for code in AbortCode} == {
        1: "LEAVING",
        2: "POLICY",
        3: "PROTOCOL",
        4: "TOO_FEW_CLIENTS",
    }
    assert Abort(AbortCode.POLICY).code is AbortCode.POLICY
