"""The host itself errs: a bad vector or digest is refused before anything is masked, and a good one still serves."""

from concurrent.futures import Executor
from typing import NoReturn

import numpy as np
import pytest

from secagg.client.session import ClientSession
from secagg.errors import InvalidInputError, InvalidParameterError, InvalidStateError, LocalError
from secagg.params import AdversaryModel
from secagg.policy import ClientPolicy
from tests.kit.attack_scene import ACTIVE, HONEST_BUT_CURIOUS, OUR_MODEL, VICTIM, Scene, both_models

BAD_VECTORS = {
    "none": None,
    "list": [0] * 11,
    "float": np.zeros(11),
    "nan": np.full(11, np.nan),
    "bool": np.zeros(11, np.bool_),
    "object": np.zeros(11, object),
    "short": np.zeros(10, np.uint32),
    "long": np.zeros(12, np.uint32),
    "matrix": np.zeros((11, 1), np.uint32),
    "scalar": np.uint32(0),
    "negative": np.array([0] * 10 + [-1]),
    "too_large": np.array([0] * 10 + [2**20]),
    "far_too_large": np.array([0] * 10 + [2**64 - 1], np.uint64),
}


@both_models
@pytest.mark.parametrize("bad", BAD_VECTORS)
def test_after_a_bad_vector_a_good_one_is_summed(model: AdversaryModel, bad: str):
    scene = Scene(model).until("masked_input")
    session = scene.clients[VICTIM]
    before = session.to_bytes()
    with pytest.raises(InvalidInputError) as raised:
        session.receive(scene.outbound[VICTIM], vector=BAD_VECTORS[bad], model_digest=OUR_MODEL)
    assert raised.value.field == "vector"
    assert session.wants_input
    assert session.to_bytes() == before
    scene.assert_exact(scene.finish())


@both_models
@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33), "0" * 32, bytearray(32), None, 32])
def test_after_a_bad_digest_a_good_one_serves(model: AdversaryModel, digest: object):
    scene = Scene(model).until("masked_input")
    session = scene.clients[VICTIM]
    with pytest.raises(InvalidInputError) as raised:
        session.receive(scene.outbound[VICTIM], vector=scene.vectors[VICTIM], model_digest=digest)
    assert raised.value.field == "model_digest"
    assert session.wants_input
    scene.assert_exact(scene.finish())


@both_models
@pytest.mark.parametrize("data", [None, "SAGG", 7, [1], np.zeros(30, np.uint8)], ids=lambda data: type(data).__name__)
def test_data_that_are_no_bytes_are_the_hosts_error(model: AdversaryModel, data: object):
    scene = Scene(model).until("masked_input")
    for receive in (scene.clients[VICTIM].receive, lambda data: scene.server.receive(VICTIM, data)):
        with pytest.raises(InvalidInputError) as raised:
            receive(data)
        assert raised.value.field == "data"
    scene.assert_exact(scene.finish())


def test_a_missing_or_needless_identity_is_the_hosts_error():
    for model, identity in ((ACTIVE, None), (HONEST_BUT_CURIOUS, Scene(ACTIVE).identities[VICTIM])):
        scene = Scene(model)
        with pytest.raises(InvalidInputError) as raised:
            ClientSession(VICTIM, scene.clients[VICTIM]._policy, identity)
        assert raised.value.field == "identity"


@pytest.mark.parametrize("client", [-1, 2**64, "10", 10.0, True, None])
def test_an_id_that_no_client_has_is_the_hosts_error_and_no_servers_fault(client: object):
    with pytest.raises(InvalidParameterError) as raised:
        ClientSession(client, ClientPolicy(adversary=HONEST_BUT_CURIOUS)).receive(Scene(HONEST_BUT_CURIOUS).outbound[3])
    assert raised.value.parameter == "client"


@both_models
def test_a_bad_digest_leaves_the_servers_round_open(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    scene.upload(scene.answers())
    with pytest.raises(InvalidInputError):
        scene.server.close_stage(b"too short")
    assert scene.close() is None
    scene.assert_exact(scene.finish())


@both_models
def test_a_vector_handed_in_is_not_changed(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    before = {client: vector.copy() for client, vector in scene.vectors.items()}
    scene.finish()
    for client, vector in before.items():
        assert np.array_equal(vector, scene.vectors[client])


@both_models
def test_a_server_snapshot_in_the_middle_of_a_round_is_the_hosts_error(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    scene.server.to_bytes()
    scene.upload({VICTIM: scene.deliver(VICTIM)})
    with pytest.raises(InvalidStateError) as raised:
        scene.server.to_bytes()
    assert isinstance(raised.value, LocalError)
    assert scene.clients[VICTIM].phase != "MaskingInput"


class BrokenPool(Executor):
    def submit(self, *args: object, **kwargs: object) -> NoReturn:
        raise RuntimeError("the pool is gone")


@both_models
def test_after_a_failing_executor_the_session_is_usable_or_over(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    session = scene.clients[VICTIM]
    session._executor = BrokenPool()
    with pytest.raises(RuntimeError):
        scene.deliver(VICTIM)
    session._executor = None
    if session.over:
        assert not session.wants_input
        session.to_bytes()
        scene.assert_exact(scene.finish(), missing={VICTIM})
    else:
        scene.assert_exact(scene.finish())
