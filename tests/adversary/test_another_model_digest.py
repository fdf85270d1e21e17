"""A server gives one client another model, to find that client's part in the sum (Pasquini et al. 2022)."""

import numpy as np
import pytest

from secagg.errors import AuthenticationError
from secagg.messages import UnmaskingRequest
from secagg.params import AdversaryModel
from tests.adversary.scene import ACTIVE, ANOTHER_MODEL, HONEST_BUT_CURIOUS, IDS, VICTIM, Scene, bitmap, both_models


def digests_forged(scene: Scene, replies: dict[int, bytes]) -> dict[int, bytes]:
    """A lying server hides the mismatch from its own check."""
    expected = scene.read(replies[IDS[-1]]).task_digest
    return {client: scene.altered(reply, task_digest=expected) for client, reply in replies.items()}


@both_models
def test_the_server_names_a_client_with_another_model_and_the_sum_is_exact_without_it(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    scene.models[VICTIM] = ANOTHER_MODEL
    replies = scene.answers()
    error = scene.accused(VICTIM, replies.pop(VICTIM), AuthenticationError)
    assert error.reason == "it masked for another model digest or round"
    scene.upload(replies)
    scene.close()
    result = scene.finish()
    scene.assert_exact(result, missing={VICTIM})
    assert result.culprits[VICTIM].stage == "masked_input"


@both_models
def test_a_server_of_another_model_than_its_clients_names_them_all(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    scene.models = dict.fromkeys(IDS, ANOTHER_MODEL)
    for client, reply in scene.answers().items():
        scene.accused(client, reply, AuthenticationError)
    assert not scene.server.can_close


@pytest.mark.parametrize("another", [[VICTIM], list(IDS[:4])])
def test_a_server_that_hides_the_mismatch_gets_no_share(another: list[int]):
    scene = Scene(ACTIVE).until("masked_input")
    scene.models |= dict.fromkeys(another, ANOTHER_MODEL)
    scene.upload(digests_forged(scene, scene.answers()))
    scene.close()
    signatures = b"".join(scene.read(reply).signature for reply in scene.answers().values())
    lie = scene.write(UnmaskingRequest(bitmap(IDS), signatures))
    for client in IDS:
        error = scene.refused(client, lie, AuthenticationError)
        assert error.reason == "the signature over the survivor set does not verify"


def test_a_server_that_hides_the_mismatch_gets_garbage():
    scene = Scene(HONEST_BUT_CURIOUS).until("masked_input")
    scene.models[VICTIM] = ANOTHER_MODEL
    scene.upload(digests_forged(scene, scene.answers()))
    scene.close()
    result = scene.finish()
    # 11 uniform words of 20 bits: one of them may be right by chance, once in 95,000 runs; two never are.
    others = [client for client in IDS if client != VICTIM]
    for known in (scene.sum_of(IDS), scene.sum_of(others)):
        assert np.count_nonzero(result.sum == known) <= 1
