"""A client deals sound-looking shares of something that is not its secret.

Every holder finds them as committed to, so nobody can tell before they are put together. Such a dealer forces one
failed session, in which it is named; nothing is released. (There is no verifiable secret sharing.)
"""

import os

import pytest

from secagg.errors import InvalidShareError, StateSpentError
from secagg.params import AdversaryModel
from secagg.primitives.agreement import KeyPair
from secagg.protocol.dealing import KIND_MASK_KEY, KIND_NAMES, KIND_SELF_MASK_SEED, deal, dealing_rand_bytes
from tests.kit.attack_scene import LIAR, NEIGHBOURS, Scene, both_models


def misdealt(scene: Scene, kind: int) -> Scene:
    """Runs round 1 with shares of a random secret in the place of one of the liar's two."""
    scene.until("share_keys")
    advertised = scene.clients[LIAR]._state._peek()
    replies = scene.answers()
    seed = scene.clients[LIAR]._state._peek().self_mask_seed
    rand = os.urandom(dealing_rand_bytes(NEIGHBOURS))
    mask_private = advertised.mask_private
    if kind == KIND_MASK_KEY:
        mask_private, rand = os.urandom(32), seed + rand[32:]
    cohort = scene.cohort(LIAR)
    table, _ = deal(
        cohort, cohort.roster.index[LIAR], seal=KeyPair(advertised.seal_private), mask_private=mask_private, rand=rand
    )
    replies[LIAR] = scene.altered(replies[LIAR], table=table)
    scene.upload(replies)
    scene.close()
    return scene


def assert_fails_and_names(scene: Scene, kind: int) -> None:
    scene.until("unmask")
    scene.upload(scene.answers())
    assert scene.server.can_close
    with pytest.raises(InvalidShareError) as raised:
        scene.close()
    error = raised.value
    assert (error.culprit, error.role, error.dealer, error.kind) == (LIAR, "dealer", LIAR, KIND_NAMES[kind])
    assert (scene.server.faults[LIAR].stage, scene.server.faults[LIAR].error) == ("unmask", "InvalidShareError")
    assert set(scene.server.faults) == {LIAR}
    with pytest.raises(StateSpentError):
        scene.close()
    with pytest.raises(StateSpentError):
        scene.server.receive(LIAR, b"")


@both_models
def test_shares_of_another_seed_fail_the_session_and_name_the_dealer(model: AdversaryModel):
    assert_fails_and_names(misdealt(Scene(model), KIND_SELF_MASK_SEED), KIND_SELF_MASK_SEED)


@both_models
def test_shares_of_another_key_fail_the_session_and_name_the_dealer_that_vanished(model: AdversaryModel):
    scene = misdealt(Scene(model), KIND_MASK_KEY).until_survivors(silent={LIAR})
    assert_fails_and_names(scene, KIND_MASK_KEY)


@both_models
def test_a_commitment_to_another_seed_fails_the_session_and_names_the_dealer(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    replies = scene.answers()
    replies[LIAR] = scene.altered(replies[LIAR], self_mask_commitment=os.urandom(32))
    scene.upload(replies)
    scene.close()
    assert_fails_and_names(scene, KIND_SELF_MASK_SEED)


@both_models
def test_bad_shares_of_the_secret_that_is_not_needed_do_no_harm(model: AdversaryModel):
    scene = misdealt(Scene(model), KIND_MASK_KEY)
    scene.assert_exact(scene.finish())
    scene = misdealt(Scene(model), KIND_SELF_MASK_SEED).until_survivors(silent={LIAR})
    scene.assert_exact(scene.finish(), missing={LIAR})


@both_models
def test_the_next_session_without_the_dealer_is_exact(model: AdversaryModel):
    assert_fails_and_names(misdealt(Scene(model), KIND_SELF_MASK_SEED), KIND_SELF_MASK_SEED)
    scene = Scene(model)
    scene.assert_exact(scene.finish(silent={LIAR}), missing={LIAR})
