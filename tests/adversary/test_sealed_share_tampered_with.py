"""A server (or the network) spoils sealed shares: bit-flipped, truncated, re-routed, reflected or replayed.

A seal that does not open never aborts and never shrinks V_u: the client masks with that peer all the same, holds
no share of it, says so, and the exact sum comes out without that share.
"""

import pytest

from secagg.errors import SERVER
from secagg.params import AdversaryModel
from secagg.primitives.shamir import SHARE_BYTES
from secagg.protocol.messages import SEALED_BYTES
from tests.kit.attack_scene import LIAR, NEIGHBOURS, PEER, VICTIM, Scene, both_models, flipped, records, sparse_only


def table_for(scene: Scene, client: int) -> dict[int, bytes]:
    return dict(zip(scene.neighbours(client), records(scene.read(scene.outbound[client]).table), strict=True))


def assert_reported_and_exact(scene: Scene, table: dict[int, bytes], spoilt: set[int]) -> None:
    lie = scene.altered(scene.outbound[VICTIM], table=b"".join(table[dealer] for dealer in sorted(table)))
    scene.outbound = {**scene.outbound, VICTIM: lie}
    replies = scene.answers()
    assert scene.read(replies[VICTIM]).unopened == scene.bitmap(VICTIM, spoilt)
    scene.upload(replies)
    scene.close()
    if scene.params.active:
        scene.exchange()
    answers = scene.answers()
    shares = scene.read(answers[VICTIM]).table
    assert len(shares) == (NEIGHBOURS - len(spoilt)) * SHARE_BYTES
    scene.upload(answers)
    result = scene.close()
    scene.assert_exact(result)
    assert not result.culprits


@both_models
@pytest.mark.parametrize("position", [0, 23, 24, 103, 104, 119, 120, 135, 136, 151])
def test_one_bit_turned_over_anywhere_in_a_record_is_reported(model: AdversaryModel, position: int):
    scene = Scene(model).until("masked_input")
    table = table_for(scene, VICTIM)
    table[PEER] = flipped(table[PEER], position)
    assert_reported_and_exact(scene, table, {PEER})


@both_models
def test_a_record_for_another_receiver_is_reported(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    table = table_for(scene, VICTIM)
    table[PEER] = table_for(scene, LIAR)[PEER]
    assert_reported_and_exact(scene, table, {PEER})


@both_models
@sparse_only
@pytest.mark.parametrize("receiver", [0, NEIGHBOURS - 1])
def test_a_record_of_a_stranger_is_reported(model: AdversaryModel, receiver: int):
    # Whichever of them: a stranger never sealed anything to this client.
    scene = Scene(model).until("masked_input")
    stranger = scene.strangers(VICTIM)[0]
    table = table_for(scene, VICTIM)
    table[PEER] = table_for(scene, scene.neighbours(stranger)[receiver])[stranger]
    assert_reported_and_exact(scene, table, {PEER})


@both_models
def test_records_of_two_dealers_exchanged_are_reported(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    table = table_for(scene, VICTIM)
    table[PEER], table[LIAR] = table[LIAR], table[PEER]
    assert_reported_and_exact(scene, table, {PEER, LIAR})


@both_models
def test_the_commitments_of_another_receiver_are_reported(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    table = table_for(scene, VICTIM)
    table[PEER] = table[PEER][:SEALED_BYTES] + table_for(scene, LIAR)[PEER][SEALED_BYTES:]
    assert_reported_and_exact(scene, table, {PEER})


@both_models
def test_a_client_does_not_open_its_own_record_reflected_at_it(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    table = table_for(scene, VICTIM)
    table[PEER] = table_for(scene, PEER)[VICTIM]
    # Not even the seal opens, for either direction has its own key.
    key = records(scene.clients[VICTIM]._state._peek().opening_keys, 32)[scene.neighbours(VICTIM).index(PEER)]
    cohort = scene.public()
    inward = cohort.seal_context(cohort.roster.index[PEER], receiver=cohort.roster.index[VICTIM])
    assert inward.unseal(key, sealed=table_for(scene, VICTIM)[PEER][:SEALED_BYTES]) is not None
    assert inward.unseal(key, sealed=table[PEER][:SEALED_BYTES]) is None
    assert_reported_and_exact(scene, table, {PEER})


@both_models
@pytest.mark.parametrize("left", [0, 24, 40, 119])
def test_a_record_cut_short_and_padded_is_reported(model: AdversaryModel, left: int):
    scene = Scene(model).until("masked_input")
    table = table_for(scene, VICTIM)
    # Padded with what was not there, be it one byte.
    padding = b"\1" if table[PEER][left] == 0 else b"\0"
    table[PEER] = table[PEER][:left].ljust(SEALED_BYTES, padding) + table[PEER][SEALED_BYTES:]
    assert_reported_and_exact(scene, table, {PEER})


@both_models
def test_a_record_of_an_earlier_session_is_reported(model: AdversaryModel):
    scene, earlier = (Scene(model, session_id=bytes(16)).until("masked_input") for _ in range(2))
    table = table_for(scene, VICTIM)
    table[PEER] = table_for(earlier, VICTIM)[PEER]
    assert_reported_and_exact(scene, table, {PEER})


@both_models
def test_a_table_cut_short_is_garbage(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    table = scene.read(scene.outbound[VICTIM]).table
    for length in (0, 1, len(table) - 1, len(table) - 152, len(table) + 152):
        lie = scene.altered(scene.outbound[VICTIM], table=table.ljust(length, b"\0")[:length])
        assert scene.ignored(VICTIM, lie).culprit is SERVER
    scene.assert_exact(scene.finish())
