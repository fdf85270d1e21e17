"""The server of one private round: it reserves before it asks for unmasking, and settles after.

A round that would exceed the budget ends before anybody is invited; one whose reserve cannot be written ends before
anybody is asked to unmask. What is released is the noisy sum, and nothing else is ever seen.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from typing import Final

from dp import BudgetExceededError, Ledger
from fl.errors import PlanMismatchError
from fl.private.ledger_notes import LedgerNotes
from fl.private.messages import Offer, RoundMessage, Step, encode_round_message
from fl.private.plan import PrivatePlan
from fl.private.private_sum import PrivateSum
from fl.private.snapshots import VERSION, RoundSnapshot, read_round_snapshot
from fl.private.vector import PrivateVector
from secagg import NO_MODEL, AbortCode, ClientId, Fault, Result, SecAggError, ServerSession, Stage, StateSpentError
from secagg.protocol import SnapshotRole, Turns, Uncopyable, write_snapshot

__all__ = ["ServerRound"]

_NO_HASH: Final = bytes(32)
_NO_NOTES: Final = LedgerNotes()


class _Snapshot(RoundSnapshot, array_like=True, frozen=True, forbid_unknown_fields=True):
    round_number: int
    clip: float
    head: bytes
    invited: tuple[int, ...]
    session: bytes


class ServerRound(Uncopyable):
    """One private round on the server.

    Send `offer()` to every client, feed `receive` what they answer, and call `close_stage` when your deadline is over
    or everyone has answered; send what it returns, until it returns the `PrivateSum`. Calls from several threads take
    turns, a forked child is refused, and an interrupted `close_stage` leaves the stage open or the round over.

    Args:
        plan: the training's.
        ledger: open for writing; its header must be the plan's budget.
        round_number: from 1, above the last one in the ledger.
        clients: the ids invited, as many as the plan says.
        identities: each client's Ed25519 public key; where the plan defends against a lying server.
        clip: the round's clip norm; None is the plan's, in the first round or where it does not adapt.
        executor: runs the unmasking in tasks; None is serial.
        notes: what the ledger says of the round beside its privacy.

    Raises:
        PlanMismatchError: the ledger is another budget's, or the plan has no such round.
        BudgetExceededError: the round would spend more than the budget; nothing was begun.
        InvalidInputError, InvalidParameterError: clients or identities do not fit.
    """

    def __init__(
        self,
        plan: PrivatePlan,
        ledger: Ledger,
        round_number: int,
        clients: Collection[ClientId],
        *,
        identities: Mapping[ClientId, bytes] | None = None,
        clip: float | None = None,
        executor: Executor | None = None,
        notes: LedgerNotes = _NO_NOTES,
    ) -> None:
        clip = plan.clip if clip is None else clip
        plan.check_header(ledger.header)
        plan.check_round(round_number, clip)
        draft = notes.about(plan.reserve(round_number, bytes(16), clip=clip, context=_NO_HASH, roster=_NO_HASH))
        if ledger.would_exceed(draft):
            raise BudgetExceededError(ledger.epsilon_with(draft), float(ledger.header.budget))
        params = plan.session_params(round_number, clip, ledger.head)
        session = ServerSession(params, clients, identities, executor=executor)
        # The session took the ids for what they are.
        invited = tuple(sorted(map(int, clients)))
        self._begin(
            plan,
            ledger,
            notes,
            round_number=round_number,
            clip=clip,
            head=ledger.head,
            invited=invited,
            session=session,
        )

    def _begin(
        self,
        plan: PrivatePlan,
        ledger: Ledger,
        notes: LedgerNotes,
        *,
        round_number: int,
        clip: float,
        head: bytes,
        invited: tuple[ClientId, ...],
        session: ServerSession,
    ) -> None:
        self._notes = notes
        self._plan = plan
        self._ledger = ledger
        self._round_number = round_number
        self._clip = clip
        self._head = head
        self._invited = invited
        self._session = session
        self._outbound: Mapping[ClientId, bytes] = {}
        # Set while a step changes more than one thing: what stops it half-way leaves the round over.
        self._failed = False
        self._turns = Turns("the round")
        self._result: Result | None = None

    def __repr__(self) -> str:
        return f"<ServerRound {self._round_number} at {self.stage}>"

    @property
    def stage(self) -> str:
        """The session's current stage: a `secagg.Stage` or its text."""
        return self._session.stage

    @property
    def awaited(self) -> frozenset[ClientId]:
        """The clients that may answer now."""
        return self._session.awaited

    @property
    def received(self) -> frozenset[ClientId]:
        """The clients whose answer was accepted."""
        return self._session.received

    @property
    def can_close(self) -> bool:
        """Whether enough clients have answered to go on."""
        return self._session.can_close

    @property
    def faults(self) -> Mapping[ClientId, Fault]:
        """The clients that broke a rule so far."""
        return self._session.faults

    @property
    def outbound(self) -> Mapping[ClientId, bytes]:
        """What the last `close_stage` returned: send it again where it may have been lost."""
        return self._outbound

    @property
    def survivors(self) -> frozenset[ClientId]:
        """Whose vectors are in the sum; none before it is released."""
        return frozenset() if self._result is None else self._result.survivors

    def offer(self, head: bytes | None = None) -> bytes:
        """Returns the message that begins the round for a client.

        Args:
            head: the last head that the client has seen, as it said; its lines of the ledger begin there. None, or a
                head that this ledger's file never had, sends all of the file. Where that continues another file, it
                does for clients that saw the end of the other one; those that did not refuse the round.

        Raises:
            OSError: the ledger cannot be read.
        """
        lines = self._ledger.lines_since(head if head is not None and self._ledger.had(head) else self._ledger.start)
        return encode_round_message(
            Offer(self._plan.digest, self._round_number, self._clip, lines, self._session.invitation)
        )

    def receive(self, sender: ClientId, data: bytes | bytearray | memoryview) -> None:
        """Takes one client's message.

        Raises:
            StrayMessageError: a message of another round; it is dropped, and its sender is not at fault.
            RemoteError: the message was refused; the round is unchanged, and goes on without it.
            InvalidParameterError: `sender` is no client id.
            StateSpentError: the round is over.
        """
        with self._turns.taken():
            self._check_alive()
            self._session.receive(sender, data)

    def close_stage(self, model_digest: bytes = NO_MODEL) -> Mapping[ClientId, bytes] | PrivateSum:
        """Ends the current stage.

        Args:
            model_digest: of what every client is given to work on; used when the stage share_keys closes.

        Returns:
            What to send to whom, or after the last stage what is released.

        Raises:
            TooFewClientsError: the stage cannot close yet; nothing changed: wait on, or give up.
            BudgetExceededError: the round would spend more than is left; nobody was asked to unmask, and the round is
                over.
            LedgerRefusedError: the ledger is closed, or holds this or a later round already, as after a crash between
                the reserve and the snapshot; nobody was asked to unmask, and the round is over.
            InvalidShareError: a dealer keeps the session from a sum; it is named.
            StateSpentError: the round is over.
            OSError: the ledger could not be written. Before unmasking the round is over; after it the sum is lost, and
                counts.
        """
        with self._turns.taken():
            self._check_alive()
            self._failed = True
            try:
                closed = self._session.close_stage(model_digest)
            except SecAggError:
                # The session says itself whether it goes on.
                self._failed = False
                raise
            if isinstance(closed, Result):
                return self._settled(closed)
            # Whatever fails in between, nobody is asked to unmask, now or ever.
            lines = self._reserve() if self._session.stage == Stage.UNMASK else ()
            self._outbound = {client: _step(lines, message) for client, message in closed.items()}
            self._failed = False
            return self._outbound

    def close_round(self, model_digest: bytes = NO_MODEL) -> Mapping[ClientId, bytes] | PrivateSum:
        """The former name of `close_stage`, kept for one version: a round is one of training, and holds all stages."""
        return self.close_stage(model_digest)

    def abort_message(self, code: AbortCode = AbortCode.LEAVING) -> bytes:
        """Returns the message that ends the round for every client that gets it."""
        return _step((), self._session.abort_message(code))

    def to_bytes(self, wrapping_key: bytes | None = None) -> bytes:
        """Returns a snapshot, encrypted if a 32-byte wrapping key is given; right after `close_stage` only.

        Raises:
            InvalidStateError: an answer of the current stage was accepted already.
            StateSpentError: the round is over.
        """
        with self._turns.taken():
            self._check_alive()
            content = _Snapshot(
                VERSION,
                self._plan.digest,
                self._round_number,
                self._clip,
                self._head,
                self._invited,
                self._session.to_bytes(),
            )
            return write_snapshot(SnapshotRole.SERVER_ROUND, content, wrapping_key)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        plan: PrivatePlan,
        ledger: Ledger,
        *,
        wrapping_key: bytes | None = None,
        executor: Executor | None = None,
        notes: LedgerNotes = _NO_NOTES,
    ) -> "ServerRound":
        """Returns the round of a snapshot; `outbound` holds what was to be sent, unchanged.

        `notes` are not in the snapshot: give them again.

        Raises:
            InvalidStateError: the snapshot is damaged or of another version.
            PlanMismatchError: it is of another plan, or of another ledger.
            InvalidInputError: the wrapping key does not fit.
        """
        content = read_round_snapshot(SnapshotRole.SERVER_ROUND, data, _Snapshot, plan=plan, wrapping_key=wrapping_key)
        plan.check_header(ledger.header)
        if not ledger.had(content.head):
            raise PlanMismatchError("ledger", ledger.head.hex(), f"one that had the head {content.head.hex()}")
        session = ServerSession.from_bytes(content.session, executor=executor)
        restored = cls.__new__(cls)
        restored._begin(
            plan,
            ledger,
            notes,
            round_number=content.round_number,
            clip=content.clip,
            head=content.head,
            invited=content.invited,
            session=session,
        )
        lines: tuple[bytes, ...] = ()
        if session.stage == Stage.UNMASK:
            if content.round_number not in ledger.unsettled:
                raise PlanMismatchError("ledger", "a round that is settled or not reserved", "an unsettled one")
            lines = ledger.lines_since(content.head)
        restored._outbound = {client: _step(lines, message) for client, message in session.outbound.items()}
        return restored

    def _reserve(self) -> tuple[bytes, ...]:
        session = self._session
        roster = session.roster_hash
        reserve = self._plan.reserve(
            self._round_number,
            session.session_id,
            clip=self._clip,
            context=session.context,
            roster=_NO_HASH if roster is None else roster,
        )
        self._ledger.reserve(self._notes.about(reserve))
        return self._ledger.lines_since(self._head)

    def _settled(self, result: Result) -> PrivateSum:
        self._notes.settle(self._ledger, self._round_number, invited=self._invited, survivors=result.survivors)
        self._result = result
        self._failed = False
        return PrivateVector(self._plan, self._session.context, self._clip).decode(result.sum, len(result.survivors))

    def _check_alive(self) -> None:
        if self._failed:
            raise StateSpentError("the round")


def _step(lines: tuple[bytes, ...], session: bytes) -> bytes:
    message: RoundMessage = Step(lines, session)
    return encode_round_message(message)
