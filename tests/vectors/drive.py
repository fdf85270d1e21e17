"""Whole sessions of the package as functions of their inputs, for vectors and interoperability.

Clients are run through the states of `secagg.client.states`, whose private halves take their randomness as an
argument; the server is a `ServerSession` over bytes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from secagg import ClientPolicy, Identity, Result, ServerSession, SessionParams, TooFewClientsError
from secagg.client.states import (
    AdvertisingKeys,
    AwaitingSurvivors,
    CheckingConsistency,
    MaskingInput,
    SharingKeys,
    Unmasking,
)
from secagg.errors import SERVER
from secagg.primitives.packing import word_dtype
from secagg.protocol.messages import KeyRoster, Message, ShareDelivery, SurvivorSet, UnmaskingRequest
from secagg.protocol.wire import decode, decode_invitation, encode
from tests.vectors.forms import DOWN, STAGES, UP, Key

ClientInput = tuple[bytes, Sequence[int], bytes, bytes]
"""Identity seed, vector, and the randomness of the two rounds that draw any."""


class Run(NamedTuple):
    messages: dict[Key, bytes]
    """By stage, direction and client."""
    aggregate: list[int]
    survivors: list[int]


class FixedClient:
    """A client of the package whose randomness is given."""

    def __init__(
        self, client: int, given: ClientInput, policy: ClientPolicy, model_digest: bytes, invitation: bytes
    ) -> None:
        identity_seed, self.vector, advertise_rand, self.share_rand = given
        self.params, self.session_id = decode_invitation(invitation)
        self.model_digest = model_digest
        identity = Identity(identity_seed) if self.params.active else None
        state = AdvertisingKeys(self.params, self.session_id, client, policy, identity=identity)
        self.state: object
        self.state, self.first = state._advertise_keys(advertise_rand)

    def answer(self, data: bytes) -> bytes:
        """Answers any message after the invitation."""
        message = decode(data, SERVER, self.params, session_id=self.session_id)
        reply: Message
        if isinstance(self.state, SharingKeys) and isinstance(message, KeyRoster):
            nonces = self.params.neighbours_among(message.total)
            self.state, reply = self.state._share_keys(message, self.share_rand[: 96 + 24 * nonces])
        elif isinstance(self.state, MaskingInput) and isinstance(message, ShareDelivery):
            vector = np.array(self.vector, word_dtype(self.params.modulus_bits))
            self.state, reply = self.state.mask_input(message, vector, self.model_digest)
        elif isinstance(self.state, CheckingConsistency) and isinstance(message, SurvivorSet):
            self.state, reply = self.state.check_consistency(message)
        elif (isinstance(self.state, AwaitingSurvivors) and isinstance(message, SurvivorSet)) or (
            isinstance(self.state, Unmasking) and isinstance(message, UnmaskingRequest)
        ):
            reply = self.state.unmask(message)
        else:
            raise TypeError(f"{type(self.state).__name__} cannot answer {type(message).__name__}")
        return self.encode(reply)

    def encode(self, message: Message) -> bytes:
        return encode(message, self.params.suite, self.session_id)


def run_session(
    params: SessionParams,
    session_id: bytes,
    model_digest: bytes,
    clients: Mapping[int, ClientInput],
    dropouts: Mapping[str, Collection[int]] | None = None,
    on_wire: Callable[[Key, bytes], bytes] | None = None,
    terms: Mapping[str, Any] | None = None,
) -> Run:
    """Runs everyone; same arguments and same result as the function of this name in the reference.

    Args:
        params: the session's parameters.
        session_id: its id.
        model_digest: what everyone is given to work on.
        clients: everyone's identity, vector and randomness.
        dropouts: who leaves, under the first stage that it does not answer.
        on_wire: may replace a message.
        terms: of everyone's policy; by default nobody is taken for corrupt.

    Raises:
        TooFewClientsError: some round could not close.
        RemoteError: somebody refused what it was sent.
    """
    left = {
        client: min((STAGES.index(stage) for stage, gone in (dropouts or {}).items() if client in gone), default=9)
        for client in clients
    }
    keys = {client: Identity(given[0]).public_key for client, given in clients.items()} if params.active else {}
    permissive = {"identities": keys, "adversary": params.adversary, "corrupt_fraction": 0.0}
    policy = ClientPolicy(**(permissive | dict(terms or {})))
    server = ServerSession(params, tuple(clients), keys or None, session_id=session_id)
    people: dict[int, FixedClient] = {}
    messages: dict[Key, bytes] = {}

    def carry(stage: str, direction: str, client: int, data: bytes) -> bytes:
        key = (stage, direction, client)
        messages[key] = on_wire(key, data) if on_wire else data
        return messages[key]

    outbound: Mapping[int, bytes] = dict.fromkeys(clients, server.invitation)
    while True:
        stage = server.stage
        # HONEST_BUT_CURIOUS has no round 3, yet its survivor set is what begins it.
        asked = "consistency" if stage == "unmask" and not params.active else stage
        for client in sorted(outbound):
            data = carry(asked, DOWN, client, outbound[client])
            if left[client] <= STAGES.index(stage):
                continue
            if stage == "advertise_keys":
                people[client] = FixedClient(client, clients[client], policy, model_digest, data)
                reply = people[client].encode(people[client].first)
            else:
                reply = people[client].answer(data)
            server.receive(client, carry(stage, UP, client, reply))
        closed = server.close_stage(model_digest)
        if isinstance(closed, Result):
            return Run(messages, closed.sum.tolist(), sorted(closed.survivors))
        outbound = closed


__all__ = ["DOWN", "STAGES", "UP", "ClientInput", "Key", "Run", "TooFewClientsError", "run_session"]
