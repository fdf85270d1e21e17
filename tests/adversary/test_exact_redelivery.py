"""A message comes twice: the same bytes get the same reply, other bytes get none."""

import pytest

from secagg.client.session import ClientSession
from secagg.errors import StateSpentError, UnexpectedMessageError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import ACTIVE, SPARE, VICTIM, Scene, both_models, without


def restored(scene: Scene, client: int) -> ClientSession:
    identity = scene.identities[client] if scene.params.active else None
    return ClientSession.from_bytes(scene.clients[client].to_bytes(), identity=identity)


@both_models
def test_every_message_may_come_again(model: AdversaryModel):
    scene = Scene(model)
    while True:
        stage = scene.server.stage
        replies = scene.answers()
        for client, reply in replies.items():
            # A masked input is not kept: its loss is a dropout like any other.
            again = None if stage == "masked_input" else reply
            assert scene.deliver(client) == again
            scene.clients[client] = restored(scene, client)
            assert scene.deliver(client) == again
            assert scene.clients[client].receive(bytearray(scene.outbound[client])) == again
        scene.upload(replies)
        result = scene.close()
        if result is not None:
            break
    scene.assert_exact(result)


@both_models
@pytest.mark.parametrize("stage", ["share_keys", "masked_input"])
def test_another_message_of_the_same_round_is_refused(model: AdversaryModel, stage: str):
    scene, other = (Scene(model, session_id=bytes(16)).until(stage) for _ in range(2))
    assert scene.deliver(VICTIM) is not None
    second = other.outbound[VICTIM]
    assert second != scene.outbound[VICTIM]
    error = scene.refused(VICTIM, second, UnexpectedMessageError)
    assert error.received == type(scene.read(second)).__name__


@both_models
def test_the_reply_to_a_message_before_the_last_is_not_given_again_and_nothing_is_lost(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    roster = scene.outbound[VICTIM]
    scene.until_survivors()
    assert scene.deliver(VICTIM, roster) is None
    scene.assert_exact(scene.finish())


def test_a_second_invitation_is_refused_whatever_it_offers():
    scene = Scene(ACTIVE)
    first = scene.deliver(VICTIM)
    assert scene.deliver(VICTIM) == first
    other = Scene(ACTIVE, session_id=scene.session_id, params={"round_number": 1}).outbound[VICTIM]
    assert scene.refused(VICTIM, other, UnexpectedMessageError).received == "Invitation"


@both_models
def test_after_the_end_only_the_last_message_is_answered(model: AdversaryModel):
    scene = Scene(model).until("unmask")
    answer = scene.deliver(VICTIM)
    same, smaller = (scene.survivor_set(VICTIM, ids) for ids in (scene.ids, without(scene.ids, SPARE)))
    for other in (smaller, same + b"\0", scene.bitmap(VICTIM, scene.ids)):
        with pytest.raises(StateSpentError):
            scene.deliver(VICTIM, other)
    assert scene.deliver(VICTIM) == answer
