"""The server behind bytes in, bytes out: the stages of `secagg.server` for callers that move bytes."""

import secrets
from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from typing import NamedTuple, TypeAlias

from secagg.checks import check_client_id, check_executor, check_type
from secagg.errors import (
    ClientId,
    InvalidStateError,
    MalformedMessageError,
    StateSpentError,
    UnexpectedMessageError,
)
from secagg.params import SessionParams
from secagg.protocol.concealed import Concealed
from secagg.protocol.messages import Abort, AbortCode, Invitation, Message
from secagg.protocol.single_use import Uncopyable
from secagg.protocol.snapshot import SnapshotRole, read_snapshot, write_snapshot
from secagg.protocol.transcript import NO_MODEL, SESSION_ID_BYTES, session_context
from secagg.protocol.turns import Turns
from secagg.protocol.wire import Octets, decode, encode, received
from secagg.server import (
    AnyStage,
    CollectingKeys,
    CollectingMaskedInputs,
    CollectingShares,
    CollectingSignatures,
    CollectingUnmasking,
    Fault,
    HoldingShares,
    Outbound,
    Result,
)
from secagg.server.facts import Dealt, Enrolled, Held, Invitees, Signed, Summed
from secagg.stages import Stage

_Facts: TypeAlias = Invitees | Enrolled | Held | Dealt | Summed | Signed


class _Snapshot(Concealed, frozen=True, forbid_unknown_fields=True):
    params: SessionParams
    session_id: bytes
    facts: _Facts
    faults: dict[ClientId, Fault]
    messages: tuple[bytes, ...]
    outbound: dict[ClientId, int]
    aborted: dict[ClientId, AbortCode]


class _Place(NamedTuple):
    current: AnyStage
    outbound: Mapping[ClientId, bytes]
    """What the stage before sent when it closed."""


class ServerSession(Uncopyable):
    """One session on the server.

    Send `invitation` to every client, feed `receive` what they answer, and call `close_stage` when
    your deadline is over or everyone has answered; send what it returns, until it returns the `Result`.
    Calls from several threads take turns. A forked child is refused. What interrupts `receive` (a signal, an alarm,
    too little memory) leaves the message untaken, and it may come again; what interrupts `close_stage` leaves the
    stage open, or the session over.

    Args:
        params: the session's parameters.
        clients: the ids invited, cohort_size of them. None where it is not known yet who answers (ACTIVE only): then
            it is whoever of the identities advertises first, until the cohort is full.
        identities: each client's Ed25519 public key, as this server knows it; ACTIVE only.
        session_id: 16 bytes; drawn from the operating system by default.
        executor: runs the unmasking in tasks of some coordinates or masks each; None is serial.

    Raises:
        InvalidInputError, InvalidParameterError: clients, identities or session id do not fit.
    """

    def __init__(
        self,
        params: SessionParams,
        clients: Collection[ClientId] | None,
        identities: Mapping[ClientId, bytes] | None = None,
        *,
        session_id: bytes | None = None,
        executor: Executor | None = None,
    ) -> None:
        session_id = secrets.token_bytes(SESSION_ID_BYTES) if session_id is None else session_id
        self._begin(params, session_id, CollectingKeys(params, session_id, clients, identities), executor)

    def _begin(
        self,
        params: SessionParams,
        session_id: bytes,
        current: AnyStage,
        executor: Executor | None,
        *,
        outbound: Mapping[ClientId, bytes] | None = None,
    ) -> None:
        self._params = params
        self._session_id = session_id
        # One assignment moves both on: an interruption never leaves a stage with another one's messages.
        self._place = _Place(current, {} if outbound is None else outbound)
        check_executor(executor)
        self._executor = executor
        # Two inputs added at the same time would lose words of the sum.
        self._turns = Turns("the session")
        self.aborted: dict[ClientId, AbortCode] = {}
        """Clients that said that they leave, and why."""

    def __repr__(self) -> str:
        return f"<ServerSession at {self.stage}, {len(self.received)} of {len(self.awaited)} received>"

    @property
    def params(self) -> SessionParams:
        """The session's parameters."""
        return self._params

    @property
    def session_id(self) -> bytes:
        """The session's 16 bytes."""
        return self._session_id

    @property
    def context(self) -> bytes:
        """The public 32-byte hash of session id and parameters: see `ClientSession.context`."""
        return session_context(self._params, self._session_id)

    @property
    def roster_hash(self) -> bytes | None:
        """The hash of who advertised which keys; None until the first stage is closed."""
        return self._current.roster_hash

    @property
    def invitation(self) -> bytes:
        """The message that begins the session, the same for every client."""
        return self._encode(Invitation(self._params.encode()))

    @property
    def stage(self) -> Stage:
        """The current stage."""
        return self._current.stage

    @property
    def awaited(self) -> frozenset[ClientId]:
        """The clients that may answer the current stage."""
        return self._current.awaited

    @property
    def received(self) -> frozenset[ClientId]:
        """The clients whose answer to the current stage was accepted."""
        return self._current.received

    def has_answered(self, client: ClientId) -> bool:
        """Whether a client's answer to the current stage was accepted; as `received`, for one client."""
        return self._current.has(client)

    @property
    def can_close(self) -> bool:
        """Whether enough clients have answered for the session to go on."""
        return self._current.can_close

    @property
    def faults(self) -> Mapping[ClientId, Fault]:
        """The clients that broke a rule so far, each with its first fault."""
        return dict(self._current.faults)

    @property
    def outbound(self) -> Mapping[ClientId, bytes]:
        """What the last `close_stage` returned: send it again where it may have been lost."""
        return self._place.outbound

    @property
    def _current(self) -> AnyStage:
        return self._place.current

    def receive(self, sender: ClientId, data: Octets) -> None:
        """Takes one client's message.

        Args:
            sender: the client's id, as the transport authenticates it.
            data: the message.

        Raises:
            StrayMessageError: a message of another session, such as a late one of the session before; it is dropped,
                and its sender is not at fault.
            RemoteError: the message was refused; the session is unchanged, and goes on without it.
            InvalidInputError: `data` is not bytes, bytearray or memoryview, or a view that was released.
            InvalidParameterError: `sender` is no client id.
            StateSpentError: the session is over.
        """
        sender = check_client_id("sender", sender)
        with self._turns.taken():
            self._receive(sender, data)

    def _receive(self, sender: ClientId, data: Octets) -> None:
        if self._current.closed:
            raise StateSpentError("the session")
        try:
            data = received(data, sender, self._params, session_id=self._session_id)
            message = decode(data, sender, self._params, session_id=self._session_id)
        except MalformedMessageError as error:
            self._current.note_fault(sender, error)
            raise
        if isinstance(message, Abort):
            if sender not in self._current.awaited:
                raise UnexpectedMessageError(sender, "Abort", f"a client that is awaited at {self.stage}")
            self.aborted.setdefault(sender, message.code)
            return
        self._current.receive(sender, message)

    @property
    def held(self) -> bool:
        """Whether the session waits to deliver: see `hold`."""
        return isinstance(self._current, HoldingShares)

    def hold(self) -> None:
        """Ends the stage share_keys, and delivers nothing yet: `close_stage` does, when the model is known.

        A server that prepares a session while another one trains waits here. Nobody is awaited, and it can be saved.

        Raises:
            TooFewClientsError: it cannot close yet; the session is unchanged: wait on, or give up.
            InvalidStateError: the session is at another stage.
            StateSpentError: the session is over.
        """
        with self._turns.taken():
            current = self._current
            if not isinstance(current, CollectingShares):
                raise InvalidStateError(f"a session is held at the end of {Stage.SHARE_KEYS}, not at {self.stage}")
            self._place = _Place(current.hold(), {})

    def close_stage(self, model_digest: bytes = NO_MODEL) -> Mapping[ClientId, bytes] | Result:
        """Ends the current stage.

        Args:
            model_digest: 32-byte digest of what every client is given to work on; used when the stage
                share_keys closes, without effect at any other.

        Returns:
            What to send to whom, or after the last stage the result.

        Raises:
            TooFewClientsError: it cannot close yet; the session is unchanged: wait on, or give up.
            InvalidShareError: a dealer keeps the session from a sum; it is named. At masked_input the
                session is unchanged, as more inputs might still help; at unmask it has failed for good.
            StateSpentError: the session is over.
        """
        with self._turns.taken():
            return self._close_stage(model_digest)

    def close_round(self, model_digest: bytes = NO_MODEL) -> Mapping[ClientId, bytes] | Result:
        """The former name of `close_stage`, kept for one version: a round is one of training, and holds all stages."""
        return self.close_stage(model_digest)

    def _close_stage(self, model_digest: bytes) -> Mapping[ClientId, bytes] | Result:
        current = self._current
        following: AnyStage
        outbound: Mapping[ClientId, Message]
        if isinstance(current, CollectingUnmasking):
            return current.close(self._executor)
        if isinstance(current, CollectingShares | HoldingShares):
            following, outbound = current.close(model_digest)
        else:
            if isinstance(current, CollectingMaskedInputs) and current.can_close:
                # The sealed shares, the largest thing held for each pair: nobody needs them any more.
                self._place = _Place(current, {})
            following, outbound = current.close()
        self._place = _Place(following, self._encoded(outbound))
        return self._place.outbound

    def abort_message(self, code: AbortCode = AbortCode.LEAVING) -> bytes:
        """Returns the message that ends the session for every client that gets it.

        The server's own session goes on: one client can be sent away, or all of them.

        Raises:
            InvalidParameterError: the code is none.
        """
        check_type("code", code, AbortCode)
        return self._encode(Abort(code))

    def to_bytes(self, wrapping_key: bytes | None = None) -> bytes:
        """Returns a snapshot, encrypted if a 32-byte wrapping key is given. At stage boundaries only.

        Raises:
            InvalidStateError: a message of the current stage was accepted already.
            StateSpentError: the session is over.
        """
        with self._turns.taken():
            return self._to_bytes(wrapping_key)

    def _to_bytes(self, wrapping_key: bytes | None) -> bytes:
        if self._current.closed:
            raise StateSpentError("the session")
        if self._current.received:
            raise InvalidStateError("a server's snapshot is taken right after close_stage, before any answer")
        # Most stages send everyone the same message: it is kept once.
        places: dict[bytes, int] = {}
        outbound = {client: places.setdefault(message, len(places)) for client, message in self.outbound.items()}
        facts, faults = self._current.facts, self._current.faults
        content = _Snapshot(self._params, self._session_id, facts, faults, tuple(places), outbound, self.aborted)
        return write_snapshot(SnapshotRole.SERVER, content, wrapping_key)

    @classmethod
    def from_bytes(
        cls, data: bytes, *, wrapping_key: bytes | None = None, executor: Executor | None = None
    ) -> "ServerSession":
        """Returns the session of a snapshot; `outbound` holds what was to be sent, unchanged.

        Raises:
            InvalidStateError: the snapshot is damaged, of another version, or of a client.
            InvalidInputError: the wrapping key does not fit.
        """
        content = read_snapshot(SnapshotRole.SERVER, data, _Snapshot, wrapping_key)
        session = cls.__new__(cls)
        current = _restore(content.facts, dict(content.faults))
        outbound = {client: content.messages[place] for client, place in content.outbound.items()}
        session._begin(content.params, content.session_id, current, executor, outbound=outbound)
        session.aborted = dict(content.aborted)
        return session

    def _encode(self, message: Message) -> bytes:
        return encode(message, self._params.suite, self._session_id)

    def _encoded(self, outbound: Mapping[ClientId, Message]) -> Mapping[ClientId, bytes]:
        return Outbound(tuple(outbound), lambda client: self._encode(outbound[client]))


def _restore(facts: _Facts, faults: dict[ClientId, Fault]) -> AnyStage:
    if isinstance(facts, Invitees):
        return CollectingKeys._restore(facts, faults)
    if isinstance(facts, Enrolled):
        return CollectingShares(facts, faults)
    if isinstance(facts, Held):
        return HoldingShares(facts, faults)
    if isinstance(facts, Dealt):
        return CollectingMaskedInputs(facts, faults)
    if isinstance(facts, Summed):
        return CollectingSignatures(facts, faults)
    return CollectingUnmasking(facts, faults)
