"""A client hands in another client's masked vector as its own, to see that vector in the sum.

Nobody can tell: every masked vector is uniform. A malicious client can always spoil a sum; it learns nothing by it,
for its own masks and the victim's are not the same and stay in the sum.
"""

import numpy as np
import pytest

from secagg.errors import AuthenticationError, UnexpectedMessageError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import LIAR, VICTIM, Scene, both_models, without


@both_models
def test_the_sum_is_garbage_and_shows_neither_vector(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    replies = scene.answers()
    stolen = scene.read(replies[VICTIM]).vector.tobytes()
    replies[LIAR] = replies[VICTIM]
    scene.upload(replies)
    scene.close()
    result = scene.finish()
    assert result.survivors == frozenset(scene.ids)
    modulus = 2**scene.params.modulus_bits
    others = scene.sum_of(without(scene.ids, LIAR, VICTIM)).astype(np.int64)
    victim, liar = (scene.vectors[client].astype(np.int64) for client in (VICTIM, LIAR))
    # 11 uniform words of 20 bits: two of them are right by chance less than once in 10**10 runs.
    for times in range(-2, 3):
        for own in range(2):
            guess = (others + times * victim + own * liar) % modulus
            assert np.count_nonzero(result.sum == guess) <= 1
    assert stolen not in result.sum.tobytes()


@both_models
def test_handing_it_in_under_the_victims_id_a_second_time_changes_nothing(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    replies = scene.answers()
    scene.upload(replies)
    with pytest.raises(UnexpectedMessageError):
        scene.server.receive(VICTIM, replies[VICTIM])
    scene.close()
    scene.assert_exact(scene.finish())


@both_models
@pytest.mark.parametrize("same_id", [True, False])
def test_a_masked_vector_of_an_earlier_session_is_refused(model: AdversaryModel, same_id: bool):
    ids = [bytes(16), bytes(16) if same_id else bytes(range(16))]
    scene, earlier = (Scene(model, session_id=session_id).until("masked_input") for session_id in ids)
    replies, old = scene.answers(), earlier.answers()
    del replies[LIAR]
    if same_id and not scene.params.shows_roster:
        # All that a client of this graph knows of the two sessions is the same, but the keys that it masked with. A
        # server that does not lie never takes an id twice.
        scene.server.receive(LIAR, old[LIAR])
        scene.upload(replies)
        scene.close()
        result = scene.finish()
        for clients in (scene.ids, without(scene.ids, LIAR)):
            assert np.count_nonzero(result.sum == scene.sum_of(clients)) <= 1
        return
    if same_id:
        scene.accused(LIAR, old[LIAR], AuthenticationError)
    else:
        scene.stray(LIAR, old[LIAR])
    scene.upload(replies)
    scene.close()
    scene.assert_exact(scene.finish(), missing={LIAR})
