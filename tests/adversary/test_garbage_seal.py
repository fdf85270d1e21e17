"""A client deals seals that do not open.

To few holders it changes nothing; a client that more than half of the others report is named, and the session fails
for it: nobody can take its masks off.
"""

import os

import pytest

from secagg.errors import InvalidShareError, TooFewClientsError
from secagg.messages import SEALED_BYTES
from secagg.params import AdversaryModel
from tests.adversary.scene import IDS, LIAR, THRESHOLD, Scene, bitmap, both_models, records, without

HOLDERS = without(IDS, LIAR)
TOLERATED = len(HOLDERS) - THRESHOLD


def dealt_garbage(scene: Scene, victims: list[int]) -> Scene:
    scene.until("share_keys")
    replies = scene.answers()
    table = records(scene.read(replies[LIAR]).table)
    for victim in victims:
        position = HOLDERS.index(victim)
        table[position] = os.urandom(SEALED_BYTES) + table[position][SEALED_BYTES:]
    replies[LIAR] = scene.altered(replies[LIAR], table=b"".join(table))
    scene.upload(replies)
    scene.close()
    return scene


@both_models
@pytest.mark.parametrize("victims", range(TOLERATED + 1))
def test_garbage_for_a_few_is_reported_and_the_sum_is_exact(model: AdversaryModel, victims: int):
    scene = dealt_garbage(Scene(model), HOLDERS[:victims])
    replies = scene.answers()
    for client, reply in replies.items():
        reported = {LIAR} if client in HOLDERS[:victims] else set()
        assert scene.read(reply).unopened == bitmap(reported)
    scene.upload(replies)
    scene.close()
    result = scene.finish()
    scene.assert_exact(result)
    assert not result.culprits


@both_models
def test_garbage_for_a_few_is_survived_when_the_dealer_vanishes(model: AdversaryModel):
    scene = dealt_garbage(Scene(model), HOLDERS[:TOLERATED])
    scene.until_survivors(silent={LIAR})
    scene.assert_exact(scene.finish(), missing={LIAR})


@both_models
@pytest.mark.parametrize("silent", [set(), {LIAR}], ids=["stays", "vanishes"])
@pytest.mark.parametrize("victims", [5, 8])
def test_garbage_for_more_than_half_fails_the_session_and_names_the_dealer(
    model: AdversaryModel, silent: set[int], victims: int
):
    scene = dealt_garbage(Scene(model), HOLDERS[:victims])
    scene.upload(scene.answers(silent))
    with pytest.raises(InvalidShareError) as raised:
        scene.close()
    assert (raised.value.culprit, raised.value.role, raised.value.dealer) == (LIAR, "dealer", LIAR)
    assert scene.server.faults[LIAR].error == "InvalidShareError"
    assert set(scene.server.faults) == {LIAR}
    assert not scene.server.can_close
    # The survivor set was never published: no client has released a share.
    assert all(not session.over for session in scene.clients.values())


@both_models
@pytest.mark.parametrize("victims", range(TOLERATED + 1, len(HOLDERS) // 2 + 1))
def test_garbage_for_up_to_half_fails_the_session_and_notes_a_dispute(model: AdversaryModel, victims: int):
    # From here on the accusers might as well be the liars: the dealer is noted, and the note says so.
    scene = dealt_garbage(Scene(model), HOLDERS[:victims])
    scene.upload(scene.answers())
    assert not scene.server.can_close
    with pytest.raises(TooFewClientsError) as raised:
        scene.close()
    error = raised.value
    assert (error.stage, error.neighbourhood, error.needed) == ("masked_input", LIAR, THRESHOLD)
    assert error.remaining == len(HOLDERS) - victims
    assert {client: fault.error for client, fault in scene.server.faults.items()} == {LIAR: "DisputedShares"}
    # The survivor set was never published: no client has released a share.
    assert all(not session.over for session in scene.clients.values())


@both_models
def test_a_dropout_that_only_the_garbage_makes_fatal_notes_a_dispute(model: AdversaryModel):
    scene = dealt_garbage(Scene(model), HOLDERS[:TOLERATED]).until("unmask")
    scene.upload(scene.answers(silent=[HOLDERS[-1]]))
    with pytest.raises(TooFewClientsError) as raised:
        scene.close()
    assert (raised.value.stage, raised.value.neighbourhood) == ("unmask", LIAR)
    assert {client: fault.error for client, fault in scene.server.faults.items()} == {LIAR: "DisputedShares"}


@both_models
def test_commitments_to_other_shares_are_reported_like_garbage(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    replies = scene.answers()
    table = records(scene.read(replies[LIAR]).table)
    table[0] = table[0][:SEALED_BYTES] + os.urandom(32)
    replies[LIAR] = scene.altered(replies[LIAR], table=b"".join(table))
    scene.upload(replies)
    scene.close()
    replies = scene.answers()
    assert scene.read(replies[HOLDERS[0]]).unopened == bitmap({LIAR})
    scene.upload(replies)
    scene.close()
    scene.assert_exact(scene.finish())
