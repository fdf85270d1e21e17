"""A client deals seals that do not open.

To few holders it changes nothing; a client that more of its neighbours report than can be corrupt is named, and the
session fails for it: nobody can take its masks off.
"""

import os

import pytest

from secagg.errors import InvalidShareError, MalformedMessageError, TooFewClientsError
from secagg.graph.ring import Graph
from secagg.params import AdversaryModel
from secagg.primitives.agreement import KeyPair
from secagg.protocol.dealing import deal, dealing_rand_bytes
from secagg.protocol.messages import SEALED_BYTES
from tests.kit.attack_scene import BELIEVED, LIAR, NEIGHBOURS, THRESHOLD, Scene, both_models, records, sparse_only

TOLERATED = NEIGHBOURS - THRESHOLD


def dealt_garbage(scene: Scene, victims: int) -> Scene:
    """Runs round 1 with garbage for so many of the liar's neighbours, from the first."""
    scene.until("share_keys")
    replies = scene.answers()
    table = records(scene.read(replies[LIAR]).table)
    assert len(table) == NEIGHBOURS
    for position in range(victims):
        table[position] = os.urandom(SEALED_BYTES) + table[position][SEALED_BYTES:]
    replies[LIAR] = scene.altered(replies[LIAR], table=b"".join(table))
    scene.upload(replies)
    scene.close()
    return scene


@both_models
@pytest.mark.parametrize("victims", range(TOLERATED + 1))
def test_garbage_for_a_few_is_reported_and_the_sum_is_exact(model: AdversaryModel, victims: int):
    scene = dealt_garbage(Scene(model), victims)
    deceived = scene.neighbours(LIAR)[:victims]
    replies = scene.answers()
    for client, reply in replies.items():
        reported = {LIAR} if client in deceived else set()
        assert scene.read(reply).unopened == scene.bitmap(client, reported)
    scene.upload(replies)
    scene.close()
    result = scene.finish()
    scene.assert_exact(result)
    assert not result.culprits


@both_models
def test_garbage_for_a_few_is_survived_when_the_dealer_vanishes(model: AdversaryModel):
    scene = dealt_garbage(Scene(model), TOLERATED)
    scene.until_survivors(silent={LIAR})
    scene.assert_exact(scene.finish(), missing={LIAR})


@both_models
@pytest.mark.parametrize("silent", [set(), {LIAR}], ids=["stays", "vanishes"])
@pytest.mark.parametrize("everyone", [False, True], ids=["fewest", "everyone"])
def test_garbage_for_more_than_can_lie_fails_the_session_and_names_the_dealer(
    model: AdversaryModel, silent: set[int], everyone: bool
):
    victims = NEIGHBOURS if everyone else BELIEVED[model]
    scene = dealt_garbage(Scene(model), victims)
    scene.upload(scene.answers(silent))
    with pytest.raises(InvalidShareError) as raised:
        scene.close()
    assert (raised.value.culprit, raised.value.role, raised.value.dealer) == (LIAR, "dealer", LIAR)
    assert scene.server.faults[LIAR].error == "InvalidShareError"
    assert set(scene.server.faults) == {LIAR}
    assert not scene.server.can_close
    # The survivor set was never published: no client has released a share.
    assert all(not session.over for session in scene.clients.values())


@pytest.mark.parametrize(
    ("model", "victims"), [(model, victims) for model in BELIEVED for victims in range(TOLERATED + 1, BELIEVED[model])]
)
def test_garbage_for_fewer_fails_the_session_and_notes_a_dispute(model: AdversaryModel, victims: int):
    # From here on the accusers might as well be the liars: the dealer is noted, and the note says so.
    scene = dealt_garbage(Scene(model), victims)
    scene.upload(scene.answers())
    assert not scene.server.can_close
    with pytest.raises(TooFewClientsError) as raised:
        scene.close()
    error = raised.value
    assert (error.stage, error.neighbourhood, error.needed) == ("masked_input", LIAR, THRESHOLD)
    assert error.remaining == NEIGHBOURS - victims
    assert {client: fault.error for client, fault in scene.server.faults.items()} == {LIAR: "DisputedShares"}
    # The survivor set was never published: no client has released a share.
    assert all(not session.over for session in scene.clients.values())


@both_models
def test_a_dropout_that_only_the_garbage_makes_fatal_notes_a_dispute(model: AdversaryModel):
    scene = dealt_garbage(Scene(model), TOLERATED).until("unmask")
    scene.upload(scene.answers(silent=scene.neighbours(LIAR)[-1:]))
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
    deceived = scene.neighbours(LIAR)[0]
    assert scene.read(replies[deceived]).unopened == scene.bitmap(deceived, {LIAR})
    scene.upload(replies)
    scene.close()
    scene.assert_exact(scene.finish())


@both_models
@pytest.mark.parametrize("records_more", [-NEIGHBOURS, -1, 1, 2])
def test_a_dealer_to_fewer_or_more_than_its_neighbours_is_named(model: AdversaryModel, records_more: int):
    # In the sparse graph two more are as many as there are strangers: nobody deals to those.
    scene = Scene(model).until("share_keys")
    replies = scene.answers()
    table = records(scene.read(replies[LIAR]).table)
    assert len(table) == NEIGHBOURS
    wrong = table[:records_more] if records_more < 0 else table + table[:records_more]
    scene.accused(LIAR, scene.altered(replies.pop(LIAR), table=b"".join(wrong)), MalformedMessageError)
    scene.upload(replies)
    scene.close()
    scene.assert_exact(scene.finish(), missing={LIAR})


def dealt_along(scene: Scene, seed: bytes) -> list[int]:
    """To whom the liar deals who takes another ring for the session's."""
    cohort = scene.public()
    ring = Graph(len(cohort.roster), neighbours=NEIGHBOURS, seed=seed, suite=cohort.params.suite)
    return [cohort.client(place) for place in ring.neighbours(cohort.roster.index[LIAR]).tolist()]


@sparse_only
@both_models
@pytest.mark.parametrize("deceived", range(1, NEIGHBOURS // 2 + 3))
def test_what_is_dealt_along_another_ring_opens_for_nobody_in_whose_place_it_lies(model: AdversaryModel, deceived: int):
    scene = Scene(model).until("share_keys")
    advertised = scene.clients[LIAR]._state._peek()
    replies = scene.answers()
    rand = scene.clients[LIAR]._state._peek().self_mask_seed + os.urandom(dealing_rand_bytes(NEIGHBOURS) - 32)
    holders, reporters, seed = scene.neighbours(LIAR), [], b""
    while len(reporters) != deceived:
        seed = os.urandom(32)
        pairs = zip(holders, dealt_along(scene, seed), strict=True)
        reporters = [holder for holder, receiver in pairs if holder != receiver]
    cohort = scene.server._current.facts.cohort()
    cohort.graph = Graph(len(cohort.roster), neighbours=NEIGHBOURS, seed=seed, suite=cohort.params.suite)
    seal = KeyPair(advertised.seal_private)
    table, _ = deal(cohort, cohort.roster.index[LIAR], seal=seal, mask_private=advertised.mask_private, rand=rand)
    replies[LIAR] = scene.altered(replies[LIAR], table=table)
    scene.upload(replies)
    scene.close()
    replies = scene.answers()
    for client, reply in replies.items():
        assert scene.read(reply).unopened == scene.bitmap(client, {LIAR} if client in reporters else set())
    scene.upload(replies)
    if deceived <= TOLERATED:
        scene.close()
        scene.assert_exact(scene.finish())
        return
    believed = deceived >= BELIEVED[model]
    with pytest.raises(InvalidShareError if believed else TooFewClientsError):
        scene.close()
    fault = "InvalidShareError" if believed else "DisputedShares"
    assert {client: noted.error for client, noted in scene.server.faults.items()} == {LIAR: fault}
