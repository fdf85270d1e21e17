"""Somebody advertises a point of low order, whose shared secret everybody knows, or a key with two spellings."""

import os
from dataclasses import replace

import pytest

from secagg.errors import AuthenticationError
from secagg.params import AdversaryModel
from secagg.primitives.agreement import KeyPair
from secagg.protocol.roster import RosterEntry
from tests.kit.attack_scene import ACTIVE, LIAR, VICTIM, Scene, both_models, sparse_only

PRIME = 2**255 - 19
# The u-coordinates of order 1, 2, 4 and 8 (cr.yp.to/ecdh.html), and keys that are not reduced.
LOW_ORDER = {
    "zero": 0,
    "one": 1,
    "minus_one": PRIME - 1,
    "order_eight": 325606250916557431795983626356110631294008115727848805560023387167927233504,
    "the_other_of_order_eight": 39382357235489614581723060781553021112529911719440698176882885853963445705823,
}
NOT_CANONICAL = {
    "the_prime": PRIME,
    "the_prime_and_one": PRIME + 1,
    "the_prime_and_nine": PRIME + 9,
    "top_bit": 2**255 + 9,
    "all_ones": 2**256 - 1,
}
POINTS = LOW_ORDER | NOT_CANONICAL


@both_models
@pytest.mark.parametrize("kind", ["seal_key", "mask_key"])
@pytest.mark.parametrize("point", POINTS)
def test_the_server_names_its_sender_and_a_client_refuses_the_roster(model: AdversaryModel, kind: str, point: str):
    scene = Scene(model)
    replies = scene.answers()
    keys = scene.read(replies[LIAR])
    honest = RosterEntry(LIAR, keys.seal_key, keys.mask_key, keys.signature)
    bad = scene.signed(replace(honest, **{kind: POINTS[point].to_bytes(32, "little")}))
    reason = "a public key is a point of low order" if point in LOW_ORDER else "a public key is not a canonical"

    forged = scene.altered(replies[LIAR], seal_key=bad.seal_key, mask_key=bad.mask_key, signature=bad.signature)
    error = scene.accused(LIAR, forged, AuthenticationError)
    assert error.reason.startswith(reason)

    # A server that lets it pass is the one at fault.
    scene = Scene(model).until("share_keys")
    entries = [
        scene.signed(replace(entry, **{kind: POINTS[point].to_bytes(32, "little")})) if entry.client == LIAR else entry
        for entry in scene.roster(VICTIM)
    ]
    error = scene.refused(VICTIM, scene.roster_message(entries, VICTIM), AuthenticationError)
    assert error.reason.startswith(reason)
    scene.assert_exact(scene.finish(), missing={VICTIM})


@sparse_only
@pytest.mark.parametrize("kind", ["seal_key", "mask_key"])
def test_a_client_refuses_such_a_key_of_a_stranger_too(kind: str):
    # It agrees on no secret with a stranger, but the roster is what everyone agrees on.
    scene = Scene(ACTIVE).until("share_keys")
    corrupt, entries = scene.strangers(VICTIM)[0], []
    while not entries or corrupt in scene.neighbours_in(entries, VICTIM):
        bad = {"seal_key": KeyPair(os.urandom(32)).public, "mask_key": KeyPair(os.urandom(32)).public, kind: bytes(32)}
        entries = [
            scene.signed(replace(entry, **bad)) if entry.client == corrupt else entry for entry in scene.roster(VICTIM)
        ]
    error = scene.refused(VICTIM, scene.roster_message(entries, VICTIM), AuthenticationError)
    assert error.reason.startswith("a public key is a point of low order")
    scene.assert_exact(scene.finish(), missing={VICTIM})
