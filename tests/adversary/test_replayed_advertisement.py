"""A server uses an old session id again and replays the signed keys of a client that it does not contact.

It may know that client's mask key: it rebuilt it when the client vanished from the first session. So
it can take a ghost's masks off by itself, and the ghost would fill up the survivors.
"""

import os

import pytest

from secagg.errors import PolicyViolationError
from secagg.messages import ShareKeys
from tests.adversary.scene import ACTIVE, IDS, LIAR, Scene, bitmap, without

GHOST = LIAR
CONTACTED = without(IDS, GHOST)


def with_a_ghost(**policy: object) -> Scene:
    """Runs rounds 0 to 2 of a second session with the same id, in which the ghost's part is made up."""
    first = Scene(ACTIVE, session_id=b"the same 16 byte")
    scene = Scene(ACTIVE, session_id=b"the same 16 byte", policy=policy)
    scene.upload({**scene.answers(silent=[GHOST]), GHOST: first.answers()[GHOST]})
    scene.close()
    replies = scene.answers(silent=[GHOST])
    table = os.urandom(len(scene.read(replies[CONTACTED[0]]).table))
    scene.upload({**replies, GHOST: scene.write(ShareKeys(table, os.urandom(32)))})
    scene.close()
    for reply in scene.answers(silent=[GHOST]).values():
        assert scene.read(reply).unopened == bitmap([GHOST])
    return scene


def test_a_ghost_does_not_count_towards_the_minimum_of_survivors():
    scene = with_a_ghost(min_survivors=len(IDS))
    for client in CONTACTED:
        error = scene.refused(client, scene.survivor_set(IDS), PolicyViolationError)
        assert (error.rule, error.offered) == ("min_survivors", len(CONTACTED))


def test_a_client_that_asks_for_no_more_than_takes_part_goes_on():
    scene = with_a_ghost(min_survivors=len(CONTACTED))
    for client in CONTACTED:
        assert scene.deliver(client, scene.survivor_set(IDS)) is not None


@pytest.mark.parametrize("pinned", [0, 2])
def test_a_pinned_round_is_the_only_one_accepted(pinned: int):
    scene = Scene(ACTIVE, params={"round_number": 1}, policies={GHOST: {"round_number": pinned}})
    error = scene.refused(GHOST, scene.outbound[GHOST], PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("round_number", 1, pinned)
