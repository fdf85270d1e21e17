"""A server asks a client twice for its shares."""

import pytest

from secagg.errors import StateSpentError
from secagg.params import AdversaryModel
from secagg.protocol.messages import UnmaskingRequest
from tests.kit.attack_scene import ACTIVE, SPARE, VICTIM, Scene, both_models, records, without


@both_models
def test_the_same_request_gets_the_same_bytes(model: AdversaryModel):
    scene = Scene(model).until("unmask")
    first = scene.deliver(VICTIM)
    assert scene.clients[VICTIM].over
    assert scene.deliver(VICTIM) == first
    scene.upload({VICTIM: first})
    scene.assert_exact(scene.finish())


def test_a_sound_request_with_other_signers_gets_nothing():
    scene = Scene(ACTIVE).until("unmask")
    genuine = scene.read(scene.outbound[VICTIM])
    signatures = dict(zip(scene.ids, records(genuine.signatures, 64), strict=True))
    fewer = without(scene.ids, SPARE)
    other = scene.write(UnmaskingRequest(scene.bitmap(VICTIM, fewer), b"".join(signatures[client] for client in fewer)))
    assert scene.deliver(VICTIM) is not None
    with pytest.raises(StateSpentError):
        scene.deliver(VICTIM, other)
    # On its own it would have been answered.
    assert scene.deliver(scene.ids[0], other) is not None
