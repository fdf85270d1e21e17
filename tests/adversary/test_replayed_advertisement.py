"""A server uses an old session id again and replays the signed keys of a client that it does not contact.

It may know that client's mask key: it rebuilt it when the client vanished from the first session. So
it can take a ghost's masks off by itself, and the ghost would fill up the survivors.

A ghost seals nothing to its neighbours and signs nothing. Its neighbours see the first in round 3, and in a sparse
graph those who are none see the second in round 4.
"""

import os
from collections.abc import Mapping

import pytest

from secagg.errors import AuthenticationError, PolicyViolationError
from secagg.protocol.messages import ShareKeys, UnmaskingRequest
from tests.kit.attack_scene import ACCOMPLICE, ACTIVE, LIAR, VICTIM, Scene, sparse_only, without

# A client that insists on more than is offered refuses the invitation: here it is let in, for what it refuses later.
pytestmark = pytest.mark.usefixtures("minimum_accepted_at_the_invitation")

GHOST = LIAR
CAREFUL = VICTIM


def contacted(scene: Scene) -> list[int]:
    return without(scene.ids, GHOST)


def with_a_ghost(policy: Mapping[str, object], policies: Mapping[int, Mapping[str, object]] | None = None) -> Scene:
    """Runs rounds 0 to 2 of a second session with the same id, in which the ghost's part is made up."""
    first = Scene(ACTIVE, session_id=b"the same 16 byte")
    scene = Scene(ACTIVE, session_id=b"the same 16 byte", policy=policy, policies=policies)
    scene.upload({**scene.answers(silent=[GHOST]), GHOST: first.answers()[GHOST]})
    scene.close()
    replies = scene.answers(silent=[GHOST])
    table = os.urandom(len(scene.read(replies[contacted(scene)[0]]).table))
    scene.upload({**replies, GHOST: scene.write(ShareKeys(table, os.urandom(32)))})
    scene.close()
    for client, reply in scene.answers(silent=[GHOST]).items():
        neighbour = GHOST in scene.neighbours(client)
        assert scene.read(reply).unopened == scene.bitmap(client, [GHOST] if neighbour else [])
    return scene


def signatures(scene: Scene) -> dict[int, bytes]:
    """Tells everyone that the ghost survived, and returns what they sign."""
    replies = {client: scene.deliver(client, scene.survivor_set(client, scene.ids)) for client in contacted(scene)}
    return {client: scene.read(reply).signature for client, reply in replies.items()}


def request(scene: Scene, signed: Mapping[int, bytes]) -> bytes:
    return scene.write(UnmaskingRequest(scene.bitmap(GHOST, signed), b"".join(signed[client] for client in signed)))


def test_a_ghost_does_not_count_towards_the_minimum_of_survivors():
    scene = with_a_ghost({"min_survivors": len(Scene(ACTIVE).ids)})
    for client in scene.neighbours(GHOST):
        lie = scene.survivor_set(client, scene.ids)
        error = scene.refused(client, lie, PolicyViolationError)
        assert (error.rule, error.offered) == ("min_survivors", len(contacted(scene)))
    for client in scene.strangers(GHOST):
        # They cannot tell yet, and neither of them is ever asked for a share of the ghost.
        assert scene.deliver(client, scene.survivor_set(client, scene.ids)) is not None


def test_a_client_that_asks_for_no_more_than_takes_part_goes_on():
    scene = with_a_ghost({"min_survivors": len(contacted(Scene(ACTIVE)))})
    signed = signatures(scene)
    for client in contacted(scene):
        assert scene.deliver(client, request(scene, signed)) is not None


def with_a_careful_stranger() -> Scene:
    """Of the ghost, who alone demands that everyone survives; its own neighbours are all there."""
    fewest = len(Scene(ACTIVE).ids)
    while True:
        scene = with_a_ghost({"min_survivors": fewest - 1}, {CAREFUL: {"min_survivors": fewest}})
        if CAREFUL in scene.strangers(GHOST):
            return scene


@sparse_only
def test_a_ghost_is_found_by_its_strangers_when_it_does_not_sign():
    scene = with_a_careful_stranger()
    signed = signatures(scene)
    error = scene.refused(CAREFUL, request(scene, signed), PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == (
        "min_survivors",
        len(contacted(scene)),
        f"at least {len(scene.ids)}",
    )
    # Whoever asks for no more goes on.
    assert scene.deliver(scene.neighbours(CAREFUL)[0], request(scene, signed)) is not None


@pytest.mark.slow
@sparse_only
@pytest.mark.parametrize("forger", ["nobody", "accomplice"])
def test_a_signature_cannot_be_made_up_for_a_ghost(forger: str):
    scene = with_a_careful_stranger()
    signed = signatures(scene)
    signed[GHOST] = bytes(64) if forger == "nobody" else signed[ACCOMPLICE]
    error = scene.refused(CAREFUL, request(scene, dict(sorted(signed.items()))), AuthenticationError)
    assert error.reason == "the signature over the survivor set does not verify"


@pytest.mark.parametrize("pinned", [0, 2])
def test_a_pinned_round_is_the_only_one_accepted(pinned: int):
    scene = Scene(ACTIVE, params={"round_number": 1}, policies={GHOST: {"round_number": pinned}})
    error = scene.refused(GHOST, scene.outbound[GHOST], PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("round_number", 1, pinned)
