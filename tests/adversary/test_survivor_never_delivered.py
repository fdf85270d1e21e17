"""A server declares somebody a survivor who did not deal, by what the victim was told.

The victim did not mask with that client, so the two would not cancel and the server could play one against the other.
"""

from secagg.errors import AuthenticationError, InconsistentServerError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import (
    ACTIVE,
    PEER,
    SPARE,
    VICTIM,
    Scene,
    both_models,
    records,
    sparse_only,
    without,
)


def without_the_shares_of(scene: Scene, withheld: int) -> None:
    """Tells the victim that somebody did not deal, and runs round 2."""
    table = records(scene.read(scene.outbound[VICTIM]).table)
    if withheld in scene.neighbours(VICTIM):
        del table[scene.neighbours(VICTIM).index(withheld)]
    delivery = scene.altered(
        scene.outbound[VICTIM], dealers=scene.bitmap(VICTIM, without(scene.ids, withheld)), table=b"".join(table)
    )
    scene.outbound = {**scene.outbound, VICTIM: delivery}
    replies = scene.answers()
    if scene.params.shows_roster:
        # An honest server sees the lie, for everyone is told who dealt and masks under it.
        scene.accused(VICTIM, replies.pop(VICTIM), AuthenticationError)
    scene.upload(replies)
    scene.close()


@both_models
def test_a_survivor_whose_shares_were_withheld_is_refused(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    without_the_shares_of(scene, PEER)
    error = scene.refused(VICTIM, scene.survivor_set(VICTIM, scene.ids), InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", "a survivor never dealt, by what this client was told")


@sparse_only
def test_a_stranger_that_survives_without_having_dealt_is_refused():
    scene = Scene(ACTIVE).until("masked_input")
    without_the_shares_of(scene, scene.strangers(VICTIM)[0])
    error = scene.refused(VICTIM, scene.survivor_set(VICTIM, scene.ids), InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", "a survivor never dealt, by what this client was told")


@both_models
def test_a_survivor_that_never_dealt_is_refused(model: AdversaryModel):
    scene = Scene(model).until("share_keys").until("masked_input", silent={SPARE}).until_survivors()
    error = scene.refused(VICTIM, scene.survivor_set(VICTIM, scene.ids), InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", "a survivor never dealt, by what this client was told")
    scene.assert_exact(scene.finish(silent={VICTIM}), missing={SPARE})


@sparse_only
@both_models
def test_a_stranger_that_never_dealt_and_survives_is_refused_where_it_is_seen(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    stranger = scene.strangers(VICTIM)[0]
    scene.until("masked_input", silent={stranger}).until_survivors()
    for client in without(scene.ids, stranger):
        lie = scene.survivor_set(client, scene.ids)
        if stranger in scene.seen(client):
            error = scene.refused(client, lie, InconsistentServerError)
            assert (error.rule, error.detail) == ("survivors", "a survivor never dealt, by what this client was told")
        else:
            # How many survive it takes on trust; it shares nothing with the one that did not deal.
            assert model is not ACTIVE
            assert scene.deliver(client, lie) is not None
