"""The server's session: when it closes, whom it hears, what it is made of."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from secagg import (
    AdversaryModel,
    InvalidInputError,
    InvalidParameterError,
    ServerSession,
    StateSpentError,
    TooFewClientsError,
    UnexpectedMessageError,
)
from tests.kit.sessions import (
    CURIOUS,
    IDS,
    A,
    B,
    C,
    D,
    E,
    Live,
    at_stage,
    make_params,
    models,
    stages_of,
)


@models
def test_too_few_answers_leave_the_round_open_and_a_late_one_still_makes_it(adversary: AdversaryModel):
    live = Live(make_params(adversary, n=6))
    for stage in stages_of(adversary):
        assert live.server.stage == stage
        present = list(live.outbound)
        late = present[0]
        # Four are needed to the end; three answer in time.
        live.collect(silent=[late, *present[4:]])
        assert not live.server.can_close
        with pytest.raises(TooFewClientsError) as caught:
            live.close()
        assert caught.value.stage == stage
        assert caught.value.remaining < caught.value.needed
        assert live.server.stage == stage
        live.server.receive(late, live.answer(late, live.outbound[late]))
        assert live.server.can_close
        live.close()
    live.check(live.result)
    assert len(live.result.survivors) == 4


@models
def test_a_second_message_and_a_stranger_are_refused_and_nobody_is_at_fault(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    while live.result is None:
        reply = live.answer(A, live.outbound[A])
        live.server.receive(A, reply)
        for sender in (A, 12345):
            with pytest.raises(UnexpectedMessageError):
                live.server.receive(sender, reply)
        live.collect(silent=[A])
        live.close()
    live.check(live.result)
    assert not live.result.culprits


@pytest.mark.parametrize("sender", [-1, 2**64, 1.0, "1", True])
def test_a_sender_is_a_client_id(sender: object):
    with pytest.raises(InvalidParameterError, match="sender"):
        Live(make_params()).server.receive(sender, b"")


def test_a_message_of_another_round_is_refused_and_the_right_one_still_counts():
    live = Live(make_params())
    first = {client: live.answer(client, message) for client, message in live.outbound.items()}
    for client, reply in first.items():
        live.server.receive(client, reply)
    live.close()
    with pytest.raises(UnexpectedMessageError) as caught:
        live.server.receive(A, first[A])
    assert (caught.value.received, caught.value.expected) == ("AdvertiseKeys", "ShareKeys")
    live.check(live.run())


def test_a_server_session_checks_what_it_is_given():
    params = make_params()
    keys = Live(params).public_keys
    for clients in (IDS[:4], IDS[:6], (A, A, B, C, D), (A, B, C, D, -1), (A, B, C, D, 2**64), (A, B, C, D, "e")):
        with pytest.raises((InvalidInputError, InvalidParameterError), match="clients"):
            ServerSession(params, clients, keys)
    for identities in (None, {}, keys | {A: keys[B]}, keys | {A: b"short"}, {A: keys[A]}):
        with pytest.raises(InvalidInputError, match="identities"):
            ServerSession(params, IDS[:5], identities)
    for session_id in (b"", bytes(15), bytes(17), bytearray(16), "0123456789abcdef"):
        with pytest.raises(InvalidInputError, match="session_id"):
            ServerSession(params, IDS[:5], keys, session_id=session_id)
    with pytest.raises(InvalidParameterError, match="identities"):
        ServerSession(make_params(CURIOUS), IDS[:5], keys)


def test_a_wrong_model_digest_leaves_the_round_open():
    live = at_stage(Live(make_params()), "share_keys")
    live.collect()
    for digest in (b"", bytes(31), None, bytearray(32)):
        with pytest.raises(InvalidInputError, match="model_digest"):
            live.server.close_stage(digest)
    live.close()
    live.check(live.run())


@models
def test_after_the_result_nothing_is_taken(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    last = {}
    live.run(between=lambda: last.update(live.outbound))
    with pytest.raises(StateSpentError):
        live.server.close_stage()
    with pytest.raises(StateSpentError):
        live.server.receive(A, live.clients[A].receive(last[A]))


def test_outbound_holds_one_message_for_each_client_that_is_left():
    live = Live(make_params())
    live.collect([E])
    live.close()
    assert set(live.server.outbound) == {A, B, C, D}
    assert len(live.server.outbound) == 4
    with pytest.raises(KeyError):
        live.server.outbound[E]
    assert E not in live.server.outbound
    live.check(live.run())


def test_session_ids_are_drawn_afresh():
    params = make_params(CURIOUS)
    invitations = {ServerSession(params, IDS[:5]).invitation for _ in range(5)}
    assert len(invitations) == 5


def test_a_server_whose_executor_fails_can_close_again():
    live = at_stage(Live(make_params(vector_length=10)), "unmask")
    live.collect()
    broken = ThreadPoolExecutor(1)
    broken.shutdown()
    live.server._executor = broken
    with pytest.raises(RuntimeError):
        live.close()
    live.server._executor = None
    live.close()
    live.check(live.result)


def test_the_former_name_of_closing_a_stage_does_the_same():
    live = Live(make_params(CURIOUS))
    live.collect()
    outbound = live.server.close_round()
    assert live.server.stage == "share_keys"
    assert outbound == live.server.outbound
