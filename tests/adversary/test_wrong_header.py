"""A message with another version, suite or type in its header, or a body that contradicts it, is garbage.

One of another session is stray, and nobody's fault.
"""

import pytest

from secagg.errors import MalformedMessageError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import LIAR, SPARE, VICTIM, Scene, both_models, every_exchange

CHANGES = {
    "magic": lambda data: b"SAGS" + data[4:],
    "version_0": lambda data: data[:4] + b"\x00" + data[5:],
    "version_1": lambda data: data[:4] + b"\x01" + data[5:],
    "other_suite": lambda data: data[:5] + bytes([3 - data[5]]) + data[6:],
    "unknown_suite": lambda data: data[:5] + b"\x09" + data[6:],
    "other_type": lambda data: data[:6] + bytes([data[6] % 11 + 1]) + data[7:],
    "type_0": lambda data: data[:6] + b"\x00" + data[7:],
    "type_12": lambda data: data[:6] + b"\x0c" + data[7:],
    "type_255": lambda data: data[:6] + b"\xff" + data[7:],
    "body_of_another_type": lambda data: data[:24] + bytes([data[24] % 11 + 1]) + data[25:],
}
STAGES = ["advertise_keys", "share_keys", "masked_input", "consistency", "unmask"]


@every_exchange
def test_a_client_ignores_a_message_with_another_header(model: AdversaryModel, stage: str):
    scene = Scene(model).until(stage)
    for name, change in CHANGES.items():
        # Before there is a session, a message of any other type is one of some session before.
        drop = scene.strayed if (stage, name) == ("advertise_keys", "other_type") else scene.ignored
        drop(VICTIM, change(scene.outbound[VICTIM]))
    scene.assert_exact(scene.finish())


@both_models
def test_a_client_drops_a_message_of_another_session(model: AdversaryModel):
    scene, other = Scene(model), Scene(model)
    for stage in STAGES[1:]:
        if stage != "consistency" or scene.params.active:
            scene.until(stage)
            scene.strayed(VICTIM, other.until(stage).outbound[VICTIM])
    scene.assert_exact(scene.finish())


@both_models
def test_the_server_refuses_a_message_with_another_header_and_goes_on(model: AdversaryModel):
    scene = Scene(model)
    while True:
        replies = scene.answers()
        garbage = [change(replies[SPARE]) for change in CHANGES.values()]
        for data in garbage:
            with pytest.raises(MalformedMessageError) as raised:
                scene.server.receive(SPARE, data)
            assert raised.value.culprit == SPARE
        scene.upload(replies)
        result = scene.close()
        if result is not None:
            break
    scene.assert_exact(result)
    assert result.culprits[SPARE].error == "MalformedMessageError"
    assert result.culprits[SPARE].stage == "advertise_keys"


@both_models
def test_the_server_drops_a_message_of_another_session_and_notes_nobody(model: AdversaryModel):
    scene, other = Scene(model), Scene(model)
    # The late ones of a session with larger messages, too: their length is nobody's fault.
    larger = Scene(model, params={"vector_length": 1000})
    late: list[bytes] = []
    while True:
        for each in (other, larger):
            replies = each.answers()
            late.append(replies[SPARE])
            each.upload(replies)
            each.close()
        for data in late:
            scene.stray(SPARE, data)
            scene.stray(LIAR, data[:5] + bytes([3 - data[5]]) + data[6:])
        result = scene.exchange()
        if result is not None:
            break
    scene.assert_exact(result)
    assert not result.culprits
