"""A client signs something else than the survivor set: it is named, and the others' signatures are enough."""

import pytest

from secagg.errors import AuthenticationError, TooFewClientsError
from secagg.transcript import consistency_digest
from tests.adversary.scene import ACTIVE, IDS, LIAR, SPARE, THRESHOLD, VICTIM, Scene, bitmap, flipped, without


def another_set(scene: Scene) -> bytes:
    cohort, survivors = scene.cohort(), without(IDS, SPARE)
    task_ctx = cohort.task_context(scene.models[LIAR])
    digest = consistency_digest(scene.params.suite, task_ctx, cohort.roster_hash, bitmap(survivors), len(survivors))
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
    scene.upload(dict(replies[:THRESHOLD]))
    with pytest.raises(TooFewClientsError) as raised:
        scene.close()
    error = raised.value
    assert (error.stage, error.needed, error.remaining) == ("consistency", THRESHOLD, THRESHOLD - 1)
    scene.upload(dict(replies[THRESHOLD:]))
    scene.close()
    scene.assert_exact(scene.finish())
