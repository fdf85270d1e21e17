"""Between dealing and delivery: the model may come later, and a server may be saved meanwhile."""

import pytest

from secagg import (
    InvalidInputError,
    InvalidStateError,
    ServerSession,
    TooFewClientsError,
    UnexpectedMessageError,
)
from tests.kit.sessions import MODEL, A, E, Live, at_stage, make_params, models


def held(adversary, silent=()):
    live = at_stage(Live(make_params(adversary)), "share_keys")
    live.collect(silent=silent)
    live.server.hold()
    return live


@models
@pytest.mark.parametrize("saved", [False, True])
def test_a_held_session_delivers_when_the_model_is_known(adversary, saved):
    live = held(adversary, silent=[E])
    assert live.server.held
    assert live.server.stage == "share_keys"
    assert live.server.can_close
    assert live.server.outbound == {}
    if saved:
        live.server = ServerSession.from_bytes(live.server.to_bytes())
        assert live.server.held
    live.close()
    assert not live.server.held
    live.check(live.run())
    assert E not in live.result.survivors


@models
def test_what_is_delivered_is_what_an_unheld_session_delivers(adversary):
    live = at_stage(Live(make_params(adversary)), "share_keys")
    unheld = ServerSession.from_bytes(live.server.to_bytes())
    for client, message in live.outbound.items():
        reply = live.answer(client, message)
        for server in (live.server, unheld):
            server.receive(client, reply)
    live.server.hold()
    assert dict(live.server.close_stage(MODEL)) == dict(unheld.close_stage(MODEL))


@models
def test_nobody_deals_any_more_and_it_is_held_once_and_there_only(adversary):
    live = at_stage(Live(make_params(adversary)), "share_keys")
    late = live.answer(E, live.outbound[E])
    live.collect(silent=[E])
    live.server.hold()
    with pytest.raises(UnexpectedMessageError):
        live.server.receive(E, late)
    assert live.server.faults == {}
    with pytest.raises(InvalidStateError):
        live.server.hold()
    with pytest.raises(InvalidInputError, match="model_digest"):
        live.server.close_stage(MODEL[1:])
    live.close()
    with pytest.raises(InvalidStateError):
        live.server.hold()
    live.check(live.run())
    with pytest.raises(InvalidStateError):
        live.server.hold()


@models
def test_a_session_that_is_too_small_is_not_held(adversary):
    live = at_stage(Live(make_params(adversary)), "share_keys")
    live.server.receive(A, live.answer(A, live.outbound[A]))
    with pytest.raises(TooFewClientsError):
        live.server.hold()
    assert not live.server.held
    live.collect(silent=[A])
    live.close()
    live.check(live.run())
