"""A server advertises keys of its own for an honest client, whose identity key it does not hold.

Everyone checks every entry, a stranger's too: who is made up would count as a survivor and sign as one.
"""

import os
from dataclasses import replace

import pytest

from secagg.errors import AuthenticationError
from secagg.primitives.agreement import KeyPair
from secagg.protocol.roster import RosterEntry, entry_bytes
from tests.kit.attack_scene import ACTIVE, HONEST_BUT_CURIOUS, LIAR, PEER, VICTIM, Scene, flipped, records, sparse_only

FORGERIES = {
    "zeros": lambda scene, genuine, lie: bytes(64),
    "of_the_old_keys": lambda scene, genuine, lie: genuine.signature,
    "by_another": lambda scene, genuine, lie: scene.signed(lie, signer=LIAR).signature,
    "by_another_for_itself": lambda scene, genuine, lie: scene.signed(replace(lie, client=LIAR)).signature,
}


def substituted(scene: Scene, peer: int, forgery: str) -> list[RosterEntry]:
    """Returns a roster with keys of the server's own for a peer, that is a neighbour of the victim there or is none."""
    while True:
        lie = RosterEntry(peer, KeyPair(os.urandom(32)).public, KeyPair(os.urandom(32)).public, b"")
        entries = {entry.client: entry for entry in scene.roster()}
        entries[peer] = replace(lie, signature=FORGERIES[forgery](scene, entries[peer], lie))
        roster = list(entries.values())
        if (peer in scene.neighbours_in(roster, VICTIM)) == (peer in scene.neighbours(VICTIM)):
            return roster


def assert_refused(scene: Scene, peer: int, forgery: str) -> None:
    lie = scene.roster_message(substituted(scene, peer, forgery))
    error = scene.refused(VICTIM, lie, AuthenticationError)
    assert error.reason == f"the signature over the keys of client {peer} does not verify"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@pytest.mark.parametrize("forgery", FORGERIES)
def test_keys_that_a_peer_did_not_sign_are_refused(forgery: str):
    assert_refused(Scene(ACTIVE).until("share_keys"), PEER, forgery)


@sparse_only
@pytest.mark.parametrize("forgery", FORGERIES)
def test_keys_that_a_stranger_did_not_sign_are_refused(forgery: str):
    scene = Scene(ACTIVE).until("share_keys")
    assert_refused(scene, scene.strangers(VICTIM)[0], forgery)


@pytest.mark.parametrize("position", [0, 31, 32, 63])
def test_a_signature_with_one_bit_turned_over_is_refused(position: int):
    scene = Scene(ACTIVE).until("share_keys")
    entries = [
        replace(entry, signature=flipped(entry.signature, position)) if entry.client == PEER else entry
        for entry in scene.roster()
    ]
    scene.refused(VICTIM, scene.roster_message(entries), AuthenticationError)


def test_a_roster_without_signatures_is_garbage():
    scene = Scene(ACTIVE).until("share_keys")
    size = entry_bytes(scene.params)
    entries = [entry[:-64] for entry in records(scene.read(scene.outbound[VICTIM]).entries, size)]
    assert entry_bytes(Scene(HONEST_BUT_CURIOUS).params) == len(entries[0])
    # One entry less, so that what is left is no whole number of signed ones.
    scene.ignored(VICTIM, scene.altered(scene.outbound[VICTIM], entries=b"".join(entries[1:])))
    scene.assert_exact(scene.finish())


def test_the_server_names_a_client_whose_signature_does_not_hold():
    scene = Scene(ACTIVE)
    replies = scene.answers()
    message = scene.read(replies[LIAR])
    scene.accused(LIAR, scene.altered(replies.pop(LIAR), signature=flipped(message.signature)), AuthenticationError)
    scene.upload(replies)
    scene.close()
    result = scene.finish()
    scene.assert_exact(result, missing={LIAR})
    assert result.culprits[LIAR].error == "AuthenticationError"
