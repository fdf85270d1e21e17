"""The public facts of a session: the same from either end, and from the whole roster or from a part."""

import numpy as np

from secagg.errors import ClientId
from secagg.graph.ring import Graph
from secagg.primitives.agreement import KeyPair
from secagg.protocol.cohort import Cohort
from secagg.protocol.roster import Roster, RosterEntry
from secagg.protocol.transcript import NO_MODEL, graph_seed, roster_context, session_context
from tests.kit.sessions import ACTIVE, CURIOUS, make_params

SESSION = bytes(range(16))
IDS: tuple[ClientId, ...] = (2, 3, 9, 20, 21, 22, 2**40)


def pair(client: ClientId, use: int) -> KeyPair:
    return KeyPair((client * 4 + use).to_bytes(32, "little"))


def roster() -> Roster:
    return Roster([RosterEntry(client, pair(client, 1).public, pair(client, 2).public, b"") for client in IDS])


def complete() -> Cohort:
    return Cohort(make_params(CURIOUS, n=7), SESSION, roster())


def sparse() -> Cohort:
    return Cohort(make_params(CURIOUS, n=7, neighbours=4, min_survivors=6), SESSION, roster())


def test_its_contexts_and_its_graph_follow_from_parameters_session_and_roster():
    cohort = complete()
    context = session_context(cohort.params, SESSION)
    assert cohort.roster_hash == roster().digest(cohort.params, context)
    assert cohort.roster_ctx == roster_context(cohort.params, session_ctx=context, roster_hash=cohort.roster_hash)
    assert [cohort.client(index) for index in range(7)] == list(IDS)
    again = sparse()
    ring = Graph(7, neighbours=4, seed=graph_seed(again.params.suite, again.roster_hash), suite=again.params.suite)
    for index in range(7):
        assert again.graph.neighbours(index).tolist() == ring.neighbours(index).tolist()


def test_a_client_sees_everyone_or_its_neighbours_and_itself():
    assert complete().visible(3).tolist() == list(range(7))
    cohort = sparse()
    for index in range(7):
        seen = cohort.visible(index)
        assert seen.tolist() == sorted({*cohort.graph.neighbours(index).tolist(), index})
        assert len(seen) == 5
    active = Cohort(make_params(ACTIVE, n=7, neighbours=4, min_survivors=6), SESSION, roster())
    assert active.visible(3).tolist() == list(range(7))


def test_a_pairs_mask_is_the_same_from_either_end_and_no_other_pairs():
    cohort, task = complete(), b"t" * 32
    masks = set()
    for one in range(7):
        for other in range(one):
            found = cohort.pairwise_mask(one, pair(IDS[one], 2), peer=other, task_ctx=task)
            assert found == cohort.pairwise_mask(other, pair(IDS[other], 2), peer=one, task_ctx=task)
            masks.add(found)
    assert len(masks) == 21
    assert cohort.pairwise_mask(1, pair(IDS[1], 2), peer=0, task_ctx=b"u" * 32) not in masks


def test_self_masks_and_commitments_are_each_clients_own():
    cohort = complete()
    tasks = [
        cohort.task_context(digest, dealers=dealers)
        for digest in (NO_MODEL, b"m" * 32)
        for dealers in (b"\x7f", b"\x3f")
    ]
    seeds = (bytes(32), b"s" * 32)
    masks = {
        cohort.self_mask(index, seed=seed, task_ctx=task) for index in range(7) for seed in seeds for task in tasks
    }
    assert len(masks) == 7 * 2 * 4
    assert len({cohort.self_mask_commitment(index, seed) for index in range(7) for seed in seeds}) == 7 * 2


def test_what_a_neighbour_finds_from_its_part_is_what_the_server_finds():
    cohort = sparse()
    for index in range(7):
        places = cohort.visible(index)
        part = Cohort(cohort.params, SESSION, cohort.roster.part(places))
        own = part.roster.index[IDS[index]]
        assert part.roster_ctx == cohort.roster_ctx
        assert [part.client(peer) for peer in part.graph.neighbours(own).tolist()] == [
            cohort.client(peer) for peer in cohort.graph.neighbours(index).tolist()
        ]
        for peer in cohort.graph.neighbours(index).tolist():
            there = int(np.flatnonzero(places == peer)[0])
            assert part.share_commitment(own, holder=there, kind=1, share=bytes(40)) == cohort.share_commitment(
                index, holder=peer, kind=1, share=bytes(40)
            )
