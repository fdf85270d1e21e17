"""A server hands over signatures that cover something else than the victim's own tuple."""

import pytest

from secagg.errors import AuthenticationError, InconsistentServerError
from secagg.messages import UnmaskingRequest
from secagg.transcript import consistency_digest
from tests.adversary.scene import (
    ACTIVE,
    ANOTHER_MODEL,
    IDS,
    LIAR,
    OUR_MODEL,
    SPARE,
    VICTIM,
    Scene,
    bitmap,
    records,
    without,
)


def signed(scene: Scene, client: int, survivors: list[int], total: int, model: bytes) -> bytes:
    """A corrupt client signs whatever the server wants."""
    cohort = scene.cohort()
    digest = consistency_digest(
        scene.params.suite, cohort.task_context(model), cohort.roster_hash, bitmap(survivors), total
    )
    return scene.identities[client].sign(digest)


@pytest.mark.parametrize(
    ("survivors", "total", "model"),
    [
        (without(IDS, SPARE), len(IDS) - 1, OUR_MODEL),
        (list(IDS), len(IDS) - 1, OUR_MODEL),
        (list(IDS), len(IDS), ANOTHER_MODEL),
    ],
    ids=["another_set", "another_total", "another_model"],
)
def test_a_signature_over_another_tuple_is_refused(survivors: list[int], total: int, model: bytes):
    scene = Scene(ACTIVE).until("unmask")
    signatures = records(scene.read(scene.outbound[VICTIM]).signatures, 64)
    assert signatures[IDS.index(LIAR)] == signed(scene, LIAR, list(IDS), len(IDS), OUR_MODEL)
    signatures[IDS.index(LIAR)] = signed(scene, LIAR, survivors, total, model)
    lie = scene.write(UnmaskingRequest(bitmap(IDS), b"".join(signatures)))
    error = scene.refused(VICTIM, lie, AuthenticationError)
    assert error.reason == "the signature over the survivor set does not verify"
    scene.assert_exact(scene.finish())


def test_a_signature_of_somebody_outside_the_survivor_set_is_refused():
    scene = Scene(ACTIVE).until("masked_input").until("unmask", silent={SPARE})
    survivors = without(IDS, SPARE)
    genuine = dict(zip(survivors, records(scene.read(scene.outbound[VICTIM]).signatures, 64), strict=True))
    genuine[SPARE] = signed(scene, SPARE, survivors, len(survivors), OUR_MODEL)
    lie = scene.write(UnmaskingRequest(bitmap(IDS), b"".join(genuine[client] for client in IDS)))
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert (error.rule, error.detail) == ("quorum", "someone outside the survivor set is listed as a signer")
    scene.assert_exact(scene.finish(), missing={SPARE})
