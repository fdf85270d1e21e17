"""A server counts a peer's own signature in that peer's quorum, and so comes out with one signer too few."""

import pytest

from secagg.errors import InconsistentServerError
from secagg.messages import UnmaskingRequest
from tests.adversary.scene import ACTIVE, IDS, THRESHOLD, VICTIM, Scene, bitmap, records, without


def request(scene: Scene, signers: list[int]) -> bytes:
    signatures = dict(zip(IDS, records(scene.read(scene.outbound[VICTIM]).signatures, 64), strict=True))
    return scene.write(UnmaskingRequest(bitmap(signers), b"".join(signatures[client] for client in signers)))


@pytest.mark.parametrize("with_me", [True, False])
def test_a_threshold_of_signers_that_counts_each_signer_for_itself_is_refused(with_me: bool):
    scene = Scene(ACTIVE).until("unmask")
    others = without(IDS, VICTIM)
    signers = sorted([VICTIM, *others[: THRESHOLD - 1]]) if with_me else others[:THRESHOLD]
    error = scene.refused(VICTIM, request(scene, signers), InconsistentServerError)
    assert error.rule == "quorum"
    assert error.detail == f"a neighbourhood has {THRESHOLD - 1} signers, {THRESHOLD} are needed"
    scene.assert_exact(scene.finish())


@pytest.mark.parametrize("signers", [0, 1, THRESHOLD - 1])
def test_fewer_signers_than_the_threshold_are_refused(signers: int):
    scene = Scene(ACTIVE).until("unmask")
    error = scene.refused(VICTIM, request(scene, list(IDS[:signers])), InconsistentServerError)
    assert error.rule == "quorum"


@pytest.mark.parametrize("with_me", [True, False])
def test_one_signer_more_is_enough(with_me: bool):
    scene = Scene(ACTIVE).until("unmask")
    others = without(IDS, VICTIM)
    signers = sorted([VICTIM, *others[:THRESHOLD]]) if with_me else others[: THRESHOLD + 1]
    scene.upload({VICTIM: scene.deliver(VICTIM, request(scene, signers))})
    scene.assert_exact(scene.finish())
