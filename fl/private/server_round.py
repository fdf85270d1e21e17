"""The server of one private round: it reserves before it asks for unmasking, and settles after.

A round that would exceed the budget ends before anybody is invited, or before anybody trains where another one came in
between; one whose reserve cannot be written ends before anybody is asked to unmask. What is released is the noisy sum,
and nothing else is ever seen.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from typing import Final

from dp import BudgetExceededError, Ledger, Reserve
from fl.errors import PlanMismatchError
from fl.private.ledger_notes import LedgerNotes
from fl.private.messages import Offer, Step, Task, decode_joined, encode_round_message, is_round_message
from fl.private.plan import PrivatePlan
from fl.private.private_sum import PrivateSum
from fl.private.snapshots import VERSION, RoundSnapshot, read_round_snapshot
from fl.private.vector import PrivateVector
from secagg import (
    NO_MODEL,
    AbortCode,
    ClientId,
    Fault,
    InvalidStateError,
    Result,
    SecAggError,
    ServerSession,
    SessionParams,
    Stage,
    StateSpentError,
)
from secagg.protocol import SnapshotRole, Turns, Uncopyable, write_snapshot

__all__ = ["ServerRound"]

_NO_HASH: Final = bytes(32)
_NO_NOTES: Final = LedgerNotes()


class _Snapshot(RoundSnapshot, array_like=True, frozen=True, forbid_unknown_fields=True):
    round_number: int
    clip: float
    began: bytes
    head: bytes | None
    heads: dict[int, bytes]
    invited: tuple[int, ...]
    session: bytes


class ServerRound(Uncopyable):
    """One private round on the server.

    Send `invitation` to every client, feed `receive` what they answer, and call `close_stage` when your deadline is
    over or everyone has answered; send what it returns, until it returns the `PrivateSum`. Calls from several threads
    take turns, a forked child is refused, and an interrupted `close_stage` leaves the stage open or the round over.

    The round may be prepared while the one before it is still training: what it depends on, its clip norm and the
    ledger, is read when `close_stage` ends the stage share_keys. `secagg.pipeline.ServerPipeline` does so.

    Args:
        plan: the training's.
        ledger: open for writing; its header must be the plan's budget.
        round_number: from 1, above the last one in the ledger.
        clients: the ids invited, as many as the plan says. None where it is not known yet who answers, and the plan
            defends against a lying server: then it is whoever of the identities joins first.
        identities: each client's Ed25519 public key; where the plan defends against a lying server.
        clip: the round's clip norm; None is the plan's, in the first round or where it does not adapt. `clip` may be
            set later.
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
        clients: Collection[ClientId] | None,
        *,
        identities: Mapping[ClientId, bytes] | None = None,
        clip: float | None = None,
        executor: Executor | None = None,
        notes: LedgerNotes = _NO_NOTES,
    ) -> None:
        clip = plan.clip if clip is None else clip
        plan.check_header(ledger.header)
        plan.check_round(round_number, clip)
        session = ServerSession(plan.session_params(round_number), clients, identities, executor=executor)
        # The session took the ids for what they are.
        invited = () if clients is None else tuple(sorted(map(int, clients)))
        self._begin(
            plan,
            ledger,
            notes,
            round_number=round_number,
            clip=clip,
            began=ledger.head,
            invited=invited,
            session=session,
        )
        self._check_budget()

    def _begin(
        self,
        plan: PrivatePlan,
        ledger: Ledger,
        notes: LedgerNotes,
        *,
        round_number: int,
        clip: float,
        began: bytes,
        invited: tuple[ClientId, ...],
        session: ServerSession,
    ) -> None:
        self._notes = notes
        self._plan = plan
        self._ledger = ledger
        self._round_number = round_number
        self._clip = clip
        self._began = began
        # The ledger's head when the task was sent, and what each client had seen when it joined.
        self._head: bytes | None = None
        self._heads: dict[ClientId, bytes] = {}
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
    def params(self) -> SessionParams:
        """The parameters of the round's session."""
        return self._session.params

    @property
    def session_id(self) -> bytes:
        """The session's 16 bytes."""
        return self._session.session_id

    @property
    def stage(self) -> Stage:
        """The session's current stage."""
        return self._session.stage

    @property
    def clip(self) -> float:
        """The round's clip norm. It may be set until clients are told of it, when `close_stage` ends share_keys.

        Raises, when it is set:
            PlanMismatchError: the plan has no such clip norm.
            InvalidStateError: clients were told of another.
        """
        return self._clip

    @clip.setter
    def clip(self, clip: float) -> None:
        with self._turns.taken():
            if self._head is not None:
                raise InvalidStateError("the clients were told of the clip norm already")
            self._plan.check_round(self._round_number, clip)
            self._clip = clip

    @property
    def awaited(self) -> frozenset[ClientId]:
        """The clients that may answer now."""
        return self._session.awaited

    @property
    def received(self) -> frozenset[ClientId]:
        """The clients whose answer was accepted."""
        return self._session.received

    def has_answered(self, client: ClientId) -> bool:
        """Whether a client's answer to the current stage was accepted."""
        return self._session.has_answered(client)

    @property
    def held(self) -> bool:
        """Whether the round waits for its model: see `hold`."""
        return self._session.held

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

    @property
    def invitation(self) -> bytes:
        """The message that begins the round, the same for every client."""
        return encode_round_message(Offer(self._plan.digest, self._round_number, self._session.invitation))

    def offer(self, head: bytes | None = None) -> bytes:
        """Returns `invitation`. `head` was what a client has seen of the ledger, which it says itself now."""
        del head
        return self.invitation

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
            if self._session.stage is not Stage.ADVERTISE_KEYS or not is_round_message(data):
                # An abort needs no envelope at any stage.
                self._session.receive(sender, data)
                return
            joined = decode_joined(data, sender)
            self._session.receive(sender, joined.session)
            self._heads[int(sender)] = joined.head

    def close_stage(self, model_digest: bytes = NO_MODEL) -> Mapping[ClientId, bytes] | PrivateSum:
        """Ends the current stage.

        When share_keys ends, clip norm and ledger are as they are then, and all clients are bound to them.

        Args:
            model_digest: of what every client is given to work on; used when the stage share_keys closes.

        Returns:
            What to send to whom, or after the last stage what is released.

        Raises:
            TooFewClientsError: the stage cannot close yet; nothing changed: wait on, or give up.
            BudgetExceededError: the round would spend more than is left. When share_keys ends nothing changed; later
                nobody was asked to unmask, and the round is over.
            LedgerRefusedError: the ledger is closed, or holds this or a later round already, as after a crash between
                the reserve and the snapshot; nobody was asked to unmask, and the round is over.
            InvalidShareError: a dealer keeps the session from a sum; it is named.
            StateSpentError: the round is over.
            OSError: the ledger could not be written. Before unmasking the round is over; after it the sum is lost, and
                counts.
        """
        with self._turns.taken():
            self._check_alive()
            session, head = self._session, self._ledger.head
            if session.stage is Stage.SHARE_KEYS:
                self._check_budget()
                model_digest = self._plan.task(
                    self._round_number, clip=self._clip, head=head, model_digest=model_digest
                )
            elif session.stage is Stage.ADVERTISE_KEYS and not self._invited:
                self._invited = tuple(sorted(session.received)) if session.can_close else ()
            self._failed = True
            try:
                closed = session.close_stage(model_digest)
            except SecAggError:
                # The session says itself whether it goes on.
                self._failed = False
                raise
            if isinstance(closed, Result):
                return self._settled(closed)
            if session.stage is Stage.MASKED_INPUT:
                self._head = head
            elif session.stage is Stage.UNMASK:
                # Whatever fails in between, nobody is asked to unmask, now or ever.
                self._reserve()
            self._outbound = self._messages(closed)
            self._failed = False
            return self._outbound

    def close_round(self, model_digest: bytes = NO_MODEL) -> Mapping[ClientId, bytes] | PrivateSum:
        """The former name of `close_stage`, kept for one version: a round is one of training, and holds all stages."""
        return self.close_stage(model_digest)

    def hold(self) -> None:
        """Ends the stage share_keys, and delivers nothing yet: `close_stage` does, when the model is known.

        Raises:
            TooFewClientsError: it cannot close yet; the round is unchanged: wait on, or give up.
            InvalidStateError: the round is at another stage.
            StateSpentError: the round is over.
        """
        with self._turns.taken():
            self._check_alive()
            self._session.hold()
            self._outbound = {}

    def abort_message(self, code: AbortCode = AbortCode.LEAVING) -> bytes:
        """Returns the message that ends the round for every client that gets it."""
        return encode_round_message(Step((), self._session.abort_message(code)))

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
                self._began,
                self._head,
                self._heads,
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
        for head in (content.began, content.head):
            if head is not None and not ledger.had(head):
                raise PlanMismatchError("ledger", ledger.head.hex(), f"one that had the head {head.hex()}")
        session = ServerSession.from_bytes(content.session, executor=executor)
        restored = cls.__new__(cls)
        restored._begin(
            plan,
            ledger,
            notes,
            round_number=content.round_number,
            clip=content.clip,
            began=content.began,
            invited=content.invited,
            session=session,
        )
        restored._head, restored._heads = content.head, dict(content.heads)
        if session.stage is Stage.UNMASK and content.round_number not in ledger.unsettled:
            raise PlanMismatchError("ledger", "a round that is settled or not reserved", "an unsettled one")
        restored._outbound = restored._messages(session.outbound)
        return restored

    def _messages(self, closed: Mapping[ClientId, bytes]) -> Mapping[ClientId, bytes]:
        """Returns what the session sends, with what the ledger has to say of it."""
        stage, head = self._session.stage, self._head
        lines: tuple[bytes, ...] = ()
        if stage is Stage.UNMASK and head is not None:
            lines = self._ledger.lines_since(head)
        if stage is not Stage.MASKED_INPUT or head is None:
            return {client: encode_round_message(Step(lines, message)) for client, message in closed.items()}
        later = len(self._ledger.lines_since(head))
        return {
            client: encode_round_message(Task(self._clip, self._unseen(client, later), message))
            for client, message in closed.items()
        }

    def _unseen(self, client: ClientId, later: int) -> tuple[bytes, ...]:
        """Returns the lines that a client has not seen, without those that came after the task.

        Who has seen another file's end, or nothing, gets all of this file: who has not seen the end refuses the round.
        """
        head = self._heads.get(client, b"")
        lines = self._ledger.lines_since(head if self._ledger.had(head) else self._ledger.start)
        return lines[: len(lines) - later]

    def _check_budget(self) -> None:
        """Checks that the ledger has room for the round.

        Raises:
            BudgetExceededError: it has not.
        """
        draft = self._draft(bytes(16), context=_NO_HASH, roster=_NO_HASH)
        if self._ledger.would_exceed(draft):
            raise BudgetExceededError(self._ledger.epsilon_with(draft), float(self._ledger.header.budget))

    def _draft(self, session_id: bytes, *, context: bytes, roster: bytes) -> Reserve:
        reserve = self._plan.reserve(self._round_number, session_id, clip=self._clip, context=context, roster=roster)
        return self._notes.about(reserve)

    def _reserve(self) -> None:
        session = self._session
        roster = session.roster_hash
        self._ledger.reserve(
            self._draft(session.session_id, context=session.context, roster=_NO_HASH if roster is None else roster)
        )

    def _settled(self, result: Result) -> PrivateSum:
        self._notes.settle(self._ledger, self._round_number, invited=self._invited, survivors=result.survivors)
        self._result = result
        self._failed = False
        return PrivateVector(self._plan, self._session.context, self._clip).decode(result.sum, len(result.survivors))

    def _check_alive(self) -> None:
        if self._failed:
            raise StateSpentError("the round")
