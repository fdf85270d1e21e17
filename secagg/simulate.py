"""A whole session in one process, over real bytes, with scheduled dropouts."""

from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from secagg.checks import check_client_id, check_executor, check_type
from secagg.client.session import ClientSession
from secagg.errors import ClientId, InvalidParameterError
from secagg.params import MAX_COHORT_SIZE, SessionParams
from secagg.policy import ClientPolicy
from secagg.primitives.signing import Identity
from secagg.protocol.transcript import NO_MODEL
from secagg.server import Fault, Result
from secagg.server.session import ServerSession
from secagg.stages import Stage


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes on the wire by client: `up` to the server, `down` from it, and `answered` by stage."""

    up: Mapping[ClientId, int]
    down: Mapping[ClientId, int]
    answered: Mapping[Stage, frozenset[ClientId]]


@dataclass(frozen=True, slots=True, eq=False)
class SimulationResult:
    """The outcome of a simulated session.

    Args:
        sum: the survivors' vectors summed modulo 2**modulus_bits, shape (vector_length,).
        survivors: whose vectors are in the sum.
        culprits: clients that broke a rule, each with its first fault; none in an honest simulation.
        traffic: bytes on the wire.
    """

    sum: npt.NDArray[np.unsignedinteger] = field(repr=False)
    survivors: frozenset[ClientId]
    culprits: Mapping[ClientId, Fault]
    traffic: Traffic


def simulate(
    vectors: Mapping[ClientId, npt.NDArray[np.integer]],
    params: SessionParams,
    *,
    dropouts: Mapping[str, Collection[ClientId]] | None = None,
    policy: ClientPolicy | None = None,
    model_digest: bytes = NO_MODEL,
    executor: Executor | None = None,
) -> SimulationResult:
    """Runs every client and the server of one session in this process.

    Args:
        vectors: every invited client's vector, by client id.
        params: the session's parameters.
        dropouts: by stage (a `Stage` or its text) the clients that answer neither that stage nor any later one.
        policy: the terms of every client; by default the most permissive ones that the parameters meet.
            The clients' identities in it are replaced by those of the simulation.
        model_digest: 32-byte digest of what the clients work on.
        executor: runs mask generation in shards.

    Returns:
        Sum, survivors, culprits and traffic.

    Raises:
        InvalidParameterError: an argument is of a wrong type, or a dropout names no stage or no client.
        TooFewClientsError: too few clients are left at some stage.
        InvalidInputError: a vector is unusable.
    """
    check_type("params", params, SessionParams)
    check_executor(executor)
    if policy is not None:
        check_type("policy", policy, ClientPolicy)
    if not isinstance(vectors, Mapping):
        raise InvalidParameterError("vectors", type(vectors).__name__, "a mapping of ids to vectors")
    vectors = {check_client_id("vectors", client): vector for client, vector in vectors.items()}
    leaving = _leaving(vectors, {} if dropouts is None else dropouts)
    identities = {client: Identity.generate() for client in vectors} if params.active else {}
    public_keys = {client: identity.public_key for client, identity in identities.items()}
    if policy is None:
        policy = ClientPolicy(
            identities=public_keys,
            adversary=params.adversary,
            min_cohort=3,
            max_cohort=MAX_COHORT_SIZE,
            corrupt_fraction=0.0,
            small_consortium=True,
            max_message_bytes=2**62,
        )
    else:
        # Whoever else the policy knows stays in its population.
        policy = replace(policy, identities={**policy.identities, **public_keys} if params.active else {})
    server = ServerSession(params, tuple(vectors), public_keys or None, executor=executor)
    clients = {client: ClientSession(client, policy, identities.get(client), executor=executor) for client in vectors}
    up, down = dict.fromkeys(vectors, 0), dict.fromkeys(vectors, 0)
    answered: dict[Stage, frozenset[ClientId]] = {}
    outbound: Mapping[ClientId, bytes] = dict.fromkeys(vectors, server.invitation)
    while True:
        stage = server.stage
        for client, session in clients.items():
            if client not in outbound:
                continue
            message = outbound[client]
            down[client] += len(message)
            if leaving.get(client, len(Stage)) <= stage.number:
                continue
            vector = vectors[client] if session.wants_input else None
            reply = session.receive(message, vector=vector, model_digest=model_digest)
            if reply is not None:
                up[client] += len(reply)
                server.receive(client, reply)
        answered[stage] = server.received
        closed = server.close_stage(model_digest)
        if isinstance(closed, Result):
            traffic = Traffic(up, down, answered)
            return SimulationResult(closed.sum, closed.survivors, closed.culprits, traffic)
        outbound = closed


def _leaving(vectors: Mapping[ClientId, object], dropouts: Mapping[str, Collection[ClientId]]) -> dict[ClientId, int]:
    leaving: dict[ClientId, int] = {}
    if not isinstance(dropouts, Mapping) or not all(isinstance(clients, Collection) for clients in dropouts.values()):
        raise InvalidParameterError("dropouts", type(dropouts).__name__, "a mapping of stages to collections of ids")
    for stage, clients in dropouts.items():
        if stage not in tuple(Stage):
            raise InvalidParameterError("dropouts", stage, f"keyed by {', '.join(Stage)}")
        for client in clients:
            if client not in vectors:
                raise InvalidParameterError("dropouts", client, "clients that have a vector")
            leaving[client] = min(leaving.get(client, len(Stage)), Stage(stage).number)
    return leaving
