"""Whatever a caller hands to a public name of `secagg`, only the package's own errors come out.

One argument at a time is replaced by each value of a zoo, in every constructor and entry point.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import secagg
from secagg import (
    AdversaryModel,
    ClientPolicy,
    ClientSession,
    Identity,
    SecAggError,
    ServerSession,
    SessionParams,
    Stage,
    Suite,
    certify,
    check_client_id,
    check_identity,
    choose,
    default_threshold,
    read_invitation,
    simulate,
    smallest_threshold,
)
from secagg.primitives.prg import word_dtype
from tests.kit.weak_keys import NON_CANONICAL, SMALL_ORDER

CURIOUS = AdversaryModel.HONEST_BUT_CURIOUS


def released() -> memoryview:
    view = memoryview(b"released")
    view.release()
    return view


class Unshowable:
    """Cannot even be shown in an error's text."""

    def __repr__(self) -> str:
        raise RuntimeError("not shown")


def of_itself() -> list[object]:
    own: list[object] = []
    own.append(own)
    return own


ZOO: dict[str, Callable[[], object]] = {
    "None": lambda: None,
    "True": lambda: True,
    "-1": lambda: -1,
    "2**64": lambda: 2**64,
    "10**400": lambda: 10**400,
    "10**5000": lambda: 10**5000,
    "-10**5000": lambda: -(10**5000),
    "0.5": lambda: 0.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "complex": lambda: 1j,
    "empty text": lambda: "",
    "text": lambda: "text",
    "surrogate": lambda: "\ud800",
    "empty bytes": lambda: b"",
    "bytes": lambda: b"some bytes",
    "32 bytes": lambda: bytes(32),
    "bytearray": lambda: bytearray(32),
    "released memoryview": released,
    "empty list": list,
    "list": lambda: [1, "two", 3.0],
    "list of itself": of_itself,
    "dict": dict,
    "strange dict": lambda: {"a": 10**5000, None: b"x"},
    "set": lambda: {1, "a"},
    "object": object,
    "unshowable": Unshowable,
    "class": lambda: Suite,
    "function": lambda: lambda *_: None,
    "generator": lambda: (each for each in (1, 2)),
    "np.int64": lambda: np.int64(-7),
    "np.float32": lambda: np.float32("nan"),
    "np.bool_": lambda: np.bool_(True),
    "np.str_": lambda: np.str_("x"),
    "np array": lambda: np.arange(3),
    "np empty": lambda: np.array([]),
    "np objects": lambda: np.array([None, 10**400], dtype=object),
    "NaT": lambda: np.datetime64("NaT"),
}

PARAMS = SessionParams.for_cohort(cohort_size=5, vector_length=3, modulus_bits=16, adversary=CURIOUS)
KEYS = {client: Identity(client.to_bytes(32, "big")) for client in range(1, 6)}
KNOWN = {client: key.public_key for client, key in KEYS.items()}
POLICY = ClientPolicy(adversary=CURIOUS)
SERVER = ServerSession(PARAMS, range(5))
VECTORS = {client: np.zeros(3, np.uint16) for client in range(5)}
CLIENT_SNAPSHOT = ClientSession(1, POLICY).to_bytes()
SERVER_SNAPSHOT = SERVER.to_bytes()

CALLS: dict[str, tuple[Callable[..., object], Mapping[str, object]]] = {
    "ClientPolicy": (ClientPolicy, {name: getattr(POLICY, name) for name in ClientPolicy.__dataclass_fields__}),
    "ClientPolicy active": (ClientPolicy, {"identities": KNOWN, "population": None, "corrupt_clients": 1}),
    "SessionParams": (SessionParams, {name: getattr(PARAMS, name) for name in SessionParams.__dataclass_fields__}),
    "for_cohort": (
        SessionParams.for_cohort,
        {
            "cohort_size": 9,
            "vector_length": 3,
            "modulus_bits": 16,
            "adversary": CURIOUS,
            "suite": Suite.CHACHA20,
            "min_survivors": 0,
            "round_number": 0,
            "application": b"",
            "corrupt_clients": 1,
        },
    ),
    "SessionParams.decode": (SessionParams.decode, {"data": PARAMS.encode()}),
    "Identity": (Identity, {"seed": bytes(range(32))}),
    "Identity.sign": (KEYS[1].sign, {"digest": bytes(32)}),
    "ClientSession": (
        ClientSession,
        {"client": 1, "policy": POLICY, "identity": None, "executor": None, "before_answering": None},
    ),
    "ClientSession active": (
        ClientSession,
        {"client": 1, "policy": ClientPolicy(identities=KNOWN), "identity": KEYS[1]},
    ),
    "ClientSession.from_bytes": (
        ClientSession.from_bytes,
        {"data": CLIENT_SNAPSHOT, "identity": None, "wrapping_key": None, "executor": None, "before_answering": None},
    ),
    "ClientSession.receive": (
        lambda **given: ClientSession(1, POLICY).receive(**given),
        {"data": SERVER.invitation, "vector": None, "model_digest": bytes(32)},
    ),
    "ClientSession.check_message": (
        lambda data: ClientSession(1, POLICY).check_message(data),
        {"data": SERVER.invitation},
    ),
    "ClientSession.leave": (lambda code: _joined().leave(code), {"code": secagg.AbortCode.LEAVING}),
    "ClientSession.to_bytes": (lambda wrapping_key: _joined().to_bytes(wrapping_key), {"wrapping_key": bytes(32)}),
    "ServerSession": (
        ServerSession,
        {"params": PARAMS, "clients": range(5), "identities": None, "session_id": bytes(16), "executor": None},
    ),
    "ServerSession active": (
        ServerSession,
        {
            "params": SessionParams.for_cohort(cohort_size=5, vector_length=3, modulus_bits=16),
            "clients": tuple(KNOWN),
            "identities": KNOWN,
        },
    ),
    "ServerSession.from_bytes": (
        ServerSession.from_bytes,
        {"data": SERVER_SNAPSHOT, "wrapping_key": None, "executor": None},
    ),
    "ServerSession.receive": (
        lambda **given: ServerSession(PARAMS, range(5), session_id=SERVER.session_id).receive(**given),
        {"sender": 1, "data": SERVER.abort_message()},
    ),
    "ServerSession.close_stage": (
        lambda model_digest: _dealt().close_stage(model_digest),
        {"model_digest": bytes(32)},
    ),
    "ServerSession.abort_message": (SERVER.abort_message, {"code": secagg.AbortCode.LEAVING}),
    "simulate": (
        simulate,
        {
            "vectors": VECTORS,
            "params": PARAMS,
            "dropouts": None,
            "policy": None,
            "model_digest": bytes(32),
            "executor": None,
        },
    ),
    "choose": (
        choose,
        {
            "clients": 10,
            "corrupt": 0.1,
            "dropout": 0.1,
            "adversary": CURIOUS,
            "security_bits": 40,
            "correctness_bits": 30,
            "rounds": 1,
            "grinding_bits": None,
            "absent": 0.0,
            "corrupt_clients": None,
            "population": None,
            "drawn_honestly": False,
        },
    ),
    "certify": (
        certify,
        {
            "clients": 100,
            "neighbours": 20,
            "threshold": 12,
            "corrupt": 0.1,
            "dropout": 0.1,
            "adversary": CURIOUS,
            "roster": 90,
            "population": 200,
        },
    ),
    "session_params": (
        choose(40, corrupt=0.1, dropout=0.1, adversary=CURIOUS).session_params,
        {
            "vector_length": 3,
            "modulus_bits": 16,
            "suite": Suite.CHACHA20,
            "min_survivors": 0,
            "round_number": 0,
            "application": b"",
        },
    ),
    "default_threshold": (default_threshold, {"cohort_size": 10}),
    "smallest_threshold": (smallest_threshold, {"neighbours": 9, "corrupt_clients": 1, "adversary": CURIOUS}),
    "read_invitation": (read_invitation, {"data": SERVER.invitation}),
    "check_client_id": (check_client_id, {"parameter": "client", "client": 1}),
    "check_identity": (check_identity, {"policy": POLICY, "client": 1, "identity": None}),
    "ClientPolicy.check": (POLICY.check, {"params": PARAMS}),
    "ClientPolicy.check_graph": (POLICY.check_graph, {"params": PARAMS, "roster_size": 5}),
    "ClientPolicy.required_survivors": (POLICY.required_survivors, {"params": PARAMS, "roster_size": 5}),
    "ClientPolicy.required_signatures": (POLICY.required_signatures, {"params": PARAMS, "roster_size": 5}),
    "ClientPolicy.assumed_corrupt": (POLICY.assumed_corrupt, {"cohort_size": 5}),
}


def _joined() -> ClientSession:
    session = ClientSession(1, POLICY)
    session.receive(SERVER.invitation)
    return session


def _dealt() -> ServerSession:
    """A server whose next stage to close is the one that takes the digest."""
    server = ServerSession(PARAMS, range(5))
    clients = {client: ClientSession(client, POLICY) for client in range(5)}
    outbound: Mapping[int, bytes] = dict.fromkeys(clients, server.invitation)
    while server.stage is not Stage.SHARE_KEYS or not server.received:
        for client, session in clients.items():
            reply = session.receive(outbound[client])
            assert reply is not None
            server.receive(client, reply)
        if server.stage is Stage.ADVERTISE_KEYS:
            closed = server.close_stage()
            assert isinstance(closed, Mapping)
            outbound = closed
    return server


def outcome(name: str, argument: str, odd: object) -> str:
    """Returns what comes of one odd argument: nothing, or the fault that this test looks for."""
    function, given = CALLS[name]
    try:
        function(**{**given, argument: odd})
    except SecAggError as error:
        return "" if len(str(error)) < 3000 else "a text that is too long"
    except Exception as error:  # noqa: BLE001  # whatever else comes is the finding
        return type(error).__name__
    return ""


@pytest.mark.parametrize("name", CALLS)
def test_the_call_itself_is_sound(name: str) -> None:
    function, given = CALLS[name]
    function(**given)


@pytest.mark.parametrize("name", CALLS)
def test_an_odd_value_in_any_argument_gives_an_error_of_the_package_or_a_result(name: str) -> None:
    found = {
        (argument, label): fault
        for argument in CALLS[name][1]
        for label, make in ZOO.items()
        if (fault := outcome(name, argument, make()))
    }
    assert found == {}


@pytest.mark.parametrize("key", [*SMALL_ORDER, *NON_CANONICAL[:4]], ids=lambda key: key.hex()[:8])
def test_a_key_that_is_nobodys_is_refused_where_identities_are_given(key: bytes) -> None:
    with pytest.raises(secagg.InvalidParameterError) as caught:
        ClientPolicy(identities={**KNOWN, 7: key})
    assert (caught.value.parameter, caught.value.offered) == ("identities", "client 7")
    params = SessionParams.for_cohort(cohort_size=5, vector_length=3, modulus_bits=16)
    with pytest.raises(secagg.InvalidInputError, match="identities"):
        ServerSession(params, tuple(KNOWN), {**KNOWN, 1: key})


@pytest.mark.parametrize("label", ZOO)
def test_an_odd_identity_key_is_refused_by_name(label: str) -> None:
    key: Any = ZOO[label]()
    with pytest.raises(secagg.InvalidParameterError) as caught:
        ClientPolicy(identities={1: key})
    assert caught.value.parameter == "identities"
    params = SessionParams.for_cohort(cohort_size=5, vector_length=3, modulus_bits=16)
    with pytest.raises(secagg.InvalidInputError, match="identities"):
        ServerSession(params, tuple(KNOWN), {**KNOWN, 1: key})


def test_vectors_of_odd_dtypes_are_refused_and_the_state_stays_usable() -> None:
    odd: list[Any] = [make() for label, make in ZOO.items() if label != "np array"]
    odd += [np.zeros(3, dtype) for dtype in (bool, float, complex, object, "S4", "U4", "M8[s]")]
    clients = {client: ClientSession(client, POLICY) for client in range(5)}
    server = ServerSession(PARAMS, range(5))
    outbound: Mapping[int, bytes] = dict.fromkeys(clients, server.invitation)
    while server.stage is not Stage.MASKED_INPUT:
        for client, session in clients.items():
            reply = session.receive(outbound[client])
            assert reply is not None
            server.receive(client, reply)
        closed = server.close_stage()
        assert isinstance(closed, Mapping)
        outbound = closed
    session = clients[1]
    for vector in odd:
        with pytest.raises(secagg.InvalidInputError, match="vector"):
            session.receive(outbound[1], vector=vector)
    assert session.receive(outbound[1], vector=np.zeros(3, word_dtype(16))) is not None
