"""A server delivers shares from somebody who is no neighbour of the victim."""

from secagg.errors import InconsistentServerError
from secagg.messages import SHARE_RECORD_BYTES
from secagg.params import AdversaryModel
from tests.adversary.scene import IDS, SPARE, VICTIM, Scene, bitmap, both_models, without


@both_models
def test_a_share_of_the_client_itself_is_refused(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    genuine = scene.read(scene.outbound[VICTIM])
    lie = scene.altered(scene.outbound[VICTIM], senders=bitmap(IDS), table=genuine.table + bytes(SHARE_RECORD_BYTES))
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert error.rule == "senders"
    assert "no neighbour" in error.detail
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
def test_a_share_of_the_client_itself_in_the_place_of_a_peer_is_refused(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    lie = scene.altered(scene.outbound[VICTIM], senders=bitmap(without(IDS, SPARE)))
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "senders"


@both_models
def test_a_share_of_somebody_beyond_the_roster_is_garbage(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    genuine = scene.read(scene.outbound[VICTIM])
    beyond = genuine.senders[:-1] + bytes([genuine.senders[-1] | 0x80])
    scene.ignored(
        VICTIM,
        scene.altered(scene.outbound[VICTIM], senders=beyond, table=genuine.table + bytes(SHARE_RECORD_BYTES)),
    )
    scene.ignored(VICTIM, scene.altered(scene.outbound[VICTIM], senders=beyond))
    scene.ignored(VICTIM, scene.altered(scene.outbound[VICTIM], senders=genuine.senders + b"\0"))
    scene.assert_exact(scene.finish())
