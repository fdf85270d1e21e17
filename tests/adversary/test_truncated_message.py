"""Bytes are missing, or too many: garbage from the network must not end a session."""

import pytest

from secagg.errors import MalformedMessageError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import LIAR, VICTIM, Scene, both_models, every_exchange


def cut(data: bytes) -> list[bytes]:
    lengths = {*range(30), *range(0, len(data), 41), len(data) - 2, len(data) - 1}
    pieces = [data[:length] for length in sorted(lengths) if length < len(data)]
    return [*pieces, data + b"\0", data + b"\xc0", data + data, data[1:], b"\0" * len(data), b"\xff" * len(data)]


@every_exchange
def test_a_client_waits_on_for_the_whole_message(model: AdversaryModel, stage: str):
    scene = Scene(model).until(stage)
    session = scene.clients[VICTIM]
    before = session.to_bytes()
    for data in cut(scene.outbound[VICTIM]):
        with pytest.raises(MalformedMessageError):
            scene.deliver(VICTIM, data)
    assert session.to_bytes() == before
    scene.assert_exact(scene.finish())


@both_models
def test_the_server_waits_on_for_the_whole_message(model: AdversaryModel):
    scene = Scene(model)
    while True:
        replies = scene.answers()
        for data in cut(replies[LIAR]):
            with pytest.raises(MalformedMessageError) as raised:
                scene.server.receive(LIAR, data)
            assert raised.value.culprit == LIAR
        assert not scene.server.received
        scene.upload(replies)
        result = scene.close()
        if result is not None:
            break
    scene.assert_exact(result)
    assert set(result.culprits) == {LIAR}
