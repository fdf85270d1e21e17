"""A client's part in one private round: it does what its plan says, or it refuses.

The session's policy pins plan and round number. What an offer does not say comes with the task: clip norm, ledger and
model, which all masks are bound to. Before it masks anything, the client counts the round in its own durable counter,
and so masks one vector a round, whichever sessions it joined. Before it helps to unmask it sees the round's `reserve`
in the ledger, with the figures of the plan. From then on the round counts against the budget, whatever the server does
next.
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from dp import RoundCounter, RoundRefusedError
from fl.arrays.schema import Arrays
from fl.errors import PlanMismatchError
from fl.private.client_checks import check_headers, check_reserve, check_terms, unseen
from fl.private.contribution import Contribution
from fl.private.messages import Joined, Offer, Step, Task, decode_round_message, encode_round_message
from fl.private.plan import PrivatePlan, check_digest
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

__all__ = ["ClientRound", "CountedRoundError"]


class CountedRoundError(InvalidStateError):
    """A snapshot is of a round that the client's counter has counted since, or gone past."""


class _Snapshot(RoundSnapshot, array_like=True, frozen=True, forbid_unknown_fields=True):
    client: int
    round_number: int
    clip: float
    counted: bool
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
        check_identity(plan.policy(1, identities), client, identity)
        self._plan = plan
        self._client = client
        self._counter = counter
        self._identity = identity
        self._identities = identities
        self._executor = executor
        self._session: ClientSession | None = None
        self._round_number = 0
        self._clip = plan.clip
        # The task whose round was counted, by the digest of its message: it alone may be tried again.
        self._counted: bytes | None = None
        self._head = b""
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
        """The round's clip norm, as the task says; the plan's before."""
        return self._clip

    @property
    def round_number(self) -> int:
        """The round on offer, 0 before one is."""
        return self._round_number

    @property
    def session_id(self) -> bytes | None:
        """The session's 16 bytes, None before the offer."""
        return None if self._session is None else self._session.session_id

    def asks_for_input(self, data: bytes | bytearray | memoryview) -> bool:
        """Whether the answer to a message takes the contribution: it is the task, and has not been answered."""
        if not self.wants_input:
            return False
        try:
            return isinstance(decode_round_message(data), Task)
        except MalformedMessageError:
            return False

    def check_message(self, data: bytes | bytearray | memoryview) -> None:
        """Checks the form of a message of this round, and takes no step.

        Raises:
            StrayMessageError, MalformedMessageError: as `receive` does; the round goes on.
        """
        message = decode_round_message(data)
        if self._session is not None:
            self._session.check_message(message.session)

    def receive(
        self,
        data: bytes | bytearray | memoryview,
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
            PlanMismatchError: the server holds another plan, offers a round, a session or a clip norm that this one
                does not have, or keeps a ledger that counts something else; nothing was counted.
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

    def _receive(
        self, data: bytes | bytearray | memoryview, contribution: Contribution, model_digest: bytes
    ) -> bytes | None:
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
            reply = session.receive(message.session)
            return self._joined(reply) if isinstance(message, Offer) and reply is not None else reply
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
                self._counted is not None,
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
            InvalidStateError: the snapshot is damaged, of another version or another client.
            CountedRoundError: the counter has gone past the round; or has counted it since, so that a vector may have
                been masked.
            PlanMismatchError: it is of another plan.
            InvalidInputError: the identity or the wrapping key does not fit.
        """
        content = read_round_snapshot(SnapshotRole.CLIENT_ROUND, data, _Snapshot, plan=plan, wrapping_key=wrapping_key)
        if content.client != client:
            raise InvalidStateError(f"the snapshot is of client {content.client}, not of {client}")
        last = counter.last_round
        if content.counted and content.round_number != last:
            raise CountedRoundError(f"the snapshot is of round {content.round_number}, the last one counted is {last}")
        if not content.counted and content.round_number <= last:
            raise CountedRoundError(
                f"the snapshot is of round {content.round_number} before it was counted, and {last} is"
            )
        restored = cls(plan, client, counter, identity, identities=identities, executor=executor)
        restored._session = ClientSession.from_bytes(
            content.session, identity=identity, executor=executor, before_answering=restored._approve
        )
        restored._round_number, restored._clip = content.round_number, content.clip
        restored._counted = b"" if content.counted else None
        restored._witnessed = content.witnessed
        return restored

    def _begin(self, offer: Offer) -> bytes | None:
        plan = self._plan
        if offer.plan_digest != plan.digest:
            raise PlanMismatchError("plan", offer.plan_digest.hex(), plan.digest.hex())
        plan.check_round_number(offer.round_number)
        check_terms(plan, read_invitation(offer.session)[0])
        last = self._counter.last_round
        if offer.round_number <= last:
            raise RoundRefusedError("round", offer.round_number, f"above {last}, the last one")
        session = ClientSession(
            self._client,
            plan.policy(offer.round_number, self._identities),
            self._identity,
            executor=self._executor,
            before_answering=self._approve,
        )
        try:
            reply = session.receive(offer.session)
        except RemoteError:
            # Refused; but the server can still be told so.
            self._session, self._over = session, True
            raise
        self._round_number = offer.round_number
        self._session = session
        return None if reply is None else self._joined(reply)

    def _joined(self, reply: bytes) -> bytes:
        head = self._counter.head
        return encode_round_message(Joined(b"" if head is None else head, reply))

    def _go_on(
        self, session: ClientSession, message: Task | Step, contribution: Contribution, model_digest: bytes
    ) -> bytes | None:
        if session.over:
            # What an interruption left: the session says so itself.
            return session.receive(message.session)
        # A message of the session in the other kind of the round's would go past what that kind is checked for.
        if session.asks_for_input(message.session) is not isinstance(message, Task):
            session.check_message(message.session)
            self.leave()
            raise UnexpectedMessageError(SERVER, type(message).__name__, "a Task where the contribution is asked for")
        if isinstance(message, Task):
            return self._contribute(session, message, contribution, model_digest)
        self._lines = message.ledger
        try:
            return session.receive(message.session)
        except RoundRefusedError:
            # From `_approve` alone: the reserve is missing or wrong.
            self.leave()
            raise
        finally:
            self._lines = ()

    def _contribute(
        self, session: ClientSession, task: Task, contribution: Contribution, model_digest: bytes
    ) -> bytes | None:
        # Noise is dear: what is stray or does not decode costs none. A round counts once: so the host's own mistakes
        # come first, and may be mended.
        session.check_message(task.session)
        check_digest("model_digest", model_digest)
        clip = self._checked_clip(task)
        _, context = _bound(session)
        vector = PrivateVector(self._plan, context, clip).encode_contribution(contribution)
        self._count(task)
        bound = self._plan.task(self._round_number, clip=clip, head=self._head, model_digest=model_digest)
        return session.receive(task.session, vector=vector, model_digest=bound)

    def _checked_clip(self, task: Task) -> float:
        try:
            self._plan.check_round(self._round_number, task.clip)
        except PlanMismatchError:
            self.leave()
            raise
        return task.clip

    def _count(self, task: Task) -> None:
        """Counts the round, durably, if the ledger extends what this client knows.

        Raises:
            PlanMismatchError: the ledger is another budget's.
            RoundRefusedError: the ledger does not extend what is known, or the round was counted before.
        """
        digest = hashlib.sha256(encode_round_message(task)).digest()
        if digest == self._counted:
            # An interruption came between: the counter has it.
            return
        plan, counter = self._plan, self._counter
        try:
            lines = unseen(task.ledger, counter.head)
            check_headers(plan, lines)
            self._head = counter.accept(self._round_number, lines, scope=plan.scope)
        except (PlanMismatchError, RoundRefusedError):
            self.leave()
            raise
        self._clip = task.clip
        # Counted: whatever goes wrong from here on, this client masks no other vector in the round.
        self._counted = digest

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
