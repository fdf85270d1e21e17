"""Live sessions, as a host runs them: `ClientSession` and `ServerSession` over bytes."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from typing import Any

import numpy as np

from secagg import (
    AdversaryModel,
    ClientPolicy,
    ClientSession,
    Identity,
    Result,
    ServerSession,
    SessionParams,
    Suite,
)
from secagg.primitives.packing import word_dtype

IDS = (2, 3, 500, 2**40, 2**64 - 1, 7, 8, 9)
MODEL = bytes(range(32))


def make_params(adversary: AdversaryModel = AdversaryModel.ACTIVE, n: int = 5, **changes: Any) -> SessionParams:
    """Returns parameters with the lowest threshold of both models, which leaves room for the most dropouts."""
    defaults = {
        "cohort_size": n,
        "threshold": changes.get("neighbours", n - 1) // 2 + 1,
        "vector_length": 6,
        "modulus_bits": 13,
        "adversary": adversary,
        "suite": Suite.CHACHA20,
    }
    return SessionParams(**(defaults | changes))


class Live:
    """One session: a server, its clients, and what each of them is going to send."""

    def __init__(self, params: SessionParams, *, executor: Executor | None = None, **terms: Any) -> None:
        self.params = params
        ids = IDS[: params.cohort_size]
        self.seeds = {client: self.rand(f"identity {client}", 32) for client in ids}
        self.identities = {client: Identity(seed) for client, seed in self.seeds.items()} if params.active else {}
        self.public_keys = {client: identity.public_key for client, identity in self.identities.items()}
        self.vectors = {client: self.vector(client) for client in ids}
        permissive = {"identities": self.public_keys, "adversary": params.adversary, "corrupt_fraction": 0.0}
        self.policy = ClientPolicy(**(permissive | terms))
        self.server = ServerSession(
            params, ids, self.public_keys or None, session_id=self.rand("session", 16), executor=executor
        )
        self.clients = {
            client: ClientSession(client, self.policy, self.identities.get(client), executor=executor) for client in ids
        }
        self.outbound: Mapping[int, bytes] = dict.fromkeys(ids, self.server.invitation)
        self.result: Result | None = None

    @staticmethod
    def rand(use: str, length: int) -> bytes:
        return hashlib.shake_256(use.encode()).digest(length)

    def vector(self, client: int) -> np.ndarray:
        length, bits = self.params.vector_length, self.params.modulus_bits
        words = np.frombuffer(self.rand(f"vector {client}", 8 * length), "<u8") >> np.uint64(64 - bits)
        return words.astype(word_dtype(bits))

    def answer(self, client: int, message: bytes) -> bytes | None:
        """Gives one client one message, with the vector where it wants one."""
        session = self.clients[client]
        vector = self.vectors[client] if session.wants_input else None
        return session.receive(message, vector=vector, model_digest=MODEL)

    def collect(self, silent: Collection[int] = ()) -> None:
        """Lets everyone who was sent something answer, but the silent ones."""
        for client, message in self.outbound.items():
            if client not in silent:
                reply = self.answer(client, message)
                assert reply is not None
                self.server.receive(client, reply)

    def close(self) -> None:
        closed = self.server.close_stage(MODEL)
        if isinstance(closed, Result):
            self.result = closed
        else:
            self.outbound = closed

    def run(
        self, dropouts: Mapping[str, Collection[int]] | None = None, between: Callable[[], None] | None = None
    ) -> Result:
        """Runs what is left of the session; `between` is called before each round and after the last answers."""
        gone: set[int] = set()
        while self.result is None:
            if between is not None:
                between()
            gone |= set((dropouts or {}).get(self.server.stage, ()))
            self.collect(gone)
            self.close()
        return self.result

    def plain_sum(self, survivors: Collection[int]) -> list[int]:
        """Returns the survivors' sum in Python's integers."""
        rows = [self.vectors[client].tolist() for client in survivors]
        return [sum(column) % 2**self.params.modulus_bits for column in zip(*rows, strict=True)]

    def check(self, result: Result) -> None:
        """Asserts that the released sum is exactly that of the survivors."""
        assert result.sum.tolist() == self.plain_sum(result.survivors)
        assert len(result.survivors) >= self.params.min_survivors
