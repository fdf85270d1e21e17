"""A genuine signature is used again: of another session, under other parameters, or of another round."""

import pytest

from secagg.errors import AuthenticationError
from secagg.protocol.messages import UnmaskingRequest
from tests.kit.attack_scene import ACTIVE, LIAR, PEER, VICTIM, Scene, sparse_only


@pytest.mark.parametrize(
    ("session_id", "params"),
    [(None, {}), (bytes(16), {"round_number": 7}), (bytes(16), {"threshold": 7})],
    ids=["session", "round", "parameters"],
)
def test_keys_signed_for_another_session_are_refused(session_id: bytes | None, params: dict[str, int]):
    scene = Scene(ACTIVE, session_id=bytes(16)).until("share_keys")
    earlier = Scene(ACTIVE, session_id=session_id, params=params).until("share_keys")
    assert earlier.identities[PEER].public_key == scene.identities[PEER].public_key
    entries = {entry.client: entry for entry in scene.roster()}
    entries[PEER] = next(entry for entry in earlier.roster() if entry.client == PEER)
    error = scene.refused(VICTIM, scene.roster_message(entries.values()), AuthenticationError)
    assert error.reason == f"the signature over the keys of client {PEER} does not verify"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@sparse_only
def test_keys_of_a_stranger_signed_for_another_session_are_refused():
    # Its masks never meet the victim's own; its signature would count among half of the roster.
    scene, earlier = (Scene(ACTIVE).until("share_keys") for _ in range(2))
    stranger = scene.strangers(VICTIM)[0]
    entries = {entry.client: entry for entry in scene.roster()}
    entries[stranger] = next(entry for entry in earlier.roster() if entry.client == stranger)
    error = scene.refused(VICTIM, scene.roster_message(entries.values()), AuthenticationError)
    assert error.reason == f"the signature over the keys of client {stranger} does not verify"
    scene.assert_exact(scene.finish(), missing={VICTIM})


def test_the_server_names_a_client_that_replays_its_keys_of_another_session():
    scene, earlier = Scene(ACTIVE), Scene(ACTIVE)
    old = earlier.read(earlier.answers()[LIAR])
    replies = scene.answers()
    scene.accused(LIAR, scene.write(old), AuthenticationError)
    del replies[LIAR]
    scene.upload(replies)
    scene.close()
    scene.assert_exact(scene.finish(), missing={LIAR})


def test_a_signature_of_round_0_does_not_serve_in_round_3():
    scene = Scene(ACTIVE).until("share_keys")
    round_0 = {entry.client: entry.signature for entry in scene.roster()}
    scene.until("consistency")
    replies = scene.answers()
    scene.accused(LIAR, scene.altered(replies.pop(LIAR), signature=round_0[LIAR]), AuthenticationError)
    scene.upload(replies)
    scene.close()
    lie = scene.write(UnmaskingRequest(scene.bitmap(VICTIM, scene.ids), b"".join(round_0.values())))
    error = scene.refused(VICTIM, lie, AuthenticationError)
    assert error.reason == "the signature over the survivor set does not verify"
    result = scene.finish(silent={VICTIM})
    scene.assert_exact(result)
    assert result.culprits[LIAR].stage == "consistency"


def test_a_survivor_set_signed_in_another_session_does_not_serve():
    scene, earlier = (Scene(ACTIVE, session_id=bytes(16)).until("unmask") for _ in range(2))
    lie = earlier.outbound[VICTIM]
    assert scene.read(lie).signers == scene.read(scene.outbound[VICTIM]).signers
    scene.refused(VICTIM, lie, AuthenticationError)
    scene.assert_exact(scene.finish())
