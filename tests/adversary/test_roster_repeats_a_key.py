"""A server lets a corrupt client take another's public key: across peers, across kinds, or the victim's own."""

from dataclasses import replace

import pytest

from secagg.errors import AuthenticationError, InconsistentServerError
from secagg.params import AdversaryModel
from secagg.protocol.roster import RosterEntry
from tests.kit.attack_scene import ACTIVE, HONEST_BUT_CURIOUS, LIAR, PEER, VICTIM, Scene, both_models, sparse_only

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
    entries = {entry.client: entry for entry in scene.roster(VICTIM)}
    entries[LIAR] = scene.signed(replace(entries[LIAR], **{copy: getattr(entries[owner], original)}))
    lie = scene.roster_message(entries.values(), VICTIM)
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "distinct_keys"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@sparse_only
@pytest.mark.parametrize("copy", ["seal_key", "mask_key"])
def test_a_client_refuses_a_key_that_appears_twice_among_its_strangers(copy: str):
    # Neither of the two shares a mask with it, but with peers of it they do.
    scene = Scene(ACTIVE).until("share_keys")
    one, other = scene.strangers(VICTIM)
    entries = {entry.client: entry for entry in scene.roster(VICTIM)}
    entries[one] = scene.signed(replace(entries[one], **{copy: getattr(entries[other], copy)}))
    lie = scene.roster_message(entries.values(), VICTIM)
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "distinct_keys"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@sparse_only
def test_where_a_client_sees_a_part_only_that_part_shows_the_copy():
    # A stranger's copy of a peer's key: the peer sees it, unless they are strangers too.
    scene = Scene(HONEST_BUT_CURIOUS).until("share_keys")
    stranger = scene.strangers(VICTIM)[0]
    witness = next(client for client in scene.neighbours(VICTIM) if stranger in scene.neighbours(client))
    entries = {entry.client: entry for entry in scene.roster(witness)}
    assert VICTIM in entries
    entries[stranger] = replace(entries[stranger], mask_key=entries[VICTIM].mask_key)
    lie = scene.roster_message(entries.values(), witness)
    assert scene.refused(witness, lie, InconsistentServerError).rule == "distinct_keys"
    assert stranger not in {entry.client for entry in scene.roster(VICTIM)}
    assert scene.deliver(VICTIM) is not None


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
