"""A server puts keys of its own under the victim's id."""

import os
from dataclasses import replace

import pytest

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from secagg.primitives.agreement import KeyPair
from tests.kit.attack_scene import ACTIVE, LIAR, VICTIM, Scene, both_models


def with_victim(scene: Scene, **changes: bytes) -> bytes:
    entries = [replace(entry, **changes) if entry.client == VICTIM else entry for entry in scene.roster(VICTIM)]
    return scene.roster_message(entries, VICTIM)


@both_models
@pytest.mark.parametrize("keys", [("seal_key",), ("mask_key",), ("seal_key", "mask_key")])
def test_a_client_refuses_a_roster_with_another_key_of_its_own(model: AdversaryModel, keys: tuple[str, ...]):
    scene = Scene(model).until("share_keys")
    lie = with_victim(scene, **{key: KeyPair(os.urandom(32)).public for key in keys})
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "own_entry"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
def test_a_client_refuses_a_roster_with_its_keys_exchanged(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    own = next(entry for entry in scene.roster(VICTIM) if entry.client == VICTIM)
    lie = with_victim(scene, seal_key=own.mask_key, mask_key=own.seal_key)
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "own_entry"


def test_a_client_refuses_a_roster_with_another_signature_of_its_own():
    scene = Scene(ACTIVE).until("share_keys")
    lie = with_victim(scene, signature=scene.identities[LIAR].sign(b"anything"))
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "own_entry"
    scene.assert_exact(scene.finish(), missing={VICTIM})
