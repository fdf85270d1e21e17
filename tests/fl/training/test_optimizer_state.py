"""fl.training.optimizer_state: a state comes back from its documented bytes, and no other bytes are a state."""

import hashlib
import pickle
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl.arrays.schema import ArraySchema
from fl.errors import SchemaMismatchError
from fl.training.optimizer_state import OptimizerState
from fl.training.optimizers import FedAdam, FedAvgM, ServerOptimizer
from secagg.errors import InvalidParameterError, InvalidStateError
from tests.kit.optimizer_scene import EVERY, run


def test_the_bytes_of_a_state_are_the_documented_ones():
    adam = FedAdam(0.5, tau=0.5, beta_1=0.5, beta_2=0.5)
    state, _ = adam.step(adam.start([np.zeros(2)]), [np.zeros(2)], [np.array([1.0, -2.0])])
    digest = ArraySchema.of([np.zeros(2)]).digest
    body = b"FLOS" + bytes([1, 4]) + digest + struct.pack("<QQ4d", 1, 2, 0.5, -1.0, 0.625, 2.125)
    assert state.to_bytes() == body + hashlib.sha256(body).digest()


def test_a_state_is_read_only_and_its_repr_shows_no_moments():
    state, _ = run(FedAvgM(), [np.zeros(2)], [[np.array([0.125, 0.5])]])
    with pytest.raises(ValueError, match="read-only"):
        state.moments[0][0] = 1
    assert "0.125" not in repr(state)
    assert pickle.loads(pickle.dumps(state)).to_bytes() == state.to_bytes()


def rechecked(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def damaged(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


STATE = run(FedAdam(), [np.zeros(2)], [[np.array([1.0, 2.0])]])[0].to_bytes()

BODY = STATE[:-32]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "no optimiser's state"),
        (STATE[:80], "no optimiser's state"),
        (bytearray(STATE), "no optimiser's state"),
        (rechecked(damaged(BODY, 0)), "no optimiser's state"),
        (rechecked(BODY[:4] + b"\x02" + BODY[5:]), "version 2"),
        (damaged(STATE, 5), "damaged"),
        (damaged(STATE, 60), "damaged"),
        (damaged(STATE, len(STATE) - 1), "damaged"),
        (STATE[:-8], "damaged"),
        (STATE + bytes(8), "damaged"),
        (rechecked(BODY[:5] + b"\x05" + BODY[6:]), "unknown kind 5"),
        (rechecked(BODY[:-8]), "wrong length"),
        (rechecked(BODY + bytes(8)), "wrong length"),
        (rechecked(BODY[:5] + b"\x01" + BODY[6:]), "wrong length"),
        (rechecked(BODY[:5] + b"\x00" + BODY[6:54]), "wrong length"),
        (rechecked(BODY[:46] + b"\xff" * 8 + BODY[54:]), "wrong length"),
        (rechecked(BODY[:38] + b"\xff" * 8 + BODY[46:]), "rounds"),
        (rechecked(BODY[:54] + struct.pack("<d", np.nan) + BODY[62:]), "moments"),
        (rechecked(BODY[:-8] + struct.pack("<d", np.inf)), "moments"),
        (rechecked(BODY[:-8] + struct.pack("<d", -1.0)), "moments"),
    ],
)
def test_bytes_that_are_no_intact_state_are_refused(data: Any, text: str):
    with pytest.raises(InvalidStateError, match=text):
        OptimizerState.from_bytes(data)


in_form = st.builds(
    lambda kind, rounds, elements, moments: rechecked(
        struct.pack("<4sBB32sQQ", b"FLOS", 1, kind, bytes(32), rounds, elements) + moments.tobytes()
    ),
    st.integers(0, 5),
    st.integers(0, 2**64 - 1),
    st.integers(0, 3),
    st.lists(st.floats(), max_size=6).map(np.array),
)


@given(st.one_of(st.binary(max_size=200), in_form))
@settings(deadline=None)
def test_any_bytes_are_a_state_or_refused(data: bytes):
    try:
        state = OptimizerState.from_bytes(data)
    except InvalidStateError:
        return
    assert state.to_bytes() == data


@pytest.mark.parametrize("kind", EVERY)
def test_the_state_of_an_empty_model_survives(kind: type[ServerOptimizer]):
    state, model = run(kind(), [np.zeros((0, 2))], [[np.zeros((0, 2))]])
    state = OptimizerState.from_bytes(state.to_bytes())
    assert kind().step(state, model, [np.zeros((0, 2))])[0].rounds == 2


def test_a_state_with_moments_of_another_length_is_refused():
    digest = ArraySchema.of([np.zeros(2)]).digest
    with pytest.raises(SchemaMismatchError):
        FedAvgM().step(OptimizerState("FedAvgM", digest, 0, (np.zeros(3),)), [np.zeros(2)], [np.zeros(2)])


@pytest.mark.parametrize(
    ("parameter", "fields"),
    [
        ("kind", ("Adam", bytes(32), 0, ())),
        ("kind", (None, bytes(32), 0, ())),
        ("schema_digest", ("FedAvg", bytes(31), 0, ())),
        ("schema_digest", ("FedAvg", "0" * 32, 0, ())),
        ("rounds", ("FedAvg", bytes(32), -1, ())),
        ("rounds", ("FedAvg", bytes(32), True, ())),
        ("moments", ("FedAvg", bytes(32), 0, (np.zeros(1),))),
        ("moments", ("FedAvgM", bytes(32), 0, [np.zeros(1)])),
        ("moments", ("FedAvgM", bytes(32), 0, (np.zeros((1, 1)),))),
        ("moments", ("FedAvgM", bytes(32), 0, (np.zeros(1, np.float32),))),
        ("moments", ("FedAvgM", bytes(32), 0, ([0.0],))),
        ("moments", ("FedAvgM", bytes(32), 0, (np.array([np.nan]),))),
        ("moments", ("FedAdam", bytes(32), 0, (np.zeros(1), np.zeros(2)))),
        ("moments", ("FedAdam", bytes(32), 0, (np.zeros(1), -np.ones(1)))),
    ],
)
def test_a_state_checks_its_fields(parameter: str, fields: Any):
    with pytest.raises(InvalidParameterError) as caught:
        OptimizerState(*fields)
    assert caught.value.parameter == parameter
