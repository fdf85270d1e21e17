"""A server hands over signatures that cover something else than the victim's own tuple."""

from collections.abc import Collection

import pytest

from secagg.errors import AuthenticationError, InconsistentServerError
from secagg.protocol.messages import UnmaskingRequest
from secagg.protocol.transcript import consistency_digest
from tests.kit.attack_scene import (
    ACTIVE,
    ANOTHER_MODEL,
    LIAR,
    OUR_MODEL,
    SPARE,
    VICTIM,
    Scene,
    records,
    sparse_only,
    without,
)


def signed(
    scene: Scene,
    client: int,
    survivors: Collection[int],
    total: int,
    model: bytes = OUR_MODEL,
    dealers: Collection[int] | None = None,
) -> bytes:
    """A corrupt client signs whatever the server wants. Everyone dealt, unless it says otherwise."""
    cohort = scene.public()
    task_ctx = cohort.task_context(model, dealers=scene.bitmap(client, scene.ids if dealers is None else dealers))
    digest = consistency_digest(
        scene.params.suite,
        task_ctx,
        roster_hash=cohort.roster_hash,
        survivors=scene.bitmap(client, survivors),
        total=total,
    )
    return scene.identities[client].sign(digest)


def signed_otherwise(scene: Scene, client: int, otherwise: str) -> bytes:
    everyone, others = scene.ids, without(scene.ids, SPARE)
    if otherwise == "another_set":
        return signed(scene, client, others, len(others))
    if otherwise == "another_total":
        return signed(scene, client, everyone, len(others))
    if otherwise == "another_model":
        return signed(scene, client, everyone, len(everyone), model=ANOTHER_MODEL)
    return signed(scene, client, everyone, len(everyone), dealers=others)


tuples = pytest.mark.parametrize("otherwise", ["another_set", "another_total", "another_model", "other_dealers"])


def refused_from(scene: Scene, signer: int, otherwise: str) -> None:
    signatures = dict(zip(scene.ids, records(scene.read(scene.outbound[VICTIM]).signatures, 64), strict=True))
    assert signatures[signer] == signed(scene, signer, scene.ids, len(scene.ids))
    signatures[signer] = signed_otherwise(scene, signer, otherwise)
    lie = scene.write(UnmaskingRequest(scene.bitmap(VICTIM, scene.ids), b"".join(signatures.values())))
    error = scene.refused(VICTIM, lie, AuthenticationError)
    assert error.reason == "the signature over the survivor set does not verify"
    scene.assert_exact(scene.finish())


@tuples
def test_a_signature_over_another_otherwiseis_refused(otherwise: str):
    refused_from(Scene(ACTIVE).until("unmask"), LIAR, otherwise)


@sparse_only
@tuples
def test_a_signature_of_a_stranger_over_another_otherwiseis_refused(otherwise: str):
    # It is in no quorum of the victim's own, and counts among half of the roster.
    scene = Scene(ACTIVE).until("unmask")
    refused_from(scene, scene.strangers(VICTIM)[0], otherwise)


@sparse_only
def test_a_signature_of_a_stranger_outside_the_survivor_set_is_refused():
    scene = Scene(ACTIVE).until("masked_input")
    stranger = scene.strangers(VICTIM)[0]
    outside_is_refused(scene.until("unmask", silent={stranger}), stranger)


def test_a_signature_of_somebody_outside_the_survivor_set_is_refused():
    outside_is_refused(Scene(ACTIVE).until("masked_input").until("unmask", silent={SPARE}), SPARE)


def outside_is_refused(scene: Scene, dropped: int) -> None:
    survivors = without(scene.ids, dropped)
    genuine = dict(zip(survivors, records(scene.read(scene.outbound[VICTIM]).signatures, 64), strict=True))
    genuine[dropped] = signed(scene, dropped, survivors, len(survivors))
    everyone = b"".join(genuine[client] for client in scene.ids)
    lie = scene.write(UnmaskingRequest(scene.bitmap(VICTIM, scene.ids), everyone))
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert (error.rule, error.detail) == ("quorum", "someone outside the survivor set is listed as a signer")
    scene.assert_exact(scene.finish(), missing={dropped})
