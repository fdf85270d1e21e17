"""A client of many private rounds: this round's session and the next one's, under one plan and one counter."""

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import ClassVar

from dp import RoundCounter, RoundRefusedError
from fl.errors import PlanMismatchError
from fl.private.client_round import ClientRound, CountedRoundError
from fl.private.contribution import Contribution
from fl.private.plan import PrivatePlan
from secagg import ClientId, Identity, RemoteError
from secagg.pipeline import SessionStore

__all__ = ["ClientRounds"]


class ClientRounds(SessionStore[ClientRound, Contribution]):
    """All private rounds of one client with one server: see `secagg.pipeline.SessionStore`.

    Args:
        plan: what this client agreed to.
        client: its id.
        counter: its durable counter for the plan's scope and rounds.
        identity: its long-term key; where the plan defends against a lying server.
        identities: every client's public key, likewise.
        executor: runs the mask generation in shards; a thread pool. None is serial.

    Raises:
        InvalidParameterError, InvalidInputError: client or identities do not fit the plan.

    Guarantees:
        Those of `SessionStore`; and the counter holds them too, on the disk, whatever snapshot this is restored from.
    """

    refusals: ClassVar[tuple[type[Exception], ...]] = (RemoteError, RoundRefusedError, PlanMismatchError)

    def __init__(
        self,
        plan: PrivatePlan,
        client: ClientId,
        counter: RoundCounter,
        identity: Identity | None = None,
        *,
        identities: Mapping[ClientId, bytes] | None = None,
        executor: Executor | None = None,
    ) -> None:
        super().__init__(client)
        self._plan = plan
        self._counter = counter
        self._identity = identity
        self._identities = identities
        self._executor = executor
        # What does not fit is found here.
        self._begin()

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        plan: PrivatePlan,
        client: ClientId,
        counter: RoundCounter,
        *,
        identity: Identity | None = None,
        identities: Mapping[ClientId, bytes] | None = None,
        wrapping_key: bytes | None = None,
        executor: Executor | None = None,
    ) -> "ClientRounds":
        """Returns the rounds of a snapshot. What the counter has gone past since is left out.

        Raises:
            InvalidStateError: it is damaged, of another version, of another client or of something else.
            PlanMismatchError: it is of another plan.
            InvalidInputError: the identity or the wrapping key does not fit.
        """
        rounds = cls(plan, client, counter, identity, identities=identities, executor=executor)
        rounds._load(data, wrapping_key)
        return rounds

    def _begin(self) -> ClientRound:
        return ClientRound(
            self._plan,
            self._client,
            self._counter,
            self._identity,
            identities=self._identities,
            executor=self._executor,
        )

    def _restored(self, data: bytes) -> ClientRound | None:
        try:
            return ClientRound.from_bytes(
                data,
                self._plan,
                self._client,
                self._counter,
                identity=self._identity,
                identities=self._identities,
                executor=self._executor,
            )
        except CountedRoundError:
            return None

    def _answer(self, session: ClientRound, data: bytes | bytearray | memoryview) -> bytes | None:
        return session.receive(data)

    def _masked(
        self, session: ClientRound, data: bytes | bytearray | memoryview, given: Contribution, model_digest: bytes
    ) -> bytes | None:
        return session.receive(data, given, model_digest=model_digest)
