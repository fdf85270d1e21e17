"""A damaged, foreign or wrongly opened snapshot is a local error, whatever was done to it."""

import hashlib

import pytest

from secagg.client.session import ClientSession
from secagg.errors import InvalidInputError, InvalidStateError, LocalError
from secagg.params import AdversaryModel
from secagg.server.session import ServerSession
from tests.kit.attack_scene import ACTIVE, HONEST_BUT_CURIOUS, LIAR, VICTIM, Scene, both_models, flipped

KEY, ANOTHER_KEY = b"k" * 32, b"K" * 32
wrapped_or_not = pytest.mark.parametrize("key", [None, KEY], ids=["plain", "wrapped"])


def opened(scene: Scene, data: bytes, key: bytes | None = None) -> ClientSession:
    identity = scene.identities[VICTIM] if scene.params.active else None
    return ClientSession.from_bytes(data, identity=identity, wrapping_key=key)


@both_models
@wrapped_or_not
def test_a_snapshot_restores_at_every_stage_and_the_sum_is_exact(model: AdversaryModel, key: bytes | None):
    scene = Scene(model)
    while True:
        for client in scene.clients:
            identity = scene.identities[client] if scene.params.active else None
            data = scene.clients[client].to_bytes(key)
            scene.clients[client] = ClientSession.from_bytes(data, identity=identity, wrapping_key=key)
        scene.server = ServerSession.from_bytes(scene.server.to_bytes(key), wrapping_key=key)
        result = scene.exchange()
        if result is not None:
            break
    scene.assert_exact(result)


@both_models
def test_a_wrapped_snapshot_shows_no_secret(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    data = scene.clients[VICTIM].to_bytes(KEY)
    assert not [secret for secret in scene.secrets(VICTIM) if secret in data]
    assert KEY not in data


@both_models
@wrapped_or_not
@pytest.mark.parametrize("stage", ["share_keys", "masked_input", "unmask"])
def test_a_snapshot_cut_short_is_refused(model: AdversaryModel, key: bytes | None, stage: str):
    scene = Scene(model).until(stage)
    for data, restore in (
        (scene.clients[VICTIM].to_bytes(key), lambda data: opened(scene, data, key)),
        (scene.server.to_bytes(key), lambda data: ServerSession.from_bytes(data, wrapping_key=key)),
    ):
        for length in {*range(80), *range(0, len(data), 97), len(data) - 1}:
            with pytest.raises(InvalidStateError):
                restore(data[:length])
        with pytest.raises(InvalidStateError):
            restore(data + b"\0")


@both_models
@wrapped_or_not
def test_a_snapshot_with_one_bit_turned_over_is_refused(model: AdversaryModel, key: bytes | None):
    scene = Scene(model).until("masked_input")
    data = scene.clients[VICTIM].to_bytes(key)
    for position in {*range(100), *range(0, len(data), 31), len(data) - 1}:
        with pytest.raises(InvalidStateError):
            opened(scene, flipped(data, position), key)


@both_models
def test_a_wrong_missing_or_needless_wrapping_key_is_refused(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    plain, wrapped = scene.clients[VICTIM].to_bytes(), scene.clients[VICTIM].to_bytes(KEY)
    for data, key in ((wrapped, ANOTHER_KEY), (wrapped, None), (plain, KEY)):
        with pytest.raises(InvalidStateError):
            opened(scene, data, key)
    # A wrapped snapshot that claims to be plain, and the other way round.
    with pytest.raises(InvalidStateError):
        opened(scene, wrapped[:6] + b"\x00" + wrapped[7:])
    with pytest.raises(InvalidStateError):
        opened(scene, plain[:6] + b"\x01" + plain[7:], KEY)


@both_models
@pytest.mark.parametrize("key", [b"", b"short", bytes(31), bytes(33), "k" * 32, bytearray(32)])
def test_a_wrapping_key_of_another_length_or_type_is_refused_both_ways(model: AdversaryModel, key: object):
    scene = Scene(model).until("masked_input")
    data = scene.clients[VICTIM].to_bytes()
    for call in (
        lambda: scene.clients[VICTIM].to_bytes(key),
        lambda: scene.server.to_bytes(key),
        lambda: opened(scene, data, key),
        lambda: ServerSession.from_bytes(data, wrapping_key=key),
    ):
        with pytest.raises(InvalidInputError) as raised:
            call()
        assert raised.value.field == "wrapping_key"
    scene.assert_exact(scene.finish())


@both_models
@wrapped_or_not
def test_a_snapshot_of_the_other_role_is_refused(model: AdversaryModel, key: bytes | None):
    scene = Scene(model).until("masked_input")
    client, server = scene.clients[VICTIM].to_bytes(key), scene.server.to_bytes(key)
    with pytest.raises(InvalidStateError, match="other role"):
        opened(scene, server, key)
    with pytest.raises(InvalidStateError, match="other role"):
        ServerSession.from_bytes(client, wrapping_key=key)
    # Nor with its role overwritten and a checksum to match: what is inside does not fit.
    header = server[:5] + client[5:7]
    body = server[7 + 32 :]
    with pytest.raises(InvalidStateError):
        opened(scene, header + hashlib.sha256(header + body).digest() + body, key)


@both_models
@pytest.mark.parametrize("version", [0, 1, 255])
def test_a_snapshot_of_another_version_is_refused(model: AdversaryModel, version: int):
    scene = Scene(model).until("masked_input")
    data = scene.clients[VICTIM].to_bytes()
    with pytest.raises(InvalidStateError, match=f"version {version}"):
        opened(scene, data[:4] + bytes([version]) + data[5:])


@both_models
@pytest.mark.parametrize("body", [b"", b"\xc0", b"\x90", b"\x80", b"\xff" * 40])
def test_a_sound_checksum_over_nonsense_is_refused(model: AdversaryModel, body: bytes):
    scene = Scene(model).until("masked_input")
    for data, restore in (
        (scene.clients[VICTIM].to_bytes(), lambda data: opened(scene, data)),
        (scene.server.to_bytes(), ServerSession.from_bytes),
    ):
        header = data[:7]
        with pytest.raises(InvalidStateError, match="does not decode"):
            restore(header + hashlib.sha256(header + body).digest() + body)


@pytest.mark.parametrize("stage", ["share_keys", "masked_input", "consistency", "unmask"])
def test_a_missing_or_foreign_identity_is_refused(stage: str):
    scene = Scene(ACTIVE).until(stage)
    data = scene.clients[VICTIM].to_bytes()
    for identity in (None, scene.identities[LIAR]):
        with pytest.raises(InvalidInputError) as raised:
            ClientSession.from_bytes(data, identity=identity)
        assert raised.value.field == "identity"
    assert scene.identities[VICTIM].seed() not in data


@pytest.mark.parametrize("stage", ["share_keys", "masked_input", "unmask"])
def test_an_identity_where_none_signs_is_refused(stage: str):
    scene = Scene(HONEST_BUT_CURIOUS).until(stage)
    with pytest.raises(InvalidInputError) as raised:
        ClientSession.from_bytes(scene.clients[VICTIM].to_bytes(), identity=scene.identities[VICTIM])
    assert raised.value.field == "identity"


@pytest.mark.parametrize("data", [None, "SAGS", 7], ids=lambda data: type(data).__name__)
def test_a_snapshot_that_is_no_bytes_is_refused(data: object):
    for restore in (ClientSession.from_bytes, ServerSession.from_bytes):
        with pytest.raises(LocalError):
            restore(data)
