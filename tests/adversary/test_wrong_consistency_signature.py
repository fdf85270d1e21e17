"""A client signs something else than the survivor set: it is named, and the others' signatures are enough."""

import pytest

from secagg.errors import AuthenticationError, TooFewClientsError
from secagg.protocol.transcript import consistency_digest
from tests.kit.attack_scene import (
    ACTIVE,
    LIAR,
    NEIGHBOURS,
    QUORUM,
    SPARE,
    THRESHOLD,
    VICTIM,
    Scene,
    flipped,
    sparse_only,
    without,
)


def another_set(scene: Scene) -> bytes:
    cohort, others = scene.public(), without(scene.ids, SPARE)
    task_ctx = cohort.task_context(scene.models[LIAR], dealers=scene.bitmap(LIAR, scene.ids))
    survivors = scene.bitmap(LIAR, others)
    digest = consistency_digest(
        scene.params.suite, task_ctx, roster_hash=cohort.roster_hash, survivors=survivors, total=len(others)
    )
    return scene.identities[LIAR].sign(digest)


@pytest.mark.parametrize("lie", ["zeros", "bit", "another_clients", "another_set"])
def test_it_is_named_and_the_sum_is_exact(lie: str):
    scene = Scene(ACTIVE).until("consistency")
    replies = scene.answers()
    genuine = scene.read(replies[LIAR]).signature
    signature = {
        "zeros": lambda: bytes(64),
        "bit": lambda: flipped(genuine, 40),
        "another_clients": lambda: scene.read(replies[VICTIM]).signature,
        "another_set": lambda: another_set(scene),
    }[lie]()
    error = scene.accused(LIAR, scene.altered(replies.pop(LIAR), signature=signature), AuthenticationError)
    assert error.reason == "the signature over the survivor set does not verify"
    scene.upload(replies)
    scene.close()
    assert LIAR not in scene.outbound
    result = scene.finish()
    scene.assert_exact(result)
    assert (result.culprits[LIAR].stage, result.culprits[LIAR].error) == ("consistency", "AuthenticationError")


def test_without_a_quorum_nobody_is_asked_for_a_share():
    scene = Scene(ACTIVE).until("consistency")
    replies = list(scene.answers().items())
    needed = QUORUM if scene.sparse else THRESHOLD + 1
    scene.upload(dict(replies[: needed - 1]))
    with pytest.raises(TooFewClientsError) as raised:
        scene.close()
    error = raised.value
    assert (error.stage, error.neighbourhood, error.needed, error.remaining) == (
        "consistency",
        None,
        needed,
        needed - 1,
    )
    scene.upload(dict(replies[needed - 1 :]))
    scene.close()
    scene.assert_exact(scene.finish())


@sparse_only
def test_without_a_quorum_in_one_neighbourhood_nobody_is_asked_for_a_share():
    # Enough of the roster have signed, three of the victim's neighbours have not.
    scene = Scene(ACTIVE).until("consistency")
    replies = scene.answers()
    late = {client: replies.pop(client) for client in scene.neighbours(VICTIM)[: NEIGHBOURS - THRESHOLD + 1]}
    assert len(replies) == QUORUM
    scene.upload(replies)
    with pytest.raises(TooFewClientsError) as raised:
        scene.close()
    error = raised.value
    assert (error.stage, error.needed, error.remaining) == ("consistency", THRESHOLD, THRESHOLD - 1)
    assert not set(late) - set(scene.neighbours(error.neighbourhood))
    scene.upload(dict(list(late.items())[:1]))
    scene.close()
    scene.assert_exact(scene.finish())
