"""A client's part in one private round: what it agreed to is what it does, or it says no.

Before anything is sent it counts the round in its own durable counter, and pins plan, clip norm, round number and
ledger head in the session's policy. Before it helps to unmask it sees the round's `reserve` in the ledger, with the
figures of the plan: from then on the round counts against the budget, whatever the server does next.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from dp import BadRecordError, Header, Reserve, RoundCounter, RoundRefusedError
from dp.ledger import NO_HEAD, line_hash
from dp.ledger import decode as decode_record
from fl.arrays.schema import Arrays
from fl.errors import PlanMismatchError
from fl.private.messages import Offer, Step, decode_round_message
from fl.private.plan import PrivatePlan
from fl.private.vector import PrivateVector
from secagg import (
    NO_MODEL,
    SERVER,
    ClientId,
    ClientSession,
    Identity,
    InvalidInputError,
    InvalidStateError,
    RemoteError,
    SessionParams,
    StateSpentError,
    UnexpectedMessageError,
)
from secagg.protocol import SnapshotRole, Uncopyable, decode, read_snapshot, write_snapshot
from secagg.protocol.messages import Abort
from secagg.protocol.wire import decode_invitation

__all__ = ["ClientRound"]


_OF_A_ROUND: Final = ("round_number", "application")


class _Snapshot(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    version: int
    plan_digest: bytes
    client: int
    round_number: int
    clip: float
    accepted: tuple[bytes, ...]
    witnessed: bool
    session: bytes


_VERSION: Final = 1


class ClientRound(Uncopyable):
    """One client in one round. Feed `receive` what the server sent, and send what it returns.

    Calls from several threads take turns.

    Args:
        plan: what this client agreed to; from its owner, or read by `PrivatePlan.from_json` and looked at.
        client: its id, as the transport authenticates it.
        counter: its durable counter for the plan's scope and rounds.
        identity: its long-term key; where the plan defends against a lying server.
        identities: every client's public key, likewise.
        executor: runs the mask generation in shards; a thread pool. None is serial.

    Raises:
        InvalidParameterError, InvalidInputError: client or identities do not fit the plan.

    Security: once it has answered, any error but `MalformedMessageError` and a `LocalError` about this call ends the
    round for this client, and its secrets are dropped. Persist `to_bytes()` before sending what `receive` returned, and
    delete the older snapshot.
    """

    def __init__(
        self,
        plan: PrivatePlan,
        client: ClientId,
        counter: RoundCounter,
        identity: Identity | None = None,
        identities: Mapping[ClientId, bytes] | None = None,
        *,
        executor: Executor | None = None,
    ) -> None:
        # What is wrong with these is found here, before a round is counted that this client could not take part in.
        ClientSession(client, plan.policy(1, plan.clip, NO_HEAD, identities), identity)
        self._plan = plan
        self._client = client
        self._counter = counter
        self._identity = identity
        self._identities = identities
        self._executor = executor
        self._session: ClientSession | None = None
        self._round_number = 0
        self._clip = plan.clip
        self._accepted: tuple[bytes, ...] = ()
        self._witnessed = False
        self._over = False
        # Between the look at the reserve and the answer nothing else may move the session on.
        self._lock = threading.RLock()

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
        *,
        update: Arrays | None = None,
        examples: Sequence[Arrays] | npt.NDArray[np.float64] | None = None,
        weight: int = 1,
        side_values: Mapping[str, float] | None = None,
        model_digest: bytes = NO_MODEL,
    ) -> bytes | None:
        """Takes one message of the server.

        Args:
            data: the message. An accepted one may come again, and is answered as `secagg.ClientSession.receive` does.
            update: this client's update, with the message for which `wants_input` is true.
            examples: instead, the updates of single examples, where the plan protects those.
            weight: with the update.
            side_values: with the update.
            model_digest: digest of what this client was given to work on, with the update.

        Returns:
            The reply to send, or None where there is none.

        Raises:
            MalformedMessageError: no message of this round; the round goes on.
            PlanMismatchError: the server holds another plan, offers a round or a session that this one does not have,
                or keeps a ledger that counts something else; nothing was counted.
            RoundRefusedError: the ledger that is offered does not extend what this client knows, or the round was
                counted before; nothing was counted. Or the reserve is missing or not what the plan says, and the round
                is over.
            RemoteError: any other fault of the server; the round is over.
            LocalError: this call is wrong; nothing happened, call again.
        """
        with self._lock:
            return self._receive(data, update, examples, weight, side_values, model_digest)

    def _receive(
        self,
        data: bytes,
        update: Arrays | None,
        examples: Sequence[Arrays] | npt.NDArray[np.float64] | None,
        weight: int,
        side_values: Mapping[str, float] | None,
        model_digest: bytes,
    ) -> bytes | None:
        message = decode_round_message(data)
        if self._over:
            raise StateSpentError("the round")
        digest = hashlib.sha256(message.session).digest()
        if self._session is None:
            if not isinstance(message, Offer):
                raise UnexpectedMessageError(SERVER, "Step", "Offer")
            reply = self._begin(message)
        elif digest in self._accepted:
            # Sent again, as by a server that was restored: the session answers as before, and nothing moves on.
            return self._session.receive(message.session)
        elif isinstance(message, Offer):
            # A second offer; or a message of the session that hides in one, from what is asked of a Step.
            self.leave()
            raise UnexpectedMessageError(SERVER, "Offer", "Step")
        else:
            reply = self._go_on(message, update, examples, weight, side_values, model_digest)
        self._accepted = (*self._accepted, digest)
        return reply

    def leave(self) -> bytes | None:
        """Ends the round for this client and drops its secrets; returns the message that tells the server, if any."""
        with self._lock:
            self._over = True
            return None if self._session is None else self._session.leave()

    def to_bytes(self, wrapping_key: bytes | None = None) -> bytes:
        """Returns a snapshot: a secret, encrypted if a 32-byte wrapping key is given. Never the identity key.

        Raises:
            InvalidStateError: there is no session yet, or the round is over.
        """
        with self._lock:
            if self._session is None or self._over:
                raise InvalidStateError("a snapshot is taken of a round that was offered and not refused")
            content = _Snapshot(
                _VERSION,
                self._plan.digest,
                self._client,
                self._round_number,
                self._clip,
                self._accepted,
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
        identity: Identity | None = None,
        identities: Mapping[ClientId, bytes] | None = None,
        *,
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
        content = read_snapshot(SnapshotRole.CLIENT_ROUND, data, _Snapshot, wrapping_key)
        if content.version != _VERSION:
            raise InvalidStateError("the snapshot is of another version")
        if content.plan_digest != plan.digest:
            raise PlanMismatchError("plan", content.plan_digest.hex(), plan.digest.hex())
        if content.client != client:
            raise InvalidStateError(f"the snapshot is of client {content.client}, not of {client}")
        if content.round_number != counter.last_round:
            last = counter.last_round
            raise InvalidStateError(f"the snapshot is of round {content.round_number}, the last one counted is {last}")
        restored = cls(plan, client, counter, identity, identities, executor=executor)
        restored._session = ClientSession.from_bytes(content.session, identity=identity, executor=executor)
        restored._round_number, restored._clip = content.round_number, content.clip
        restored._accepted, restored._witnessed = content.accepted, content.witnessed
        return restored

    def _begin(self, offer: Offer) -> bytes | None:
        if offer.plan_digest != self._plan.digest:
            raise PlanMismatchError("plan", offer.plan_digest.hex(), self._plan.digest.hex())
        self._plan.check_round(offer.round_number, offer.clip)
        self._check_terms(decode_invitation(offer.session)[0])
        lines = self._unknown(offer.ledger)
        self._check_headers(lines)
        head = self._counter.accept(offer.round_number, lines, scope=self._plan.scope)
        # Counted: whatever goes wrong from here on, this client takes part in no second session of the round.
        self._round_number, self._clip = offer.round_number, offer.clip
        policy = self._plan.policy(offer.round_number, offer.clip, head, self._identities)
        session = ClientSession(self._client, policy, self._identity, executor=self._executor)
        try:
            reply = session.receive(offer.session)
        except RemoteError:
            self._over = True
            raise
        self._session = session
        return reply

    def _check_terms(self, offered: SessionParams) -> None:
        """Checks that the session is the plan's; what belongs to the round is left to the session's own policy.

        Raises:
            PlanMismatchError: it has other parameters, the first of which is named.
        """
        ours = self._plan.session
        for field in fields(SessionParams):
            if field.name not in _OF_A_ROUND and getattr(offered, field.name) != getattr(ours, field.name):
                name, theirs = f"session ({field.name})", str(getattr(offered, field.name))
                raise PlanMismatchError(name, theirs, str(getattr(ours, field.name)))

    def _go_on(
        self,
        step: Step,
        update: Arrays | None,
        examples: Sequence[Arrays] | npt.NDArray[np.float64] | None,
        weight: int,
        side_values: Mapping[str, float] | None,
        model_digest: bytes,
    ) -> bytes | None:
        session, _, _ = self._joined()
        vector = None
        if session.wants_input:
            vector = self._encode(update, examples, weight, side_values)
        elif session.about_to_unmask and not self._is_abort(step.session):
            self._witness(step)
        return session.receive(step.session, vector=vector, model_digest=model_digest)

    def _joined(self) -> tuple[ClientSession, tuple[SessionParams, bytes], bytes]:
        """Returns the session, its parameters and id, and its context."""
        session = self._session
        if session is None or session.params is None or session.session_id is None or session.context is None:
            raise InvalidStateError("there is no session yet")  # pragma: no cover - asked for once there is one
        return session, (session.params, session.session_id), session.context

    def _encode(
        self,
        update: Arrays | None,
        examples: Sequence[Arrays] | npt.NDArray[np.float64] | None,
        weight: int,
        side_values: Mapping[str, float] | None,
    ) -> npt.NDArray[Any]:
        if (update is None) is (examples is None):
            raise InvalidInputError(
                "update", "not given, or given with examples", "one of the two: wants_input is true"
            )
        _, _, context = self._joined()
        vector = PrivateVector(self._plan, context, self._clip)
        if examples is not None:
            if weight != 1 or side_values:
                raise InvalidInputError("weight", "given with examples, or side values are", "left out with examples")
            return vector.encode_examples(examples)
        return vector.encode({} if update is None else update, weight, side_values)

    def _is_abort(self, data: bytes) -> bool:
        """Returns whether the server ends the session, which needs no reserve."""
        _, (params, session_id), _ = self._joined()
        return isinstance(decode(data, SERVER, params, session_id), Abort)

    def _witness(self, step: Step) -> None:
        if self._witnessed:
            return
        _, (_, session_id), context = self._joined()
        try:
            reserve = self._counter.witness(step.ledger, context=context)
            self._check_reserve(reserve, session_id, context)
            self._check_headers(step.ledger)
        except PlanMismatchError as error:
            self.leave()
            raise RoundRefusedError("extension", error.offered, error.expected) from error
        except RoundRefusedError:
            self.leave()
            raise
        self._witnessed = True

    def _check_reserve(self, reserve: Reserve, session_id: bytes, context: bytes) -> None:
        """Checks that the round will be accounted for as the plan says.

        The claimed epsilon follows from the rest, which an audit compares; the roster is the server's to say.
        """
        expected = self._plan.reserve(self._round_number, session_id, self._clip, context, reserve.roster)
        expected = replace(expected, epsilon=reserve.epsilon)
        for field in fields(Reserve):
            offered, ours = getattr(reserve, field.name), getattr(expected, field.name)
            if offered != ours:
                raise RoundRefusedError("reserve", f"{field.name} {offered}", f"{field.name} {ours}")

    def _check_headers(self, lines: Sequence[bytes]) -> None:
        """Checks that the ledger counts what the plan promises, where a file of it begins.

        Raises:
            PlanMismatchError: it is a ledger of another budget.
        """
        for place, line in enumerate(lines, 1):
            # The counter refuses what is no record, and says which.
            with suppress(BadRecordError):
                record, _ = decode_record(line, place)
                if isinstance(record, Header):
                    self._plan.check_header(record)

    def _unknown(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Returns the lines after the last head that this client has seen, if it is among them."""
        head = self._counter.head
        if head is not None:
            for place, line in enumerate(lines):
                if line_hash(line) == head:
                    return lines[place + 1 :]
        return lines
