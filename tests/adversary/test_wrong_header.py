"""A message with another version, suite, type or session in its header, or a body that contradicts it, is garbage."""

import pytest

from secagg.errors import MalformedMessageError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import SPARE, VICTIM, Scene, both_models, every_exchange

CHANGES = {
    "magic": lambda data: b"SAGS" + data[4:],
    "version_0": lambda data: data[:4] + b"\x00" + data[5:],
    "version_2": lambda data: data[:4] + b"\x02" + data[5:],
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
    for change in CHANGES.values():
        scene.ignored(VICTIM, change(scene.outbound[VICTIM]))
    scene.assert_exact(scene.finish())


@both_models
def test_a_client_ignores_a_message_of_another_session(model: AdversaryModel):
    scene, other = Scene(model), Scene(model)
    for stage in STAGES[1:]:
        if stage != "consistency" or scene.params.active:
            scene.until(stage)
            scene.ignored(VICTIM, other.until(stage).outbound[VICTIM])
    scene.assert_exact(scene.finish())


@both_models
def test_the_server_refuses_a_message_with_another_header_and_goes_on(model: AdversaryModel):
    scene, other = Scene(model), Scene(model)
    while True:
        replies = scene.answers()
        garbage = [change(replies[SPARE]) for change in CHANGES.values()]
        garbage.append(replies[SPARE][:7] + other.session_id + replies[SPARE][23:])
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
