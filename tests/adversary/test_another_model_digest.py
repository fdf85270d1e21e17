"""A server gives some clients another model, to find their part in the sum (Pasquini et al. 2022)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from secagg.errors import AuthenticationError
from secagg.params import AdversaryModel
from secagg.primitives.masking import apply_masks, reduce_to_modulus
from secagg.primitives.packing import add_packed
from secagg.protocol.messages import UnmaskingRequest
from secagg.server import Result
from tests.kit.attack_scene import (
    ACTIVE,
    ANOTHER_MODEL,
    COMPLETE,
    HONEST_BUT_CURIOUS,
    OUR_MODEL,
    VICTIM,
    Scene,
    bitmap,
    both_models,
    sparse_only,
    without,
)


def digests_forged(scene: Scene, replies: dict[int, bytes]) -> dict[int, bytes]:
    """A lying server hides the mismatch from its own check."""
    expected = next(
        scene.read(reply).task_digest for client, reply in replies.items() if scene.models[client] == OUR_MODEL
    )
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
    scene.models = dict.fromkeys(scene.ids, ANOTHER_MODEL)
    for client, reply in scene.answers().items():
        scene.accused(client, reply, AuthenticationError)
    assert not scene.server.can_close


@pytest.mark.parametrize("another", [[VICTIM], list(COMPLETE[:4])])
def test_a_server_that_hides_the_mismatch_gets_no_share(another: list[int]):
    scene = Scene(ACTIVE).until("masked_input")
    scene.models |= dict.fromkeys(another, ANOTHER_MODEL)
    scene.upload(digests_forged(scene, scene.answers()))
    scene.close()
    signatures = b"".join(scene.read(reply).signature for reply in scene.answers().values())
    lie = scene.write(UnmaskingRequest(scene.bitmap(VICTIM, scene.ids), signatures))
    for client in scene.ids:
        error = scene.refused(client, lie, AuthenticationError)
        assert error.reason == "the signature over the survivor set does not verify"


class Masked:
    """Round 2 with another model for some, which the server hides; it keeps every vector and knows every seed."""

    def __init__(self, scene: Scene, another: Sequence[int]) -> None:
        self.scene = scene
        self.another = another
        scene.until("masked_input")
        scene.models |= dict.fromkeys(another, ANOTHER_MODEL)
        self.seeds = {client: session._state._peek().self_mask_seed for client, session in scene.clients.items()}
        replies = scene.answers()
        self.vectors = {client: scene.read(reply).vector for client, reply in replies.items()}
        scene.upload(digests_forged(scene, replies))
        scene.close()

    def left(self, clients: Sequence[int]) -> npt.NDArray[np.uint32]:
        """Returns the sum of some vectors, less each client's own mask, made for the model that it had."""
        scene, cohort = self.scene, self.scene.public()
        dealers = bitmap(scene.ids, scene.ids)
        total = np.zeros(scene.params.vector_length, np.uint32)
        masks = []
        for client in clients:
            add_packed(total, self.vectors[client], scene.params.modulus_bits)
            task_ctx = cohort.task_context(scene.models[client], dealers=dealers)
            masks.append(cohort.self_mask(cohort.roster.index[client], seed=self.seeds[client], task_ctx=task_ctx))
        apply_masks(total, add=[], subtract=masks, suite=scene.params.suite)
        reduce_to_modulus(total, scene.params.modulus_bits)
        return total

    def assert_garbage(self, result: Result) -> None:
        # 11 uniform words of 20 bits: one of them may be right by chance, once in 95,000 runs; two never are.
        scene = self.scene
        for clients in (scene.ids, without(scene.ids, *self.another), self.another):
            known = scene.sum_of(clients)
            assert np.count_nonzero(result.sum == known) <= 1
            assert np.count_nonzero(self.left(clients) == known) <= 1


@both_models
def test_with_one_model_nothing_is_left_but_the_sum(model: AdversaryModel):
    # The attack of the tests below, where it succeeds.
    masked = Masked(Scene(model), [])
    assert np.array_equal(masked.left(masked.scene.ids), masked.scene.sum_of(masked.scene.ids))


def test_a_server_that_hides_the_mismatch_gets_garbage():
    masked = Masked(Scene(HONEST_BUT_CURIOUS), [VICTIM])
    masked.assert_garbage(masked.scene.finish())


def asked_where_the_model_is_ours(masked: Masked) -> Result:
    """The server shows everyone the signatures over its own model only."""
    scene = masked.scene
    replies = scene.answers()
    for client in masked.another:
        error = scene.accused(client, replies.pop(client), AuthenticationError)
        assert error.reason == "the signature over the survivor set does not verify"
    scene.upload(replies)
    scene.close()
    assert set(scene.outbound) == set(scene.ids) - set(masked.another)
    request = next(iter(scene.outbound.values()))
    result = scene.finish()
    for client in masked.another:
        # It signed another tuple than those whose signatures it is shown.
        scene.refused(client, request, AuthenticationError)
    return result


def test_a_server_that_shows_only_the_signatures_that_fit_gets_garbage():
    masked = Masked(Scene(ACTIVE), [VICTIM])
    masked.assert_garbage(asked_where_the_model_is_ours(masked))


@sparse_only
def test_not_even_of_all_that_are_no_neighbours_of_one_client():
    # The victim and all of its neighbours have one model, its strangers another: whoever it masks with agrees with it.
    scene = Scene(ACTIVE).until("masked_input")
    strangers = scene.strangers(VICTIM)
    assert len(strangers) == 2
    masked = Masked(scene, strangers)
    masked.assert_garbage(asked_where_the_model_is_ours(masked))
