"""Somebody sends far more bytes than the message can have: refused by its length, before anything is parsed."""

import re

import pytest

from secagg.errors import MalformedMessageError
from secagg.params import AdversaryModel
from secagg.protocol import wire
from secagg.protocol.messages import HEADER_BYTES
from tests.kit.attack_scene import LIAR, STRANGER, VICTIM, Scene, both_models, every_exchange, not_pipelined


class DecoderReachedError(Exception):
    pass


class Tripwire(dict):
    """In the place of the decoders."""

    def __getitem__(self, kind: int) -> object:
        raise DecoderReachedError


@pytest.fixture
def tripwire(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(wire, "_DECODERS", Tripwire())
    return monkeypatch


def limit(scene: Scene, data: bytes) -> int:
    """The longest body of a message's type."""
    return wire.MESSAGE_TYPES[data[6]].limit(scene.params)


def flood(scene: Scene, data: bytes, extra: int) -> bytes:
    return data + bytes(HEADER_BYTES + limit(scene, data) + extra - len(data))


@not_pipelined
@every_exchange
def test_a_client_parses_no_message_above_its_limit(model: AdversaryModel, stage: str, request: pytest.FixtureRequest):
    scene = Scene(model).until(stage)
    genuine = scene.outbound[VICTIM]
    monkeypatch = request.getfixturevalue("tripwire")
    with pytest.raises(DecoderReachedError):
        scene.deliver(VICTIM, flood(scene, genuine, 0))
    for extra in (1, 1000, 10_000_000):
        error = scene.ignored(VICTIM, flood(scene, genuine, extra))
        assert re.search("more than the [0-9]+ bytes|at most [0-9]+ allowed", error.reason)
    monkeypatch.undo()
    scene.assert_exact(scene.finish())


@both_models
def test_the_server_parses_no_message_above_its_limit(model: AdversaryModel, monkeypatch: pytest.MonkeyPatch):
    scene = Scene(model)
    while True:
        replies = scene.answers()
        with monkeypatch.context() as patch:
            patch.setattr(wire, "_DECODERS", Tripwire())
            with pytest.raises(DecoderReachedError):
                scene.server.receive(LIAR, flood(scene, replies[LIAR], 0))
            for sender in (LIAR, STRANGER):
                for extra in (1, 10_000_000):
                    with pytest.raises(MalformedMessageError) as raised:
                        scene.server.receive(sender, flood(scene, replies[LIAR], extra))
                    assert raised.value.culprit == sender
        scene.upload(replies)
        result = scene.close()
        if result is not None:
            break
    scene.assert_exact(result)
    assert set(result.culprits) == {LIAR}, "a stranger's bytes leave no trace"
    assert result.culprits[LIAR].error == "MalformedMessageError"


@both_models
def test_a_flood_of_messages_does_not_grow_the_server(model: AdversaryModel):
    scene = Scene(model)
    for sender in range(5000, 7000):
        with pytest.raises(MalformedMessageError):
            scene.server.receive(sender, b"\xff" * 100)
    for _ in range(100):
        with pytest.raises(MalformedMessageError):
            scene.server.receive(LIAR, b"\xff" * 100)
    assert set(scene.server.faults) == {LIAR}
    assert scene.server.awaited == frozenset(scene.ids)
    scene.assert_exact(scene.finish())
