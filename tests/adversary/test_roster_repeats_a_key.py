"""A server lets a corrupt client take another's public key: across peers, across kinds, or the victim's own."""

from dataclasses import replace

import pytest

from secagg.errors import AuthenticationError, InconsistentServerError
from secagg.params import AdversaryModel
from secagg.roster import RosterEntry
from tests.adversary.scene import LIAR, PEER, VICTIM, Scene, both_models

# Which of the liar's keys is a copy of whose key.
copies = pytest.mark.parametrize(
    ("copy", "owner", "original"),
    [
        ("seal_key", PEER, "seal_key"),
        ("mask_key", PEER, "mask_key"),
        ("seal_key", PEER, "mask_key"),
        ("mask_key", PEER, "seal_key"),
        ("mask_key", VICTIM, "mask_key"),
        ("mask_key", VICTIM, "seal_key"),
        ("mask_key", LIAR, "seal_key"),
    ],
)


@both_models
@copies
def test_a_client_refuses_a_roster_in_which_a_key_appears_twice(
    model: AdversaryModel, copy: str, owner: int, original: str
):
    scene = Scene(model).until("share_keys")
    entries = {entry.client: entry for entry in scene.roster()}
    entries[LIAR] = scene.signed(replace(entries[LIAR], **{copy: getattr(entries[owner], original)}))
    lie = scene.roster_message(entries.values())
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "distinct_keys"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
@copies
def test_the_server_names_the_client_that_repeats_a_key(model: AdversaryModel, copy: str, owner: int, original: str):
    scene = Scene(model)
    replies = scene.answers()
    keys = scene.read(replies[LIAR])
    honest = RosterEntry(LIAR, keys.seal_key, keys.mask_key, keys.signature)
    lie = scene.signed(replace(honest, **{copy: getattr(scene.read(replies[owner]), original)}))
    forged = scene.altered(replies.pop(LIAR), seal_key=lie.seal_key, mask_key=lie.mask_key, signature=lie.signature)
    scene.upload(replies)
    assert scene.accused(LIAR, forged, AuthenticationError).reason == "a public key was advertised before"
    scene.close()
    result = scene.finish()
    scene.assert_exact(result, missing={LIAR})
    assert result.culprits[LIAR].error == "AuthenticationError"
