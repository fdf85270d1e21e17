"""A server uses one session id for two sessions: fresh keys, not the id, make sessions distinct."""

import pytest

from secagg.errors import AuthenticationError, InconsistentServerError, InvalidShareError, MalformedMessageError
from secagg.params import AdversaryModel
from secagg.protocol.messages import UnmaskingRequest
from tests.kit.attack_scene import ACTIVE, VICTIM, Scene, both_models


def twins(model: AdversaryModel) -> tuple[Scene, Scene]:
    first, second = (Scene(model, session_id=b"the same 16 byte") for _ in range(2))
    assert first.outbound == second.outbound
    return first, second


@both_models
def test_both_sums_are_exact_and_no_byte_of_key_or_mask_is_shared(model: AdversaryModel):
    first, second = twins(model)
    for stage in ("share_keys", "masked_input"):
        first.until(stage)
        second.until(stage)
        assert not set(first.secrets(VICTIM)) & set(second.secrets(VICTIM))
        assert first.outbound[VICTIM] != second.outbound[VICTIM]
    masked = [scene.read(scene.deliver(VICTIM)).vector.tobytes() for scene in (first, second)]
    assert masked[0] != masked[1]
    for scene in twins(model):
        scene.assert_exact(scene.finish())


@both_models
def test_the_roster_of_the_one_is_refused_in_the_other(model: AdversaryModel):
    first, second = twins(model)
    lie = first.until("share_keys").outbound[VICTIM]
    assert second.until("share_keys").refused(VICTIM, lie, InconsistentServerError).rule == "own_entry"
    second.assert_exact(second.finish(), missing={VICTIM})


@both_models
def test_what_was_sealed_in_the_one_does_not_open_in_the_other(model: AdversaryModel):
    first, second = twins(model)
    first.until("masked_input")
    second.until("masked_input")
    reply = second.deliver(VICTIM, first.outbound[VICTIM])
    assert second.read(reply).unopened == second.bitmap(VICTIM, second.neighbours(VICTIM))


def test_the_survivors_signed_in_the_one_do_not_count_in_the_other():
    first, second = (scene.until("unmask") for scene in twins(ACTIVE))
    old = first.read(first.outbound[VICTIM])
    lie = second.write(UnmaskingRequest(old.signers, old.signatures))
    second.refused(VICTIM, lie, AuthenticationError)
    second.assert_exact(second.finish())


@both_models
def test_old_keys_of_the_peers_give_a_roster_in_which_nothing_opens(model: AdversaryModel):
    # The id and the parameters are the same, so the peers' old signatures hold. Nobody has the old private keys.
    first, second = (scene.until("share_keys") for scene in twins(model))
    old = {entry.client: entry for client in first.ids for entry in first.roster(client)}
    mixed = [entry if entry.client == VICTIM else old[entry.client] for entry in second.roster(VICTIM)]
    second.outbound = {**second.outbound, VICTIM: second.roster_message(mixed, VICTIM)}
    second.exchange()
    replies = second.answers()
    cohort = second.clients[VICTIM]._state._peek().membership.place().cohort
    peers = {cohort.client(place) for place in cohort.graph.neighbours(cohort.roster.index[VICTIM]).tolist()}
    assert second.read(replies[VICTIM]).unopened == second.bitmap(VICTIM, peers)
    if peers != set(second.neighbours(VICTIM)):
        # The other roster, which it sees all of, has another ring: what it dealt went to the wrong ones.
        assert second.params.sparse
        second.accused(VICTIM, replies.pop(VICTIM), MalformedMessageError)
    elif second.params.shows_roster:
        second.accused(VICTIM, replies.pop(VICTIM), AuthenticationError)
    # Where it sees its neighbourhood only, the server that lied is left with what it masked with nobody's keys.
    second.upload(replies)
    with pytest.raises(InvalidShareError) as raised:
        second.close()
    assert (raised.value.role, raised.value.dealer) == ("dealer", VICTIM)
