"""Rounds through a pipeline, as a host runs them: one bundle to each address and one back, an exchange at a time."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from secagg import AdversaryModel, ClientPolicy, Identity, Result, ServerSession, SessionParams, Stage
from secagg.pipeline import Answer, ClientSessions, Exchange, ServerPipeline
from tests.vectors.live import IDS, make_params

__all__ = ["Rounds", "digest_of"]


def digest_of(round_number: int) -> bytes:
    """Returns the digest of a round's model."""
    return hashlib.sha256(b"model %d" % round_number).digest()


class Rounds:
    """A server's pipeline and its clients'.

    Args:
        adversary: the model.
        population: how many clients there are.
        cohort: how many are invited to a round.
        pipelined: whether the next session is opened while one trains.
        restarts: whether both sides are saved and restored between an exchange's every two steps.
        changes: of the sessions' parameters.
    """

    def __init__(
        self,
        adversary: AdversaryModel,
        *,
        population: int = 5,
        cohort: int = 5,
        pipelined: bool = True,
        restarts: bool = False,
        **changes: Any,
    ) -> None:
        self.adversary, self.cohort, self.pipelined, self.restarts = adversary, cohort, pipelined, restarts
        self.changes = changes
        self.ids = IDS[:population]
        active = adversary is AdversaryModel.ACTIVE
        self.identities = (
            {client: Identity(hashlib.sha256(b"%d" % client).digest()) for client in self.ids} if active else {}
        )
        self.keys = {client: identity.public_key for client, identity in self.identities.items()}
        terms = {"identities": self.keys, "adversary": adversary, "corrupt_fraction": 0.0, "min_cohort": 4}
        self.policy = ClientPolicy(**terms)
        self.server: ServerPipeline[Result] = ServerPipeline()
        self.clients = {client: self.new_client(client) for client in self.ids}
        self.results: dict[int, Result] = {}
        self.exchanges: list[tuple[str, ...]] = []
        self.refused: dict[int, dict[bytes, Exception]] = {}

    def new_client(self, client: int) -> ClientSessions:
        return ClientSessions(client, self.policy, self.identities.get(client))

    def params(self, round_number: int) -> SessionParams:
        return make_params(self.adversary, self.cohort, round_number=round_number, **self.changes)

    def session(self, round_number: int, cohort: Collection[int]) -> ServerSession:
        """A fresh session; in the ACTIVE model it is not known who answers as whom."""
        late = self.adversary is AdversaryModel.ACTIVE
        return ServerSession(self.params(round_number), None if late else cohort, self.keys or None)

    def drawn(self, round_number: int) -> tuple[int, ...]:
        """The round's cohort: another one each round."""
        at = round_number % len(self.ids)
        return tuple((self.ids * 2)[at : at + self.cohort])

    def open(self, round_number: int) -> None:
        cohort = self.drawn(round_number)
        self.server.open(self.session(round_number, cohort), cohort)

    def vector(self, client: int, round_number: int) -> np.ndarray:
        params = self.params(round_number)
        words = np.frombuffer(
            hashlib.shake_256(b"%d %d" % (client, round_number)).digest(8 * params.vector_length), "<u8"
        )
        return (words >> np.uint64(64 - params.modulus_bits)).astype(np.uint64)

    def answer(self, client: int, bundle: bytes) -> bytes:
        """What a client's host does with one bundle."""
        if self.restarts:
            self.clients[client] = ClientSessions.from_bytes(
                self.clients[client].to_bytes(), client, self.policy, self.identities.get(client)
            )
        sessions = self.clients[client]
        answer: Answer = sessions.receive(bundle)
        if answer.session is not None:
            round_number = answer.session.round_number
            assert round_number is not None
            answer.train(self.vector(client, round_number), digest_of(round_number))
        self.refused.setdefault(client, {}).update(answer.refused)
        return answer.to_bytes()

    def restart_server(self) -> None:
        self.server = ServerPipeline.from_bytes(self.server.to_bytes(), ServerSession.from_bytes)

    def exchange(
        self, silent: Collection[int] = (), between: Callable[[Exchange], None] | None = None
    ) -> Result | None:
        """One exchange, in which the silent ones get everything and answer nothing."""
        if self.restarts:
            self.restart_server()
        sent = self.server.outgoing()
        self.exchanges.append(tuple(sent.stages))
        if between is not None:
            between(sent)
        for address, bundle in sent.bundles.items():
            if address in silent:
                self.server.lost(address)
            else:
                self.server.receive(address, self.answer(address, bundle))
        assert self.server.complete
        return self.server.advance()

    def round(
        self, round_number: int, silent: Mapping[int, Collection[int]] | None = None, *, last: bool = False
    ) -> Result:
        """One round: exchanges until its sum is there. `silent` says who does not answer in which of its exchanges."""
        if self.server.current is None:
            self.open(round_number)
        gone: set[int] = set()
        number = 0
        while not self.server.ready:
            assert self.exchange(gone | set((silent or {}).get(number - 2, ()))) is None
            number += 1
        self.server.deliver(digest_of(round_number))
        if self.pipelined and not last:
            self.open(round_number + 1)
        result, number = None, 0
        while result is None:
            result = self.exchange(set((silent or {}).get(number, ())))
            number += 1
        self.results[round_number] = result
        return result

    def check(self, round_number: int) -> None:
        """Asserts that the round's sum is exactly that of its survivors."""
        result, bits = self.results[round_number], self.params(round_number).modulus_bits
        rows = [self.vector(client, round_number).tolist() for client in result.survivors]
        assert result.sum.tolist() == [sum(column) % 2**bits for column in zip(*rows, strict=True)]

    def stages(self) -> list[tuple[Stage, ...]]:
        return [tuple(Stage(stage) for stage in stages) for stages in self.exchanges]
