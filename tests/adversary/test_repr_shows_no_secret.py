"""Somebody reads the logs: no repr and no error text of any state, message or session shows a secret."""

import base64
import copy
import dataclasses
import pickle
import pprint
import traceback
from collections.abc import Iterator

import pytest
import rich.pretty

from secagg.client.session import _Snapshot
from secagg.errors import InvalidStateError, SecAggError
from secagg.params import AdversaryModel
from secagg.primitives.agreement import KeyPair
from secagg.primitives.masking import MaskTask
from secagg.primitives.prg import Suite
from secagg.primitives.signing import Identity
from tests.kit.attack_scene import ACTIVE, SPARE, VICTIM, Scene, both_models, without


def spellings(secret: bytes) -> Iterator[str]:
    """The ways in which bytes get into a text, of eight bytes in the middle, so that a cut does not hide them."""
    middle = secret[8:16]
    yield middle.hex()
    yield middle.hex(" ")
    yield repr(middle)[2:-1]
    yield middle.decode("latin-1")
    yield str(list(middle))[1:-1]
    # Base64 from a multiple of three on.
    yield base64.b64encode(secret[9:18]).decode()
    yield base64.b64encode(secret[6:15]).decode()


def assert_hidden(secrets: list[bytes], *shown: object) -> None:
    assert secrets
    for it in shown:
        for text in (repr(it), str(it), f"{it}", pprint.pformat(it), rich.pretty.pretty_repr(it)):
            assert not [secret for secret in secrets for spelling in spellings(secret) if spelling in text], it


def test_the_search_finds_what_is_shown():
    secret = bytes(range(100, 132))
    for shown in (secret, secret.hex(), list(secret), base64.b64encode(secret).decode(), secret.decode("latin-1")):
        try:
            assert_hidden([secret], shown)
        except AssertionError:
            continue
        raise RuntimeError(f"not found in {shown!r}")


@both_models
def test_no_session_state_or_message_shows_a_secret(model: AdversaryModel):
    scene = Scene(model)
    seed = scene.identities[VICTIM].seed()
    while True:
        for client, data in scene.outbound.items():
            assert repr(scene.read(data)) == f"<{type(scene.read(data)).__name__}>"
            session = scene.clients[client]
            if session._state is None:
                continue
            held = session._state._peek()
            snapshot = _Snapshot(
                client,
                session._policy,
                False,
                held,
                session._place.session,
                session._place.accepted,
                session._place.last_reply,
                None,
            )
            secrets = [*scene.secrets(client), scene.identities[client].seed()]
            parts = [getattr(held, field) for field in held.__struct_fields__]
            structs = [part for part in parts if hasattr(part, "__struct_fields__")]
            assert_hidden(
                secrets, session, session._state, held, snapshot, *structs, scene.server, scene.server._current
            )
        replies = scene.answers()
        for reply in replies.values():
            message = scene.read(reply)
            assert repr(message) == f"<{type(message).__name__}>"
        scene.upload(replies)
        result = scene.close()
        if result is not None:
            break
    vector = [scene.vectors[VICTIM].tobytes()]
    assert_hidden(vector, result, scene.server, scene.server._current)
    assert str(result.sum.tolist()[0]) not in repr(result)
    assert_hidden([seed], scene.identities[VICTIM], scene.clients[VICTIM])


def test_key_pairs_identities_and_policies_show_no_private_half():
    private = bytes(range(1, 33))
    scene = Scene(ACTIVE)
    identity = scene.identities[VICTIM]
    assert_hidden([private], KeyPair(private))
    assert_hidden([identity.seed()], identity, scene.clients[VICTIM], scene.clients[VICTIM]._policy)


@both_models
def test_no_error_shows_a_secret(model: AdversaryModel):
    count = 0
    for stage in ("share_keys", "masked_input", "consistency", "unmask"):
        if stage == "consistency" and model is not ACTIVE:
            continue
        scene = Scene(model).until(stage)
        session = scene.clients[VICTIM]
        snapshot = session.to_bytes()
        secrets = [*scene.secrets(VICTIM), scene.identities[VICTIM].seed()]
        first_field = scene.read(scene.outbound[VICTIM]).__struct_fields__[0]
        dropped = scene.survivor_set(VICTIM, without(scene.ids, VICTIM, SPARE))
        miscounted = scene.survivor_set(VICTIM, scene.ids, 3)
        lies = [
            b"\xff" + snapshot,
            scene.outbound[VICTIM] + snapshot,
            scene.altered(scene.outbound[VICTIM], **{first_field: snapshot}),
            dropped if stage != "consistency" else miscounted,
        ]
        for lie in lies:
            try:
                session.receive(lie, vector=scene.vectors[VICTIM])
            except SecAggError as error:
                count += 1
                assert_hidden(secrets, error, error.args, "".join(traceback.format_exception(error)))
    assert count >= 12


@both_models
def test_a_message_and_a_state_show_their_type_alone_to_richs_printer(model: AdversaryModel):
    scene = Scene(model)
    while scene.server.stage != "unmask":
        for client, data in scene.outbound.items():
            assert rich.pretty.pretty_repr(scene.read(data)) == f"{type(scene.read(data)).__name__}()"
            state = scene.clients[client]._state
            if state is not None:
                assert rich.pretty.pretty_repr(state._peek()) == f"{type(state._peek()).__name__}()"
        facts = scene.server._current.facts
        assert rich.pretty.pretty_repr(facts) == f"{type(facts).__name__}()"
        scene.upload(scene.answers())
        scene.close()


def test_an_executors_task_shows_no_key():
    keys = [bytes(range(start, start + 32)) for start in (0, 100)]
    task = MaskTask(Suite.AES_128_CTR, "<u4", add=keys[:1], subtract=keys[1:], coordinates=range(4))
    assert_hidden(keys, task)
    assert pickle.loads(pickle.dumps(task)) == task, "it travels to a worker process"


@both_models
def test_what_a_state_holds_is_neither_copied_nor_pickled(model: AdversaryModel):
    scene = Scene(model)
    scene.upload(scene.answers())
    scene.close()
    held = scene.clients[VICTIM]._state._peek()
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(InvalidStateError, match="cannot be copied or pickled"):
            way(held)
    assert not hasattr(held, "__dict__")
    with pytest.raises(TypeError):
        dataclasses.asdict(held)


def test_an_identity_is_pickled_only_by_its_seed():
    identity = Identity.generate()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(InvalidStateError, match=r"store its seed\(\)"):
            pickle.dumps({"key": identity}, protocol)
    assert copy.copy(identity) is identity
    assert copy.deepcopy([identity])[0] is identity
    assert_hidden([identity.seed()], identity, {"key": identity})
    assert Identity(identity.seed()).public_key == identity.public_key
    with pytest.raises(InvalidStateError):
        pickle.dumps(KeyPair(bytes(range(32))))
