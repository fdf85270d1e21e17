"""A server repeats or reorders ids, or numbers the roster otherwise than by rank."""

import struct
from collections.abc import Sequence

import pytest

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from secagg.protocol.roster import entry_bytes
from tests.kit.attack_scene import (
    HONEST_BUT_CURIOUS,
    PEER,
    SPARE,
    VICTIM,
    Scene,
    both_models,
    records,
    sparse_only,
    whole_roster_shown,
)


@both_models
def test_a_peer_listed_twice_is_refused(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    entries = [entry for entry in scene.roster(VICTIM) if entry.client != SPARE]
    twice = [entry for entry in entries for _ in range(2 if entry.client == PEER else 1)]
    lie = scene.roster_message(twice, VICTIM)
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_order"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
def test_ids_out_of_order_are_refused(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    lie = scene.roster_message(reversed(scene.roster(VICTIM)), VICTIM)
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_order"


def with_ranks(scene: Scene, ranks: Sequence[int]) -> bytes:
    """The victim's own roster with other numbers."""
    entries = records(scene.read(scene.outbound[VICTIM]).entries, entry_bytes(scene.params))
    renumbered = [entry[:8] + struct.pack("<I", rank) + entry[12:] for entry, rank in zip(entries, ranks, strict=True)]
    return scene.altered(scene.outbound[VICTIM], entries=b"".join(renumbered))


def genuine_ranks(scene: Scene) -> list[int]:
    ranks = [scene.ids.index(client) for client in scene.seen(VICTIM)]
    assert with_ranks(scene, ranks) == scene.outbound[VICTIM]
    return ranks


@both_models
@pytest.mark.parametrize("lie", ["beyond", "far_beyond", "twice", "exchanged"])
def test_an_index_that_is_not_the_rank_is_refused(model: AdversaryModel, lie: str):
    # Shamir points follow from the index: two equal ones would make shares collide.
    scene = Scene(model).until("share_keys")
    ranks = genuine_ranks(scene)
    if lie == "twice":
        ranks[3] = ranks[2]
    elif lie == "exchanged":
        ranks[2], ranks[3] = ranks[3], ranks[2]
    else:
        ranks[-1] = len(scene.ids) if lie == "beyond" else 2**32 - 1
    assert scene.refused(VICTIM, with_ranks(scene, ranks), InconsistentServerError).rule == "roster_index"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@whole_roster_shown
def test_ranks_that_leave_one_out_are_refused_where_the_whole_roster_is_shown(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    ranks = [rank + (rank > 2) for rank in genuine_ranks(scene)]
    assert scene.refused(VICTIM, with_ranks(scene, ranks), InconsistentServerError).rule == "roster_index"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@sparse_only
def test_ranks_that_a_client_takes_on_trust_open_nothing_if_they_are_wrong():
    scene = Scene(HONEST_BUT_CURIOUS).until("share_keys")
    size = len(scene.seen(VICTIM))
    own = scene.seen(VICTIM).index(VICTIM)
    first = 0 if genuine_ranks(scene)[own] != own else 2
    scene.outbound = {**scene.outbound, VICTIM: with_ranks(scene, range(first, first + size))}
    scene.exchange()
    # Every share that was dealt to it lies at its genuine point.
    assert scene.read(scene.deliver(VICTIM)).unopened == scene.bitmap(VICTIM, scene.neighbours(VICTIM))
