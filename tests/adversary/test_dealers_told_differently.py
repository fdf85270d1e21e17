"""A server that tells clients of different dealers, so that one end of a pair masks and the other does not.

Who is told of other dealers derives another task context: its masks, its digest and the tuple that it signs differ
from everyone else's. Where clients do not see the whole roster the server is not a liar, by the model.
"""

import numpy as np
import pytest

from secagg.errors import AuthenticationError, InconsistentServerError
from secagg.protocol.messages import SHARE_RECORD_BYTES, UnmaskingRequest
from tests.kit.attack_scene import ACTIVE, PEER, SPARE, VICTIM, Scene, both_models, records, without


def told_without(scene: Scene, client: int, absent: int) -> bytes:
    """The delivery to a client as if `absent` had not dealt."""
    genuine = scene.read(scene.outbound[client])
    table = dict(zip(scene.neighbours(client), records(genuine.table), strict=True))
    table.pop(absent, None)
    told = scene.bitmap(client, without(scene.ids, absent))
    return scene.altered(scene.outbound[client], dealers=told, table=b"".join(table.values()))


@both_models
def test_an_honest_server_sees_at_once_that_somebody_was_told_otherwise(model):
    scene = Scene(model).until("masked_input")
    if not scene.params.shows_roster:
        pytest.skip("a client of this graph sees its neighbours only, and the model's server tells the truth")
    reply = scene.deliver(VICTIM, told_without(scene, VICTIM, PEER))
    scene.accused(VICTIM, reply, AuthenticationError)


def test_the_input_of_somebody_told_otherwise_is_noise_to_the_server():
    scene = Scene(ACTIVE).until("masked_input")
    everyone = {client: scene.deliver(client) for client in without(scene.ids, VICTIM)}
    astray = scene.read(scene.deliver(VICTIM, told_without(scene, VICTIM, PEER)))
    digests = {scene.read(reply).task_digest for reply in everyone.values()}
    assert len(digests) == 1
    assert astray.task_digest not in digests
    # Even a server that adds it under the others' digest gets no sum: not one mask of the pairs cancels.
    lie = scene.write(astray.__class__(astray.vector, astray.unopened, digests.pop()))
    scene.upload(everyone)
    scene.server.receive(VICTIM, lie)
    scene.close()
    for client in without(scene.ids, VICTIM):
        scene.server.receive(client, scene.deliver(client))
    scene.close()
    for client in without(scene.ids, VICTIM):
        scene.server.receive(client, scene.deliver(client))
    result = scene.close()
    assert result is not None
    for known in (scene.sum_of(scene.ids), scene.sum_of(without(scene.ids, VICTIM))):
        assert np.count_nonzero(result.sum == known) < 3


def test_a_signature_of_somebody_told_otherwise_counts_for_nobody_else():
    scene = Scene(ACTIVE).until("masked_input")
    for client in scene.ids:
        told = told_without(scene, client, SPARE) if client == PEER else None
        reply = scene.deliver(client, told)
        if client != PEER:
            scene.server.receive(client, reply)
    scene.close()
    # The others' set without SPARE and PEER fits what PEER was told as well.
    shown = {client: scene.survivor_set(client, without(scene.ids, SPARE)) for client in without(scene.ids, SPARE)}
    signatures = [scene.read(scene.deliver(client, data)).signature for client, data in shown.items()]
    request = scene.write(UnmaskingRequest(scene.bitmap(VICTIM, list(shown)), b"".join(signatures)))
    scene.refused(VICTIM, request, AuthenticationError)


@both_models
def test_a_client_that_is_missing_from_the_dealers_refuses(model):
    scene = Scene(model).until("masked_input")
    told = scene.bitmap(VICTIM, without(scene.ids, VICTIM))
    error = scene.refused(VICTIM, scene.altered(scene.outbound[VICTIM], dealers=told), InconsistentServerError)
    assert error.rule == "dealers"


@both_models
@pytest.mark.parametrize("change", [-SHARE_RECORD_BYTES, SHARE_RECORD_BYTES, -1, 1])
def test_a_table_that_is_not_the_dealers_among_the_neighbours_is_garbage(model, change):
    scene = Scene(model).until("masked_input")
    table = scene.read(scene.outbound[VICTIM]).table
    wrong = table[:change] if change < 0 else table + bytes(change)
    scene.ignored(VICTIM, scene.altered(scene.outbound[VICTIM], table=wrong))


def test_a_stranger_who_dealt_has_no_record_in_the_table():
    scene = Scene(ACTIVE).until("masked_input")
    strangers = set(scene.ids) - set(scene.neighbours(VICTIM)) - {VICTIM}
    if not strangers:
        pytest.skip("in the complete graph everyone is a neighbour")
    # Whether a stranger dealt or not changes no record, but it changes the context that is masked and signed in.
    told = scene.bitmap(VICTIM, without(scene.ids, strangers.pop()))
    reply = scene.deliver(VICTIM, scene.altered(scene.outbound[VICTIM], dealers=told))
    scene.accused(VICTIM, reply, AuthenticationError)
