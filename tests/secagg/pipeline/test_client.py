"""secagg.pipeline.client: one vector a round and rounds that only grow, whatever the server opens."""

import copy
import pickle

import numpy as np
import pytest

from secagg import (
    InvalidInputError,
    InvalidStateError,
    PolicyViolationError,
    ServerSession,
    StateSpentError,
    StrayMessageError,
)
from secagg.pipeline import MOST_OPEN, ClientSessions, Part, decode_bundle, encode_bundle
from secagg.protocol.messages import MaskedInput
from secagg.protocol.wire import decode
from tests.kit.pipelines import Rounds, digest_of
from tests.kit.sessions import ACTIVE, CURIOUS, models


def bundle(*sessions: ServerSession, client: int | None = None) -> bytes:
    """What each of these sessions has to say to a client."""
    parts = [
        Part(session.session_id, session.invitation if client is None else session.outbound[client])
        for session in sessions
    ]
    return encode_bundle(parts)


def delivered(rounds: Rounds, *numbers: int) -> list[ServerSession]:
    """Sessions, by their rounds, that everybody has joined and dealt in, and whose deliveries lie in `outbound`."""
    sessions = [rounds.session(number, rounds.ids) for number in numbers]
    for session in sessions:
        for client, store in rounds.clients.items():
            (reply,) = decode_bundle(store.receive(bundle(session)).to_bytes(), client)[1]
            session.receive(client, reply.message)
        session.close_stage()
        for client, store in rounds.clients.items():
            (reply,) = decode_bundle(store.receive(bundle(session, client=client)).to_bytes(), client)[1]
            session.receive(client, reply.message)
        session.close_stage(digest_of(session.params.round_number))
    return sessions


def masked(rounds: Rounds, client: int, session: ServerSession) -> list[bytes]:
    """Trains a client for one session, and returns what it sends."""
    answer = rounds.clients[client].receive(bundle(session, client=client))
    if answer.session is not None:
        number = session.params.round_number
        answer.train(rounds.vector(client, number), digest_of(number))
    return [bytes(part.message) for part in decode_bundle(answer.to_bytes(), client)[1]]


# ------------------------------------------------------------------------------------------------ What a liar may try
@models
def test_a_second_session_of_a_round_gets_no_second_vector(adversary):
    rounds = Rounds(adversary)
    first, second = delivered(rounds, 1, 1)
    client = rounds.ids[0]
    (sent,) = masked(rounds, client, first)
    assert isinstance(decode(sent, client, first.params, session_id=first.session_id), MaskedInput)
    # Its keys of the second are gone since.
    answer = rounds.clients[client].receive(bundle(second, client=client))
    assert answer.session is None
    assert isinstance(answer.refused[second.session_id], StrayMessageError)
    assert decode_bundle(answer.to_bytes(), client)[1] == ()


@models
def test_neither_this_round_nor_an_earlier_one_is_opened_again(adversary):
    rounds = Rounds(adversary)
    (session,) = delivered(rounds, 5)
    client = rounds.ids[0]
    masked(rounds, client, session)
    for number in (5, 4, 1):
        other = rounds.session(number, rounds.ids)
        answer = rounds.clients[client].receive(bundle(other))
        refusal = answer.refused[other.session_id]
        assert isinstance(refusal, PolicyViolationError)
        assert (refusal.rule, refusal.offered, refusal.accepted) == (
            "round_number",
            number,
            "above 5, the last one that was masked",
        )
    assert rounds.clients[client].last_round == 5


@models
def test_older_sessions_lose_their_secrets_when_a_newer_round_is_masked(adversary):
    rounds = Rounds(adversary)
    first, second = delivered(rounds, 1, 2)
    client = rounds.ids[0]
    (sent,) = masked(rounds, client, second)
    assert len(sent) > 0
    assert [held.session_id for held in rounds.clients[client].sessions] == [second.session_id]
    assert masked(rounds, client, first) == []


@models
def test_one_bundle_trains_one_session(adversary):
    rounds = Rounds(adversary)
    first, second = delivered(rounds, 1, 2)
    client = rounds.ids[0]
    answer = rounds.clients[client].receive(bundle(first, second, client=client))
    assert answer.session.session_id == first.session_id
    assert isinstance(answer.refused[second.session_id], PolicyViolationError)
    answer.train(rounds.vector(client, 1), digest_of(1))
    with pytest.raises(InvalidStateError):
        answer.train(rounds.vector(client, 2), digest_of(2))


def test_a_bundle_that_names_another_session_than_its_message_begins_none():
    rounds = Rounds(CURIOUS)
    session, client = rounds.session(1, rounds.ids), rounds.ids[0]
    answer = rounds.clients[client].receive(encode_bundle([Part(bytes(16), session.invitation)]))
    assert "another session" in str(answer.refused[bytes(16)])
    assert rounds.clients[client].sessions == ()


def test_what_the_policy_refuses_is_refused_and_the_server_is_told():
    rounds = Rounds(CURIOUS)
    client = rounds.ids[0]
    bad, good = Rounds(CURIOUS, cohort=3).session(1, rounds.ids[:3]), rounds.session(1, rounds.ids)
    answer = rounds.clients[client].receive(bundle(bad, good))
    assert isinstance(answer.refused[bad.session_id], PolicyViolationError)
    parts = dict(decode_bundle(answer.to_bytes(), client)[1])
    bad.receive(client, parts[bad.session_id])
    good.receive(client, parts[good.session_id])
    assert list(bad.aborted) == [client]
    assert client in good.received


@models
def test_invitations_without_end_cost_the_oldest_idle_session_and_never_the_one_that_masked(adversary):
    rounds = Rounds(adversary)
    (session,) = delivered(rounds, 1)
    client = rounds.ids[0]
    masked(rounds, client, session)
    offered = [rounds.session(2, rounds.ids) for _ in range(3 * MOST_OPEN)]
    for other in offered:
        rounds.clients[client].receive(bundle(other))
    held = [joined.session_id for joined in rounds.clients[client].sessions]
    assert held == [session.session_id, *(other.session_id for other in offered[-(MOST_OPEN - 1) :])]


def test_a_late_message_of_a_session_that_is_over_begins_nothing():
    rounds = Rounds(CURIOUS)
    client = rounds.ids[0]
    session = rounds.session(1, rounds.ids)
    rounds.clients[client].receive(bundle(session))
    rounds.clients[client].leave()
    answer = rounds.clients[client].receive(bundle(session))
    assert isinstance(answer.refused[session.session_id], StrayMessageError)
    assert rounds.clients[client].sessions == ()


# ------------------------------------------------------------------------------------------------ What may go wrong
@models
def test_training_comes_last_and_its_failure_costs_no_other_answer(adversary):
    rounds = Rounds(adversary)
    (session,) = delivered(rounds, 1)
    following, client = rounds.session(2, rounds.ids), rounds.ids[0]
    parts = [
        Part(session.session_id, session.outbound[client]),
        Part(following.session_id, following.invitation),
    ]
    answer = rounds.clients[client].receive(encode_bundle(parts))
    with pytest.raises(InvalidStateError, match="waits for the vector"):
        answer.to_bytes()
    with pytest.raises(InvalidInputError, match="vector"):
        answer.train(np.full(6, -1), digest_of(1))
    answer.leave()
    replies = dict(decode_bundle(answer.to_bytes(), client)[1])
    session.receive(client, replies[session.session_id])
    following.receive(client, replies[following.session_id])
    assert list(session.aborted) == [client]
    assert client in following.received


@models
def test_an_unusable_vector_may_be_mended(adversary):
    rounds = Rounds(adversary)
    (session,) = delivered(rounds, 1)
    client = rounds.ids[0]
    answer = rounds.clients[client].receive(bundle(session, client=client))
    for wrong in (None, np.zeros(5, np.int64), np.full(6, 0.5)):
        with pytest.raises(InvalidInputError, match="vector"):
            answer.train(wrong, digest_of(1))
    answer.train(rounds.vector(client, 1), digest_of(1))
    (part,) = decode_bundle(answer.to_bytes(), client)[1]
    session.receive(client, part.message)
    assert client in session.received


@models
def test_a_message_that_does_not_decode_asks_for_no_training_and_ends_nothing(adversary):
    rounds = Rounds(adversary)
    (session,) = delivered(rounds, 1)
    client = rounds.ids[0]
    cut = encode_bundle([Part(session.session_id, session.outbound[client][:-1])])
    answer = rounds.clients[client].receive(cut)
    assert answer.session is None
    assert session.session_id in answer.refused
    assert len(masked(rounds, client, session)) == 1


# ------------------------------------------------------------------------------------------------ Saved and restored
@models
@pytest.mark.parametrize("saved", ["before the answer", "after it"])
def test_a_host_killed_in_any_exchange_costs_its_own_vector_at_most(adversary, saved):
    """Save, then send: killed between the two, the same bundle comes again to what was saved."""
    for killed_at in range(8):
        rounds = Rounds(adversary)
        victim, number = rounds.ids[0], 0
        real = rounds.answer

        def answer(client, data, rounds=rounds, real=real, victim=victim, killed_at=killed_at):
            nonlocal number
            if client != victim:
                return real(client, data)
            number += 1
            if number != killed_at:
                return real(client, data)
            before = rounds.clients[client].to_bytes()
            real(client, data)
            state = before if saved == "before the answer" else rounds.clients[client].to_bytes()
            rounds.clients[client] = ClientSessions.from_bytes(
                state, client, rounds.policy, rounds.identities.get(client)
            )
            return real(client, data)

        rounds.answer = answer
        for round_number in (1, 2):
            rounds.round(round_number, last=round_number == 2)
            rounds.check(round_number)
            everybody = set(rounds.ids)
            assert rounds.results[round_number].survivors in (everybody, everybody - {victim})
        lost = [n for n in (1, 2) if victim not in rounds.results[n].survivors]
        # A masked vector is not kept for sending it again.
        trained = {3: 1, (5 if adversary is CURIOUS else 6): 2}
        assert lost == ([trained[killed_at]] if saved == "after it" and killed_at in trained else [])


@models
def test_snapshots_are_wrapped_whole_and_of_one_client(adversary):
    rounds = Rounds(adversary)
    delivered(rounds, 1, 2)
    client, other = rounds.ids[:2]
    store, identity = rounds.clients[client], rounds.identities.get(client)
    wrapped = store.to_bytes(b"k" * 32)
    restored = ClientSessions.from_bytes(wrapped, client, rounds.policy, identity, wrapping_key=b"k" * 32)
    assert [s.session_id for s in restored.sessions] == [s.session_id for s in store.sessions]
    with pytest.raises(InvalidStateError):
        ClientSessions.from_bytes(wrapped, client, rounds.policy, identity, wrapping_key=b"l" * 32)
    with pytest.raises(InvalidStateError, match="of client"):
        ClientSessions.from_bytes(store.to_bytes(), other, rounds.policy, rounds.identities.get(other))
    with pytest.raises(InvalidStateError, match="role"):
        ClientSessions.from_bytes(store.sessions[0].to_bytes(), client, rounds.policy, identity)


def test_it_is_neither_copied_nor_shown():
    rounds = Rounds(ACTIVE)
    delivered(rounds, 1)
    store = rounds.clients[rounds.ids[0]]
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(InvalidStateError):
            act(store)
    assert repr(store) == f"<ClientSessions of client {rounds.ids[0]}, 1 open>"
    assert repr(store.receive(encode_bundle([]))) == "<Answer of 0 messages>"


@models
def test_a_session_that_is_over_answers_once_more_and_then_is_forgotten(adversary):
    rounds = Rounds(adversary)
    rounds.round(1, last=True)
    client = rounds.ids[0]
    (left,) = rounds.clients[client].sessions
    assert left.over
    rounds.open(2)
    rounds.exchange()
    assert left.session_id not in {session.session_id for session in rounds.clients[client].sessions}
    with pytest.raises(StateSpentError):
        left.receive(left.leave())


@models
def test_training_that_ends_after_a_newer_round_was_masked_is_refused(adversary):
    rounds = Rounds(adversary)
    first, second = delivered(rounds, 1, 2)
    client = rounds.ids[0]
    slow = rounds.clients[client].receive(bundle(first, client=client))
    masked(rounds, client, second)
    with pytest.raises(StateSpentError):
        slow.train(rounds.vector(client, 1), digest_of(1))
    slow.leave()
    assert decode_bundle(slow.to_bytes(), client)[1] == ()
    assert rounds.clients[client].last_round == 2
