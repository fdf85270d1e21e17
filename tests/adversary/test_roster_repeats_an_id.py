"""A server repeats or reorders ids, or numbers the roster otherwise than by rank."""

import struct

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from secagg.roster import entry_bytes
from tests.adversary.scene import PEER, SPARE, VICTIM, Scene, both_models, records


@both_models
def test_a_peer_listed_twice_is_refused(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    entries = [entry for entry in scene.roster() if entry.client != SPARE]
    lie = scene.roster_message(entry for entry in entries for _ in range(2 if entry.client == PEER else 1))
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_order"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
def test_ids_out_of_order_are_refused(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    lie = scene.roster_message(reversed(scene.roster()))
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_order"


@both_models
def test_an_index_that_is_not_the_rank_is_refused(model: AdversaryModel):
    # Shamir points follow from the index: two equal ones would make shares collide.
    scene = Scene(model).until("share_keys")
    entries = records(scene.read(scene.outbound[VICTIM]).entries, entry_bytes(scene.params))
    entries[-1] = entries[-1][:8] + struct.pack("<I", len(entries)) + entries[-1][12:]
    lie = scene.altered(scene.outbound[VICTIM], entries=b"".join(entries))
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_index"
