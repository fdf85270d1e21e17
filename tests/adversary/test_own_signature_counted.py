"""A server counts a peer's own signature in that peer's quorum, and so comes out with one signer too few.

In a sparse graph it may also fill up the quorum with signatures of clients that are no neighbours.
"""

from collections.abc import Collection
from itertools import combinations

import pytest

from secagg.errors import InconsistentServerError
from secagg.protocol.messages import UnmaskingRequest
from tests.kit.attack_scene import ACTIVE, QUORUM, THRESHOLD, VICTIM, Scene, records, sparse_only, without


def request(scene: Scene, signers: Collection[int]) -> bytes:
    signatures = dict(zip(scene.ids, records(scene.read(scene.outbound[VICTIM]).signatures, 64), strict=True))
    return scene.write(
        UnmaskingRequest(
            scene.bitmap(VICTIM, signers),
            b"".join(signature for client, signature in signatures.items() if client in signers),
        )
    )


def in_neighbourhood(scene: Scene, client: int, signers: Collection[int]) -> int:
    return len(set(signers) & set(scene.neighbours(client)))


@pytest.mark.parametrize("with_me", [True, False])
def test_a_threshold_of_signers_that_counts_each_signer_for_itself_is_refused(with_me: bool):
    scene = Scene(ACTIVE).until("unmask")
    # Whose neighbourhood is short of a signer: its strangers sign too, and it is still refused.
    owner = VICTIM if with_me else scene.neighbours(VICTIM)[0]
    peers = without(scene.neighbours(owner), VICTIM)[: THRESHOLD - 1]
    signers = {owner, *peers, *scene.strangers(owner)}
    assert len(signers) == (QUORUM if scene.sparse else THRESHOLD)
    error = scene.refused(VICTIM, request(scene, signers), InconsistentServerError)
    assert error.rule == "quorum"
    assert error.detail == f"a neighbourhood has {THRESHOLD - 1} signers, {THRESHOLD} are needed"
    scene.assert_exact(scene.finish())


@sparse_only
def test_a_quorum_of_the_client_itself_does_not_make_up_for_one_of_its_peers():
    scene = Scene(ACTIVE).until("unmask")
    stranger = scene.strangers(VICTIM)[0]
    peer = next(client for client in scene.neighbours(VICTIM) if client in scene.neighbours(stranger))
    absent = [stranger, *without(scene.neighbours(peer), VICTIM, stranger)[:2]]
    signers = without(scene.ids, *absent)
    assert len(signers) == QUORUM
    assert in_neighbourhood(scene, VICTIM, signers) >= THRESHOLD
    assert in_neighbourhood(scene, peer, signers) == THRESHOLD - 1
    error = scene.refused(VICTIM, request(scene, signers), InconsistentServerError)
    assert error.rule == "quorum"
    assert error.detail == f"a neighbourhood has {THRESHOLD - 1} signers, {THRESHOLD} are needed"
    scene.assert_exact(scene.finish())


@sparse_only
def test_a_quorum_of_every_peer_does_not_make_up_for_the_clients_own():
    # Its own is what opens the client itself.
    scene = Scene(ACTIVE).until("unmask")
    signers = next(
        signers
        for absent in combinations(scene.neighbours(VICTIM), 3)
        for signers in [without(scene.ids, *absent)]
        if all(in_neighbourhood(scene, peer, signers) >= THRESHOLD for peer in scene.neighbours(VICTIM))
    )
    assert len(signers) == QUORUM
    error = scene.refused(VICTIM, request(scene, signers), InconsistentServerError)
    assert error.rule == "quorum"
    assert error.detail == f"a neighbourhood has {THRESHOLD - 1} signers, {THRESHOLD} are needed"
    scene.assert_exact(scene.finish())


@pytest.mark.parametrize("signers", [0, 1, THRESHOLD - 1])
def test_fewer_signers_than_the_threshold_are_refused(signers: int):
    scene = Scene(ACTIVE).until("unmask")
    error = scene.refused(VICTIM, request(scene, scene.ids[:signers]), InconsistentServerError)
    assert error.rule == "quorum"


@pytest.mark.parametrize("with_me", [True, False])
def test_one_signer_more_is_enough(with_me: bool):
    scene = Scene(ACTIVE).until("unmask")
    # In the sparse graph two may be missing: nobody's neighbourhood has fewer than six of its eight then.
    count = len(scene.ids) - 2
    assert count == (QUORUM + 1 if scene.sparse else THRESHOLD + 1)
    others = without(scene.ids, VICTIM)
    signers = {VICTIM, *others[: count - 1]} if with_me else set(others[:count])
    scene.upload({VICTIM: scene.deliver(VICTIM, request(scene, signers))})
    scene.assert_exact(scene.finish())
