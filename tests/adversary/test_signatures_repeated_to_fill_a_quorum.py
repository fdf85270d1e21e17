"""A server has too few signatures and repeats them."""

import pytest

from secagg.errors import AuthenticationError
from secagg.protocol.messages import UnmaskingRequest
from tests.kit.attack_scene import ACTIVE, VICTIM, Scene, records


def genuine(scene: Scene) -> dict[int, bytes]:
    request = scene.read(scene.outbound[VICTIM])
    return dict(zip(scene.ids, records(request.signatures, 64), strict=True))


@pytest.mark.parametrize("distinct", [1, 2, 6, 8])
def test_a_signature_does_not_count_for_another_client(distinct: int):
    scene = Scene(ACTIVE).until("unmask")
    signatures = list(genuine(scene).values())[:distinct]
    repeated = (signatures * len(scene.ids))[: len(scene.ids)]
    lie = scene.write(UnmaskingRequest(scene.bitmap(VICTIM, scene.ids), b"".join(repeated)))
    error = scene.refused(VICTIM, lie, AuthenticationError)
    assert error.reason == "the signature over the survivor set does not verify"
    scene.assert_exact(scene.finish())


def test_more_signatures_than_signers_are_garbage():
    scene = Scene(ACTIVE).until("unmask")
    few = dict(list(genuine(scene).items())[:3])
    lie = scene.write(UnmaskingRequest(scene.bitmap(VICTIM, few), b"".join(few.values()) * 3))
    scene.ignored(VICTIM, lie)
    scene.assert_exact(scene.finish())


def test_signatures_in_another_order_are_refused():
    scene = Scene(ACTIVE).until("unmask")
    signatures = list(genuine(scene).values())
    signatures[0], signatures[1] = signatures[1], signatures[0]
    lie = scene.write(UnmaskingRequest(scene.bitmap(VICTIM, scene.ids), b"".join(signatures)))
    scene.refused(VICTIM, lie, AuthenticationError)
