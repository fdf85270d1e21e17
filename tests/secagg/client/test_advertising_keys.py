"""Stage 0 on the client. What it refuses of an offer is `tests/secagg/test_policy.py`'s and the adversary tests'."""

import pytest

from secagg import ClientSession, Identity, InvalidInputError, InvalidParameterError, PolicyViolationError
from secagg.client.states import AdvertisingKeys, SharingKeys
from secagg.primitives.agreement import KeyPair
from secagg.primitives.signing import verify
from secagg.protocol.transcript import advertisement_digest, session_context
from tests.kit.sessions import ACTIVE, CURIOUS, A, Live, make_params, models

SESSION = bytes(range(16))


def state(live: Live, **changes: object) -> AdvertisingKeys:
    usual = {
        "params": live.params,
        "session_id": SESSION,
        "client": A,
        "policy": live.policy,
        "identity": live.identities.get(A),
    }
    return AdvertisingKeys(**(usual | changes))


@models
def test_two_fresh_keys_are_advertised_and_signed_against_a_lying_server(adversary):
    live = Live(make_params(adversary))
    following, message = state(live)._advertise_keys(bytes(range(64)))
    assert type(following) is SharingKeys
    assert message.seal_key == KeyPair(bytes(range(32))).public
    assert message.mask_key == KeyPair(bytes(range(32, 64))).public
    if adversary is ACTIVE:
        context = session_context(live.params, SESSION)
        digest = advertisement_digest(
            live.params.suite, context, client=A, seal_key=message.seal_key, mask_key=message.mask_key
        )
        verify(live.public_keys[A], digest=digest, signature=message.signature, signer=A, what="the keys")
    else:
        assert message.signature == b""


@models
def test_no_two_sessions_have_a_key_in_common(adversary):
    live = Live(make_params(adversary))
    sent = [state(live).advertise_keys()[1] for _ in range(4)]
    assert len({key for message in sent for key in (message.seal_key, message.mask_key)}) == 8


def test_what_the_caller_gives_is_checked_before_the_offer():
    live = Live(make_params())
    for changes, error in (
        ({"client": -1}, InvalidParameterError),
        ({"session_id": bytes(15)}, InvalidInputError),
        ({"session_id": bytearray(16)}, InvalidInputError),
        ({"identity": None}, InvalidInputError),
        ({"identity": Identity.generate()}, InvalidInputError),
        ({"params": make_params(CURIOUS)}, PolicyViolationError),
    ):
        with pytest.raises(error):
            state(live, **changes)


def test_the_session_makes_this_state_of_the_invitation():
    live = Live(make_params())
    session = ClientSession(A, live.policy, live.identities[A])
    session.receive(live.server.invitation)
    assert type(session._state) is SharingKeys
