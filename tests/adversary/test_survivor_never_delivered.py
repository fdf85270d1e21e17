"""A server declares somebody a survivor whose shares it never delivered to the victim.

The victim did not mask with that client, so the two would not cancel and the server could play one against the other.
"""

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from tests.adversary.scene import IDS, PEER, SPARE, VICTIM, Scene, bitmap, both_models, records, without


@both_models
def test_a_survivor_whose_shares_were_withheld_is_refused(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    senders = without(IDS, VICTIM)
    table = records(scene.read(scene.outbound[VICTIM]).table)
    del table[senders.index(PEER)]
    delivery = scene.altered(scene.outbound[VICTIM], senders=bitmap(without(senders, PEER)), table=b"".join(table))
    scene.outbound = {**scene.outbound, VICTIM: delivery}
    scene.exchange()
    error = scene.refused(VICTIM, scene.outbound[VICTIM], InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", "a survivor's shares were never delivered to this client")


@both_models
def test_a_survivor_that_never_dealt_is_refused(model: AdversaryModel):
    scene = Scene(model).until("share_keys").until("masked_input", silent={SPARE}).until_survivors()
    error = scene.refused(VICTIM, scene.survivor_set(IDS), InconsistentServerError)
    assert error.rule == "survivors"
    scene.assert_exact(scene.finish(silent={VICTIM}), missing={SPARE})
