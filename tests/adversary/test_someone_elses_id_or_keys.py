"""A client takes part under another's id, or with another's keys."""

import pytest

from secagg.errors import AuthenticationError, UnexpectedMessageError
from secagg.params import AdversaryModel
from secagg.protocol.roster import RosterEntry
from tests.kit.attack_scene import ACTIVE, LIAR, STRANGER, VICTIM, Scene, both_models


@both_models
def test_anothers_advertisement_as_ones_own_names_its_sender(model: AdversaryModel):
    scene = Scene(model)
    replies = scene.answers()
    del replies[LIAR]
    scene.upload(replies)
    error = scene.accused(LIAR, replies[VICTIM], AuthenticationError)
    if model is ACTIVE:
        assert error.reason == f"the signature over the keys of client {LIAR} does not verify"
    else:
        assert error.reason == "a public key was advertised before"
    scene.close()
    result = scene.finish()
    scene.assert_exact(result, missing={LIAR})
    assert result.culprits[LIAR].error == "AuthenticationError"


def test_anothers_keys_under_ones_own_signature_name_the_later_sender():
    scene = Scene(ACTIVE)
    replies = scene.answers()
    keys = scene.read(replies[VICTIM])
    stolen = scene.signed(RosterEntry(LIAR, keys.seal_key, keys.mask_key, b""))
    del replies[LIAR]
    scene.upload(replies)
    lie = scene.altered(replies[VICTIM], signature=stolen.signature)
    assert scene.accused(LIAR, lie, AuthenticationError).reason == "a public key was advertised before"
    scene.close()
    scene.assert_exact(scene.finish(), missing={LIAR})


def test_keys_sent_under_anothers_id_do_not_keep_the_owner_out():
    # In the other model the transport must authenticate sender ids.
    scene = Scene(ACTIVE)
    replies = scene.answers()
    scene.accused(VICTIM, replies[LIAR], AuthenticationError)
    keys = scene.read(replies[LIAR])
    signed = scene.signed(RosterEntry(VICTIM, keys.seal_key, keys.mask_key, b""), signer=LIAR)
    with pytest.raises(AuthenticationError):
        scene.server.receive(VICTIM, scene.altered(replies[LIAR], signature=signed.signature))
    scene.upload(replies)
    scene.close()
    scene.assert_exact(scene.finish())


def test_a_signature_sent_under_anothers_id_does_not_keep_the_owner_out():
    scene = Scene(ACTIVE).until("consistency")
    replies = scene.answers()
    scene.accused(VICTIM, replies[LIAR], AuthenticationError)
    scene.upload(replies)
    scene.close()
    scene.assert_exact(scene.finish())


@both_models
def test_a_client_that_was_not_invited_is_refused_at_every_stage_and_leaves_no_trace(model: AdversaryModel):
    scene = Scene(model)
    while True:
        replies = scene.answers()
        with pytest.raises(UnexpectedMessageError) as raised:
            scene.server.receive(STRANGER, replies[LIAR])
        assert raised.value.culprit == STRANGER
        assert raised.value.expected == f"a client that is awaited at {scene.server.stage}"
        scene.upload(replies)
        result = scene.close()
        if result is not None:
            break
    scene.assert_exact(result)
    assert not result.culprits
