"""A client's part in one private round: it does what its plan says, or it refuses.

Before it sends anything it counts the round in its own durable counter. The session's policy then pins plan, clip norm,
round number and ledger head. Before it helps to unmask it sees the round's `reserve` in the ledger, with the figures of
the plan. From then on the round counts against the budget, whatever the server does next.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from dp import RoundCounter, RoundRefusedError
from dp.ledger import NO_HEAD
from fl.arrays.schema import Arrays
from fl.errors import PlanMismatchError
from fl.private.client_checks import check_headers, check_reserve, check_terms, unseen
from fl.private.contribution import Contribution
from fl.private.messages import Offer, Step, decode_round_message
from fl.private.plan import PrivatePlan
from fl.private.snapshots import VERSION, RoundSnapshot, read_round_snapshot
from fl.private.vector import PrivateVector
from secagg import (
    NO_MODEL,
    SERVER,
    ClientId,
    ClientSession,
    Identity,
    InvalidInputError,
    InvalidStateError,
    MalformedMessageError,
    RemoteError,
    Stage,
    StateSpentError,
    StrayMessageError,
    UnexpectedMessageError,
    check_client_id,
    check_identity,
    read_invitation,
)
from secagg.protocol import SnapshotRole, Turns, Uncopyable, write_snapshot

__all__ = ["ClientRound"]


class _Snapshot(RoundSnapshot, array_like=True, frozen=True, forbid_unknown_fields=True):
    client: int
    round_number: int
    clip: float
    witnessed: bool
    session: bytes


class ClientRound(Uncopyable):
    """One client in one round. Feed `receive` what the server sent, and send what it returns.

    Calls from several threads take turns; a forked child is refused.

    Args:
        plan: what this client agreed to; from its owner, or read by `PrivatePlan.from_json` and looked at.
        client: its id, as the transport authenticates it.
        counter: its durable counter for the plan's scope and rounds.
        identity: its long-term key; where the plan defends against a lying server.
        identities: every client's public key, likewise.
        executor: runs the mask generation in shards; a thread pool. None is serial.

    Raises:
        InvalidParameterError, InvalidInputError: client or identities do not fit the plan.

    Security: once it has answered, any error but `StrayMessageError`, `MalformedMessageError` and a `LocalError` about
    this call ends the round for this client, and its secrets are dropped. Persist `to_bytes()` before sending what
    `receive` returned, and delete the older snapshot.
    """

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
        # What is wrong with these is found here, before a round is counted that this client could not take part in.
        client = check_client_id("client", client)
        check_identity(plan.policy(1, plan.clip, NO_HEAD, identities), client, identity)
        self._plan = plan
        self._client = client
        self._counter = counter
        self._identity = identity
        self._identities = identities
        self._executor = executor
        self._session: ClientSession | None = None
        self._round_number = 0
        self._clip = plan.clip
        self._witnessed = False
        self._over = False
        # The ledger's lines of the step that the session is working on.
        self._lines: Sequence[bytes] = ()
        # These lines and the session's message belong together: no other call may come in between.
        self._turns = Turns("the round")

    def __repr__(self) -> str:
        return f"<ClientRound {self._round_number} of client {self._client}, {self.phase}>"

    @property
    def phase(self) -> str:
        """What the session waits for."""
        if self._session is not None:
            return self._session.phase
        return "over" if self._over else "awaiting the offer"

    @property
    def over(self) -> bool:
        """Whether the client has given its last answer, or refused."""
        return self._over or (self._session is not None and self._session.over)

    @property
    def wants_input(self) -> bool:
        """Whether the next message must come with the update."""
        return self._session is not None and self._session.wants_input

    @property
    def clip(self) -> float:
        """The round's clip norm, as offered."""
        return self._clip

    @property
    def round_number(self) -> int:
        """The round on offer, 0 before one is."""
        return self._round_number

    def receive(
        self,
        data: bytes,
        contribution: Contribution | None = None,
        *,
        model_digest: bytes = NO_MODEL,
        update: Arrays | None = None,
        examples: Sequence[Arrays] | npt.NDArray[np.float64] | None = None,
        weight: int = 1,
        side_values: Mapping[str, float] | None = None,
    ) -> bytes | None:
        """Takes one message of the server.

        Args:
            data: the message. An accepted one may come again, and is answered as `secagg.ClientSession.receive` does.
            contribution: what this client hands in, with the message for which `wants_input` is true.
            model_digest: digest of what this client was given to work on, with the contribution.
            update: instead of a contribution, its parts: the same as `Contribution(update, weight, side_values,
                examples)`.
            examples: as above.
            weight: as above.
            side_values: as above.

        Returns:
            The reply to send, or None where there is none.

        Raises:
            StrayMessageError: a message of another round; nobody is at fault, and the round goes on.
            MalformedMessageError: no message at all; the round goes on.
            PlanMismatchError: the server holds another plan, offers a round or a session that this one does not have,
                or keeps a ledger that counts something else; nothing was counted.
            RoundRefusedError: the ledger that is offered does not extend what this client knows, or the round was
                counted before; nothing was counted. Or the reserve is missing or not what the plan says, and the round
                is over.
            RemoteError: any other fault of the server; the round is over.
            LocalError: this call is wrong; nothing happened, call again.
        """
        parts = Contribution(update, weight, side_values, examples)
        if contribution is None:
            contribution = parts
        elif update is not None or examples is not None or weight != 1 or side_values is not None:
            raise InvalidInputError("contribution", "given, and parts of one too", "one of the two")
        with self._turns.taken():
            return self._receive(data, contribution, model_digest)

    def _receive(self, data: bytes, contribution: Contribution, model_digest: bytes) -> bytes | None:
        message = decode_round_message(data)
        if self._over:
            raise StateSpentError("the round")
        session = self._session
        if session is None:
            if not isinstance(message, Offer):
                raise StrayMessageError(SERVER, "a step of some round before any offer")
            return self._begin(message)
        if session.has_accepted(message.session):
            # Sent again, as by a server that was restored, or taken by a call that was interrupted: the session answers
            # as before, and nothing moves on.
            return session.receive(message.session)
        if isinstance(message, Offer):
            if message.round_number < self._round_number:
                # An earlier round's offer that came late is stray: it begins a session that this one is not.
                with suppress(MalformedMessageError):
                    session.check_message(message.session)
            # A second offer; or a message of the session that hides in one, from what is asked of a Step.
            self.leave()
            raise UnexpectedMessageError(SERVER, "Offer", "Step")
        return self._go_on(session, message, contribution, model_digest)

    def leave(self) -> bytes | None:
        """Ends the round for this client and drops its secrets; returns the message that tells the server, if any."""
        with self._turns.taken():
            self._over = True
            return None if self._session is None else self._session.leave()

    def to_bytes(self, wrapping_key: bytes | None = None) -> bytes:
        """Returns a snapshot: a secret, encrypted if a 32-byte wrapping key is given. Never the identity key.

        Raises:
            InvalidStateError: there is no session yet, or the round is over.
        """
        with self._turns.taken():
            if self._session is None or self._over:
                raise InvalidStateError("a snapshot is taken of a round that was offered and not refused")
            content = _Snapshot(
                VERSION,
                self._plan.digest,
                self._client,
                self._round_number,
                self._clip,
                self._witnessed,
                self._session.to_bytes(),
            )
            return write_snapshot(SnapshotRole.CLIENT_ROUND, content, wrapping_key)

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
    ) -> "ClientRound":
        """Returns the round of a snapshot.

        Raises:
            InvalidStateError: the snapshot is damaged, of another version or another client, or of a round that is not
                the last one that the counter accepted.
            PlanMismatchError: it is of another plan.
            InvalidInputError: the identity or the wrapping key does not fit.
        """
        content = read_round_snapshot(SnapshotRole.CLIENT_ROUND, data, _Snapshot, plan=plan, wrapping_key=wrapping_key)
        if content.client != client:
            raise InvalidStateError(f"the snapshot is of client {content.client}, not of {client}")
        if content.round_number != counter.last_round:
            last = counter.last_round
            raise InvalidStateError(f"the snapshot is of round {content.round_number}, the last one counted is {last}")
        restored = cls(plan, client, counter, identity, identities=identities, executor=executor)
        restored._session = ClientSession.from_bytes(
            content.session, identity=identity, executor=executor, before_answering=restored._approve
        )
        restored._round_number, restored._clip = content.round_number, content.clip
        restored._witnessed = content.witnessed
        return restored

    def _begin(self, offer: Offer) -> bytes | None:
        plan = self._plan
        if offer.plan_digest != plan.digest:
            raise PlanMismatchError("plan", offer.plan_digest.hex(), plan.digest.hex())
        plan.check_round(offer.round_number, offer.clip)
        check_terms(plan, read_invitation(offer.session)[0])
        lines = unseen(offer.ledger, self._counter.head)
        check_headers(plan, lines)
        head = self._counter.accept(offer.round_number, lines, scope=plan.scope)
        # Counted: whatever goes wrong from here on, this client takes part in no second session of the round.
        self._round_number, self._clip = offer.round_number, offer.clip
        session = ClientSession(
            self._client,
            plan.policy(offer.round_number, offer.clip, head, self._identities),
            self._identity,
            executor=self._executor,
            before_answering=self._approve,
        )
        try:
            reply = session.receive(offer.session)
        except RemoteError:
            self._over = True
            raise
        self._session = session
        return reply

    def _go_on(
        self, session: ClientSession, step: Step, contribution: Contribution, model_digest: bytes
    ) -> bytes | None:
        vector = None
        if session.wants_input:
            # Noise is dear: what is stray or does not decode costs none.
            session.check_message(step.session)
            _, context = _bound(session)
            vector = PrivateVector(self._plan, context, self._clip).encode_contribution(contribution)
        self._lines = step.ledger
        try:
            return session.receive(step.session, vector=vector, model_digest=model_digest)
        except RoundRefusedError:
            # From `_approve` alone: the reserve is missing or wrong.
            self.leave()
            raise
        finally:
            self._lines = ()

    def _approve(self, stage: Stage) -> None:
        """Lets the session help to unmask only if the ledger has the round's reserve. The session calls it.

        Raises:
            RoundRefusedError: it has no reserve, or another one than the plan's.
            OSError, LedgerLockedError: the counter cannot be written; nothing happened.
        """
        if stage is not Stage.UNMASK or self._witnessed:
            return
        if self._session is None:  # pragma: no cover - the session's first answer needs no approval
            raise InvalidStateError("there is no session yet")
        session_id, context = _bound(self._session)
        reserve = self._counter.witness(self._lines, context=context)
        check_reserve(
            self._plan,
            reserve,
            round_number=self._round_number,
            session_id=session_id,
            clip=self._clip,
            context=context,
        )
        try:
            check_headers(self._plan, self._lines)
        except PlanMismatchError as error:
            raise RoundRefusedError("extension", error.offered, error.expected) from error
        self._witnessed = True


def _bound(session: ClientSession) -> tuple[bytes, bytes]:
    """Returns the id and the context of a session that was joined."""
    session_id, context = session.session_id, session.context
    if session_id is None or context is None:
        raise InvalidStateError("the session has accepted no invitation")
    return session_id, context
