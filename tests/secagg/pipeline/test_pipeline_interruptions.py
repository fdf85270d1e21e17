"""Whatever interrupts a pipeline, at whatever line: a round's sum is exact, or there is none."""

import pytest

from secagg import SecAggError
from secagg.pipeline import ClientSessions
from tests.kit.interruptions import interrupted
from tests.kit.pipelines import Rounds, digest_of
from tests.kit.sessions import models

STEP = 23
"""Every so many lines, from another one in each exchange."""


@pytest.mark.slow
@models
def test_a_client_interrupted_at_any_line_masks_one_vector_or_none(adversary):
    """The host gives the same bundle again, to the same object: what was answered stays, what was not is answered."""
    rounds, met = Rounds(adversary), 0
    victim, real = rounds.ids[0], rounds.answer

    def answer(client: int, bundle: bytes) -> bytes:
        nonlocal met
        if client != victim:
            return real(client, bundle)
        saved, kept = rounds.clients[client].to_bytes(), None
        for line in range(1 + met % STEP, 10**6, STEP):
            rounds.clients[client] = ClientSessions.from_bytes(
                saved, client, rounds.policy, rounds.identities.get(client)
            )
            if not interrupted(lambda: real(client, bundle), line):
                break
            met += 1
            store = rounds.clients[client]
            before = store.last_round
            again = store.receive(bundle)
            if again.session is not None:
                number = again.session.round_number
                assert before is None or before <= number
                again.train(rounds.vector(client, number), digest_of(number))
            kept = again.to_bytes()
        rounds.clients[client] = ClientSessions.from_bytes(saved, client, rounds.policy, rounds.identities.get(client))
        del kept
        return real(client, bundle)

    rounds.answer = answer
    for number in (1, 2):
        rounds.round(number, last=number == 2)
        rounds.check(number)
    assert met > 100


@pytest.mark.slow
@models
def test_a_server_interrupted_at_any_line_of_an_exchange_takes_it_once(adversary):
    rounds, met = Rounds(adversary), 0
    rounds.open(1)
    for exchange in range(2 * (4 if adversary.name == "ACTIVE" else 3)):
        if rounds.server.ready:
            number = rounds.server.current.params.round_number
            rounds.server.deliver(digest_of(number))
            if number < 2:
                rounds.open(number + 1)
        if rounds.server.current is None:
            break
        number = rounds.server.current.params.round_number
        sent = rounds.server.outgoing()
        for at, (address, bundle) in enumerate(sent.bundles.items()):
            reply = rounds.answer(address, bundle)
            for line in range(1 + (exchange + 2 * at) % 5, 10**6, 5):
                try:
                    if not interrupted(
                        lambda reply=reply, address=address: rounds.server.receive(address, reply), line
                    ):
                        break
                    met += 1
                except SecAggError:
                    break  # it was taken already: the next one is a second one
        assert all(lane.session.received == lane.session.awaited for lane in rounds.server._lanes() if lane.in_flight)
        result = rounds.server.advance()
        if result is not None:
            rounds.results[number] = result
    for number in (1, 2):
        rounds.check(number)
        assert len(rounds.results[number].survivors) == 5
    assert met > 50


@pytest.mark.slow
@models
def test_an_end_of_an_exchange_that_was_interrupted_is_as_before_or_moved_on(adversary):
    for exchange in range(4):
        for line in range(1 + 15 * exchange, 10**6, 3 * STEP):
            rounds = Rounds(adversary)
            rounds.round(1)
            rounds.server.deliver(digest_of(2))
            rounds.open(3)
            for _ in range(exchange % 2):
                rounds.exchange()
            sent = rounds.server.outgoing()
            for address, bundle in sent.bundles.items():
                rounds.server.receive(address, rounds.answer(address, bundle))
            if not interrupted(rounds.server.advance, line):
                break
            # The host goes on as after any error, and is never given a false sum.
            try:
                for _ in range(4):
                    result = rounds.exchange()
                    if result is not None:
                        rounds.results[2] = result
                        rounds.check(2)
                        break
            except SecAggError:
                pass
            if rounds.server.current is not None and rounds.server.current.params.round_number == 2:
                rounds.server.abandon()
            if rounds.server.current is None:
                rounds.open(3)
            rounds.round(3, last=True)
            rounds.check(3)
