"""A delayed message of an older session is nobody's fault, whoever gets it and when."""

import pytest

from secagg import StrayMessageError, UnexpectedMessageError
from tests.kit.sessions import Live, make_params, models, stages_of


def all_messages(adversary) -> dict[str, dict[int, tuple[bytes, bytes]]]:
    """By stage and client, what the server sent in an older session and what was answered."""
    live, found = Live(make_params(adversary, n=4)), {}
    live.server._session_id = b"an older session"
    live.outbound = dict.fromkeys(live.clients, live.server.invitation)
    live.server = type(live.server)(
        live.params, tuple(live.clients), live.public_keys or None, session_id=b"an older session"
    )
    while live.result is None:
        stage, found[str(live.server.stage)] = live.server.stage, {}
        for client, message in live.outbound.items():
            reply = live.answer(client, message)
            assert reply is not None
            found[str(stage)][client] = (message, reply)
            live.server.receive(client, reply)
        live.close()
    return found


@models
def test_a_delayed_message_names_nobody_and_changes_nothing(adversary):
    older = all_messages(adversary)
    live = Live(make_params(adversary, n=4))
    while live.result is None:
        for stage in stages_of(adversary):
            for client, (sent, answered) in older[stage].items():
                with pytest.raises(StrayMessageError) as stray:
                    live.server.receive(client, answered)
                assert stray.value.sender == client
                if live.clients[client].session_id is not None:
                    with pytest.raises(StrayMessageError):
                        live.answer(client, sent)
        assert not live.server.faults
        assert not live.server.received
        live.collect()
        live.close()
    live.check(live.result)
    assert not live.result.culprits


@models
def test_a_repeated_message_of_an_earlier_stage_names_nobody(adversary):
    live, earlier = Live(make_params(adversary, n=4)), []
    while live.result is None:
        replies = {client: live.answer(client, message) for client, message in live.outbound.items()}
        for client, reply in replies.items():
            assert reply is not None
            live.server.receive(client, reply)
            earlier.append((client, reply))
        for client, reply in earlier:
            with pytest.raises(UnexpectedMessageError):
                live.server.receive(client, reply)
        assert not live.server.faults
        live.close()
    live.check(live.result)
