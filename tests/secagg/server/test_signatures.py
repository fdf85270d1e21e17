"""Stage 3 on the server (ACTIVE): signatures over the one survivor set, passed on in roster order."""

import pytest

from secagg import AuthenticationError, TooFewClientsError
from secagg.protocol.messages import ConsistencySignature
from secagg.protocol.wire import decode
from tests.kit.sessions import A, B, E, Live, at_stage, given, make_params


def test_signatures_are_asked_to_be_answered_in_roster_order():
    live = at_stage(Live(make_params()), "consistency")
    signed = {}
    for client in sorted(live.clients, reverse=True):
        if client == E:
            continue
        reply = live.answer(client, live.outbound[client])
        signed[client] = decode(reply, client, live.params, session_id=live.server.session_id).signature
        live.server.receive(client, reply)
    live.close()
    ids = sorted(live.clients)
    assert given(live).signers == bytes([0x1F ^ (1 << ids.index(E))])
    assert given(live).signatures == b"".join(signed[client] for client in ids if client != E)
    assert E not in live.outbound


def test_a_signature_that_does_not_verify_is_refused_and_its_sender_is_named():
    live = at_stage(Live(make_params()), "consistency")
    stage = live.server._current
    others = decode(live.answer(B, live.outbound[B]), B, live.params, session_id=live.server.session_id)
    for wrong in (ConsistencySignature(bytes(64)), others):
        with pytest.raises(AuthenticationError) as caught:
            stage.receive(A, wrong)
        assert caught.value.culprit == A
    assert not stage.received
    assert stage.faults[A].error == "AuthenticationError"


def test_it_closes_with_a_majority():
    live = at_stage(Live(make_params()), "consistency")
    live.collect(silent=list(live.clients)[live.params.min_signatures - 1 :])
    with pytest.raises(TooFewClientsError) as caught:
        live.close()
    assert caught.value.needed == live.params.min_signatures
