"""secagg.pipeline.server: rounds in as few exchanges as they take, each sum exact, whatever drops out."""

import pytest

from secagg import (
    InvalidParameterError,
    InvalidStateError,
    StrayMessageError,
    TooFewClientsError,
    UnexpectedMessageError,
)
from secagg.pipeline import decode_bundle, encode_bundle
from tests.kit.pipelines import Rounds, digest_of
from tests.kit.sessions import ACTIVE, CURIOUS, models

FRONT = [("advertise_keys",), ("share_keys",)]
STEADY = {
    CURIOUS: [("masked_input", "advertise_keys"), ("unmask", "share_keys")],
    ACTIVE: [("masked_input", "advertise_keys"), ("consistency", "share_keys"), ("unmask",)],
}
ALONE = {CURIOUS: [("masked_input",), ("unmask",)], ACTIVE: [("masked_input",), ("consistency",), ("unmask",)]}


@models
@pytest.mark.parametrize("restarts", [False, True])
def test_a_steady_round_takes_two_exchanges_and_three_in_the_active_model(adversary, restarts):
    rounds = Rounds(adversary, restarts=restarts)
    for number in (1, 2, 3):
        rounds.round(number, last=number == 3)
        rounds.check(number)
        assert len(rounds.results[number].survivors) == 5
    assert rounds.exchanges == FRONT + STEADY[adversary] * 2 + ALONE[adversary]
    assert not any(rounds.refused.values())


@models
def test_without_a_next_session_each_round_has_two_exchanges_in_front(adversary):
    rounds = Rounds(adversary, pipelined=False)
    for number in (1, 2):
        rounds.round(number)
        rounds.check(number)
    assert rounds.exchanges == (FRONT + ALONE[adversary]) * 2


@models
@pytest.mark.parametrize("at", [0, 1, 2])
def test_who_is_silent_in_an_exchange_is_out_of_what_it_asked(adversary, at):
    rounds = Rounds(adversary)
    rounds.round(1)
    gone = rounds.ids[4]
    rounds.round(2, {at: [gone]})
    rounds.check(2)
    assert (gone in rounds.results[2].survivors) is (at > 0)
    rounds.round(3, last=True)
    rounds.check(3)
    # Its keys and shares of the next session ride on exchanges 0 and 1.
    assert (gone in rounds.results[3].survivors) is (at == 2)
    assert len(rounds.exchanges) == 2 + 3 * len(ALONE[adversary])


@models
def test_a_cohort_is_drawn_for_each_round_and_vanished_clients_are_invited_again(adversary):
    rounds = Rounds(adversary, population=8, cohort=6)
    for number in range(1, 6):
        rounds.round(number, {0: [rounds.drawn(number)[0]]})
        rounds.check(number)
        survivors = rounds.results[number].survivors
        assert survivors <= set(rounds.drawn(number))
        # Who was silent while it was to advertise for the next round is not in that one.
        assert len(survivors) >= 4
    assert len(rounds.exchanges) == 2 + 5 * len(ALONE[adversary])


@models
def test_who_does_not_train_gets_the_invitation_alone(adversary):
    rounds = Rounds(adversary, population=7, cohort=5)
    rounds.round(1)
    seen = {}
    rounds.server.deliver(digest_of(2))
    rounds.open(3)
    rounds.exchange(between=lambda sent: seen.update({"trains": sent.trains, "all": set(sent.bundles)}))
    assert seen["trains"] == set(rounds.drawn(2))
    assert seen["all"] == set(rounds.drawn(2)) | set(rounds.drawn(3))
    assert seen["all"] != seen["trains"]


@models
def test_a_next_session_that_is_too_small_is_dropped_and_the_round_begins_with_its_own(adversary):
    rounds = Rounds(adversary)
    rounds.round(1)
    rounds.server.deliver(digest_of(2))
    rounds.open(3)
    # Of five only two answer to the invitation; the round itself goes on with those three who trained.
    sent = rounds.server.outgoing()
    session = rounds.server.following.session_id
    for address, bundle in sent.bundles.items():
        reply = rounds.answer(address, bundle)
        if address in rounds.ids[2:]:
            claimed, parts = decode_bundle(reply, address)
            reply = encode_bundle([part for part in parts if part.session_id != session], claimed)
        rounds.server.receive(address, reply)
    assert rounds.server.complete
    assert not rounds.server.enough
    assert rounds.server.advance() is None
    assert isinstance(rounds.server.fallback, TooFewClientsError)
    assert rounds.server.following is None
    result = None
    while result is None:
        result = rounds.exchange()
        assert rounds.server.fallback is None
    rounds.results[2] = result
    rounds.check(2)
    assert rounds.server.current is None
    # Those who had joined were told, and dropped their keys.
    assert all(len(sessions.sessions) <= 1 for sessions in rounds.clients.values())
    # The same round may be opened anew: nobody masked anything for it.
    rounds.open(3)
    rounds.round(3, last=True)
    rounds.check(3)
    assert len(rounds.results[3].survivors) == 5


@models
def test_a_round_that_fails_leaves_the_next_one_its_session(adversary):
    rounds = Rounds(adversary)
    rounds.round(1)
    failed = rounds.server.current.session_id
    rounds.server.deliver(digest_of(2))
    rounds.open(3)
    sent = rounds.server.outgoing()
    for address, bundle in sent.bundles.items():
        answer = rounds.clients[address].receive(bundle)
        if address in rounds.ids[:2]:
            answer.train(rounds.vector(address, 2), digest_of(2))
        else:
            answer.leave()
        rounds.server.receive(address, answer.to_bytes())
    with pytest.raises(TooFewClientsError):
        rounds.server.advance()
    rounds.server.abandon()
    assert rounds.server.current.params.round_number == 3
    # The keys that came meanwhile are not lost: one exchange in front instead of two.
    assert rounds.exchange() is None
    assert rounds.server.ready
    assert all(failed not in {s.session_id for s in c.sessions} for c in rounds.clients.values())
    rounds.round(3, last=True)
    rounds.check(3)
    assert len(rounds.results[3].survivors) == 5


# ---------------------------------------------------------------------------------------------------- What it refuses
@models
def test_sessions_are_opened_in_the_order_of_their_rounds_and_two_at_most(adversary):
    rounds = Rounds(adversary)
    rounds.round(1)
    for wrong in (0, 1, 2):
        with pytest.raises(InvalidParameterError, match="round_number"):
            rounds.server.open(rounds.session(wrong, rounds.ids), rounds.ids)
    rounds.open(3)
    with pytest.raises(InvalidStateError, match="already"):
        rounds.open(4)


@models
def test_steps_out_of_order_are_refused_and_change_nothing(adversary):
    rounds = Rounds(adversary)
    with pytest.raises(InvalidStateError):
        rounds.server.outgoing()
    with pytest.raises(InvalidStateError):
        rounds.server.advance()
    with pytest.raises(InvalidStateError):
        rounds.server.abandon()
    rounds.open(1)
    with pytest.raises(InvalidStateError):
        rounds.server.deliver(digest_of(1))
    with pytest.raises(InvalidStateError):
        rounds.server.advance()
    rounds.exchange()
    rounds.exchange()
    with pytest.raises(InvalidStateError, match="deliver"):
        rounds.server.outgoing()
    rounds.round(1, last=True)
    rounds.check(1)


@models
@pytest.mark.parametrize(
    "addresses", [[1, 1, 2, 3, 4], {1: 2, 3: 2, 4: 5, 6: 7, 8: 9}, [-1], "12345", [True], [2**64]], ids=repr
)
def test_addresses_that_are_none_are_refused(adversary, addresses):
    rounds = Rounds(adversary)
    with pytest.raises(InvalidParameterError, match="address"):
        rounds.server.open(rounds.session(1, rounds.ids), addresses)
    assert rounds.server.current is None


def test_a_node_that_answers_as_one_who_answered_already_is_refused_by_name():
    rounds = Rounds(ACTIVE)
    rounds.open(1)
    sent = rounds.server.outgoing()
    first, second = rounds.ids[:2]
    rounds.server.receive(first, rounds.answer(first, sent.bundles[first]))
    with pytest.raises(UnexpectedMessageError) as refused:
        # The second node holds a copy of the first one's key.
        rounds.server.receive(second, rounds.new_client(first).receive(sent.bundles[first]).to_bytes())
    assert refused.value.culprit == first
    assert f"address {second}" in str(refused.value)
    assert rounds.server.clients == {first: first}


def test_only_an_address_that_keys_came_from_answers_after_them():
    """Later messages are not signed: an invited node that never joined must not speak for one that did."""
    rounds = Rounds(ACTIVE, population=6, cohort=5)
    absent, victim = rounds.ids[4], rounds.ids[0]
    rounds.server.open(rounds.session(1, rounds.ids), rounds.ids[:5])
    rounds.exchange(silent=[absent])
    for _ in range(2):
        if rounds.server.ready:
            rounds.server.deliver(digest_of(1))
        sent = rounds.server.outgoing()
        reply = rounds.answer(victim, sent.bundles[victim])
        with pytest.raises(UnexpectedMessageError) as refused:
            rounds.server.receive(absent, reply)
        assert (refused.value.culprit, refused.value.expected) == (victim, "one that keys came from")
        assert not rounds.server.current.has_answered(victim)
        # Nor does one that joined speak for another.
        with pytest.raises(UnexpectedMessageError):
            rounds.server.receive(rounds.ids[1], reply)
        rounds.server.receive(victim, reply)
        for address, bundle in sent.bundles.items():
            if address != victim:
                rounds.server.receive(address, rounds.answer(address, bundle))
        rounds.server.advance()
    assert rounds.server.current.faults == {}
    with pytest.raises(StrayMessageError):
        rounds.server.receive(rounds.ids[5], reply)
