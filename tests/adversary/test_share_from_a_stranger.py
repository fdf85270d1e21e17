"""A server delivers shares from somebody who is no neighbour of the victim: a stranger, or the victim itself.

A client is told who dealt and derives from whom it gets shares, so there is no way to say it. What is left is a record
too many, which is garbage, a record in the place of a peer's, which does not open, and a lie about who dealt.
"""

import re

import pytest

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from secagg.protocol.messages import SHARE_RECORD_BYTES
from tests.kit.attack_scene import (
    HONEST_BUT_CURIOUS,
    NEIGHBOURS,
    SPARE,
    VICTIM,
    Scene,
    both_models,
    records,
    sparse_only,
    without,
)


def own_record(scene: Scene, dealer: int) -> bytes:
    """Some record that a client dealt: the one for its first neighbour that dealt too."""
    holder = next(client for client in scene.neighbours(dealer) if client in scene.outbound)
    dealers = [client for client in scene.neighbours(holder) if client in scene.outbound]
    return records(scene.read(scene.outbound[holder]).table)[dealers.index(dealer)]


@both_models
def test_one_record_more_than_peers_dealt_is_garbage(model: AdversaryModel):
    # Longer than any delivery under these parameters: nothing of it is read.
    scene = Scene(model).until("masked_input")
    genuine = scene.read(scene.outbound[VICTIM])
    for dealer in (VICTIM, *scene.strangers(VICTIM)):
        lie = scene.altered(scene.outbound[VICTIM], table=genuine.table + own_record(scene, dealer))
        assert re.search("bytes, at most|more than the [0-9]* bytes", scene.ignored(VICTIM, lie).reason)
    scene.assert_exact(scene.finish())


@both_models
def test_a_record_in_the_place_of_a_peer_that_did_not_deal_is_garbage(model: AdversaryModel):
    scene = Scene(model).until("share_keys").until("masked_input", silent={SPARE})
    genuine = scene.read(scene.outbound[VICTIM])
    assert genuine.dealers == scene.bitmap(VICTIM, without(scene.ids, SPARE))
    for dealer in (VICTIM, *scene.strangers(VICTIM)):
        lie = scene.altered(scene.outbound[VICTIM], table=genuine.table + own_record(scene, dealer))
        error = scene.ignored(VICTIM, lie)
        assert error.reason == f"ShareDelivery: table is not the {NEIGHBOURS - 1} records of the dealers"
    scene.assert_exact(scene.finish(), missing={SPARE})


@both_models
def test_a_peer_less_among_the_dealers_than_records_is_garbage(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    lie = scene.altered(scene.outbound[VICTIM], dealers=scene.bitmap(VICTIM, without(scene.ids, SPARE)))
    error = scene.ignored(VICTIM, lie)
    assert error.reason == f"ShareDelivery: table is not the {NEIGHBOURS - 1} records of the dealers"
    scene.assert_exact(scene.finish())


@sparse_only
def test_one_stranger_less_among_the_dealers_takes_no_record_away():
    # The victim goes on, and masks under another context than all others: see test_dealers_told_differently.py.
    scene = Scene(AdversaryModel.ACTIVE).until("masked_input")
    stranger = scene.strangers(VICTIM)[0]
    honest = scene.read(scene.outbound[VICTIM])
    lie = scene.altered(scene.outbound[VICTIM], dealers=scene.bitmap(VICTIM, without(scene.ids, stranger)))
    fewer = scene.altered(lie, table=honest.table[:-SHARE_RECORD_BYTES])
    assert "8 records of the dealers" in scene.ignored(VICTIM, fewer).reason
    assert scene.deliver(VICTIM, lie) is not None


@both_models
@pytest.mark.parametrize("in_place_of_a_peer", [False, True])
def test_a_delivery_without_the_client_itself_is_refused(model: AdversaryModel, in_place_of_a_peer: bool):
    # Who is left out would hold shares of others that no survivor set ever asks for.
    scene = Scene(model).until("masked_input")
    genuine = scene.read(scene.outbound[VICTIM])
    absent = [VICTIM, SPARE] if in_place_of_a_peer else [VICTIM]
    table = records(genuine.table)[: NEIGHBOURS + 1 - len(absent)]
    lie = scene.altered(
        scene.outbound[VICTIM], dealers=scene.bitmap(VICTIM, without(scene.ids, *absent)), table=b"".join(table)
    )
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert (error.rule, error.detail) == ("dealers", "this client is missing from those who dealt")
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
def test_a_dealer_beyond_the_roster_is_garbage(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    genuine = scene.read(scene.outbound[VICTIM])
    for bit in range(len(scene.seen(VICTIM)) % 8, 8):
        beyond = genuine.dealers[:-1] + bytes([genuine.dealers[-1] | 1 << bit])
        for table in (genuine.table, genuine.table[:-SHARE_RECORD_BYTES]):
            lie = scene.altered(scene.outbound[VICTIM], dealers=beyond, table=table)
            assert "no bitmap" in scene.ignored(VICTIM, lie).reason
    for dealers in (b"", genuine.dealers[:-1], genuine.dealers + b"\0"):
        scene.ignored(VICTIM, scene.altered(scene.outbound[VICTIM], dealers=dealers))
    scene.assert_exact(scene.finish())


@sparse_only
def test_the_dealers_among_strangers_are_not_shown_to_who_sees_its_neighbourhood_only():
    scene = Scene(HONEST_BUT_CURIOUS).until("masked_input")
    everyone = bytes([0xFF, 0x07])
    assert len(scene.ids) == 11
    assert "no bitmap" in scene.ignored(VICTIM, scene.altered(scene.outbound[VICTIM], dealers=everyone)).reason
    scene.assert_exact(scene.finish())
