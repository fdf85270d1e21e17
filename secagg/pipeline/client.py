"""A client of many rounds: its sessions, by their ids.

A server that prepares the next session while one trains sends messages of both at once. `SessionStore` gives each to
its session, trains last, and holds what must be true over all of them: one vector a round, and rounds that only grow.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import ClassVar, Final, Generic, Protocol, TypeVar

from secagg.checks import check_client_id, check_executor
from secagg.client.advertising_keys import check_identity
from secagg.client.session import ClientSession
from secagg.client.state import Vector
from secagg.errors import (
    SERVER,
    ClientId,
    InvalidStateError,
    MalformedMessageError,
    PolicyViolationError,
    RemoteError,
    StateSpentError,
    StrayMessageError,
)
from secagg.pipeline.bundle import Part, decode_bundle, encode_bundle
from secagg.policy import ClientPolicy
from secagg.primitives.signing import Identity
from secagg.protocol.single_use import Secrets, Uncopyable
from secagg.protocol.snapshot import SnapshotRole, read_snapshot, write_snapshot
from secagg.protocol.turns import Turns
from secagg.protocol.wire import Octets

__all__ = ["MOST_OPEN", "Answer", "ClientSessions", "JoinedSession", "SessionStore"]

MOST_OPEN: Final = 4
"""Sessions that a client holds at once. A server needs two, and one more where it begins a round again."""

_MOST_ENDED: Final = 16
"""Ids of sessions that are over: a late message of theirs begins nothing."""


class JoinedSession(Protocol):
    """A client's part in one session, as `ClientSession` is; layers above have their own."""

    @property
    def session_id(self) -> bytes | None:
        """The session's 16 bytes, None before the invitation."""

    @property
    def round_number(self) -> int | None:
        """The session's round, None before the invitation."""

    @property
    def over(self) -> bool:
        """Whether the session has given its last answer, failed or was aborted."""

    @property
    def wants_input(self) -> bool:
        """Whether the next message must come with the vector."""

    def asks_for_input(self, data: Octets) -> bool:
        """Whether the answer to a message takes the vector."""

    def check_message(self, data: Octets) -> None:
        """Checks header, session, length and form of a message, and takes no step."""

    def leave(self) -> bytes | None:
        """Ends the session; returns the message that tells the server."""

    def to_bytes(self, wrapping_key: bytes | None = None) -> bytes:
        """Returns a snapshot."""


Session = TypeVar("Session", bound=JoinedSession)
Given = TypeVar("Given")


class _Snapshot(Secrets, frozen=True):
    client: ClientId
    trained: tuple[int, bytes]
    ended: tuple[bytes, ...]
    sessions: tuple[bytes, ...]


class SessionStore(Uncopyable, ABC, Generic[Session, Given]):
    """All of one client's sessions with one server. `ClientSessions` is the one for plain sums.

    For each bundle of the server: `receive` it; if the answer's `session` is not None, train, and `train` it; save
    `to_bytes()`; and only then send `Answer.to_bytes()`.

    Guarantees:
        Whatever the server opens, the client masks one vector a round, and rounds only grow. When a session's vector is
        masked, the secrets of all other sessions of its round and of earlier ones are dropped.

    Security:
        A store that is restored from an older snapshot has forgotten what it did: keep one snapshot, and replace it
        before an answer is sent.
    """

    refusals: ClassVar[tuple[type[Exception], ...]] = (RemoteError,)
    """What a session raises where the server is at fault: its answer is to leave."""

    def __init__(self, client: ClientId) -> None:
        self._client = check_client_id("client", client)
        self._sessions: dict[bytes, Session] = {}
        self._trained: tuple[int, bytes] = (-1, b"")
        self._ended: tuple[bytes, ...] = ()
        self._turns = Turns("the sessions")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of client {self._client}, {len(self._sessions)} open>"

    @property
    def last_round(self) -> int | None:
        """The last round that a vector was masked for, None before the first."""
        return None if self._trained[0] < 0 else self._trained[0]

    @property
    def sessions(self) -> Sequence[Session]:
        """The sessions that are open, the oldest first."""
        return tuple(self._sessions.values())

    def receive(self, data: Octets) -> "Answer[Session, Given]":
        """Takes a bundle of the server, and answers all of it that takes no vector.

        The same bundle may come again: sessions then answer as they did.

        Raises:
            InvalidInputError: `data` is not bytes, bytearray or memoryview, or a view that was released.
            MalformedMessageError: it is no bundle; nothing happened.
        """
        with self._turns.taken():
            _, parts = decode_bundle(data, SERVER)
            answer: Answer[Session, Given] = Answer(self)
            for part in parts:
                try:
                    self._take(part, answer)
                except (MalformedMessageError, StrayMessageError, StateSpentError) as error:
                    # What is no message of the session at all does not end it.
                    answer._refuse(part.session_id, error, None)
                except self.refusals as error:
                    answer._refuse(part.session_id, error, self._leave(part.session_id))
                self._forget(part.session_id)
            return answer

    def leave(self) -> bytes:
        """Ends all sessions and drops their secrets; returns the bundle that tells the server."""
        with self._turns.taken():
            parts = [
                Part(session_id, message)
                for session_id in tuple(self._sessions)
                if (message := self._leave(session_id)) is not None
            ]
            return encode_bundle(parts, self._client)

    def to_bytes(self, wrapping_key: bytes | None = None) -> bytes:
        """Returns a snapshot: a secret, encrypted if a 32-byte wrapping key is given. Never the identity key."""
        with self._turns.taken():
            # Those that are over, too: their last answer may be asked for again.
            sessions = tuple(session.to_bytes() for session in self._sessions.values())
            content = _Snapshot(self._client, self._trained, self._ended, sessions)
            return write_snapshot(SnapshotRole.CLIENT_PIPELINE, content, wrapping_key)

    def _load(self, data: bytes, wrapping_key: bytes | None) -> None:
        """Takes over what a snapshot holds.

        Raises:
            InvalidStateError: it is damaged, of another version, of another client or of something else.
            InvalidInputError: the wrapping key does not fit.
        """
        content = read_snapshot(SnapshotRole.CLIENT_PIPELINE, data, _Snapshot, wrapping_key)
        if content.client != self._client:
            raise InvalidStateError(f"the snapshot is of client {content.client}, not of {self._client}")
        for saved in content.sessions:
            session = self._restored(saved)
            if session is not None and session.session_id is not None:
                self._sessions[session.session_id] = session
        self._trained, self._ended = content.trained, content.ended

    # --- What a layer above says of its sessions ---

    @abstractmethod
    def _begin(self) -> Session:
        """Returns a session that awaits its invitation."""

    @abstractmethod
    def _restored(self, data: bytes) -> Session | None:
        """Returns the session of its own snapshot; None for one that may not go on."""

    @abstractmethod
    def _answer(self, session: Session, data: Octets) -> bytes | None:
        """Returns a session's answer that takes no vector."""

    @abstractmethod
    def _masked(self, session: Session, data: Octets, given: Given, model_digest: bytes) -> bytes | None:
        """Returns a session's answer with the vector."""

    # --- One message ---

    def _take(self, part: Part, answer: "Answer[Session, Given]") -> None:
        session_id, message = part
        session = self._sessions.get(session_id)
        if session is None:
            if session_id in self._ended:
                raise StrayMessageError(SERVER, "it belongs to a session that is over")
            session = self._begin()
            try:
                reply = self._answer(session, message)
                if session.session_id != session_id:
                    raise MalformedMessageError(SERVER, "a bundle names another session than its message")
                self._join(session_id, session)
            except self.refusals as error:
                answer._refuse(session_id, error, session.leave() if session.session_id == session_id else None)
                return
        elif session.asks_for_input(message):
            self._check_round(session)
            # Training is dear: what does not decode asks for none.
            session.check_message(message)
            if answer._pending is not None:
                raise PolicyViolationError("sessions that train", 2, "one in a bundle")
            # Last: its failure costs no other session's answer, and no answer is late for it.
            answer._pending = session_id, session, message
            return
        else:
            reply = self._answer(session, message)
        if reply is not None:
            answer._parts.append(Part(session_id, reply))

    def _join(self, session_id: bytes, session: Session) -> None:
        self._check_round(session)
        while len(self._sessions) >= MOST_OPEN:
            # The first that has masked nothing: all that it loses is a place in a round.
            idle = [known for known, other in self._sessions.items() if known != self._trained[1]]
            self._leave(idle[0])
        self._sessions[session_id] = session

    def _check_round(self, session: Session) -> None:
        round_number = session.round_number or 0
        newest, trained = self._trained
        if round_number < newest or (round_number == newest and session.session_id != trained):
            raise PolicyViolationError("round_number", round_number, f"above {newest}, the last one that was masked")

    def _train(self, session_id: bytes, given: Given, *, message: Octets, model_digest: bytes) -> bytes | None:
        session = self._sessions.get(session_id)
        if session is None:
            # Left meanwhile, as for a newer round.
            raise StateSpentError("the session")
        self._check_round(session)
        # Marked before, so that nothing that stops it half-way makes a second vector possible.
        self._trained = (session.round_number or 0, session_id)
        for known, other in tuple(self._sessions.items()):
            if known != session_id and (other.round_number or 0) <= self._trained[0]:
                self._leave(known)
        return self._masked(session, message, given, model_digest)

    def _leave(self, session_id: bytes) -> bytes | None:
        session = self._sessions.pop(session_id, None)
        if session is None:
            return None
        self._ended = (*self._ended, session_id)[-_MOST_ENDED:]
        return session.leave()

    def _forget(self, session_id: bytes) -> None:
        """Drops a session that is over. It stays as long as its last answer may be asked for again: one exchange."""
        for known, session in tuple(self._sessions.items()):
            if session.over and known != session_id:
                del self._sessions[known]
                self._ended = (*self._ended, known)[-_MOST_ENDED:]


class Answer(Generic[Session, Given]):
    """What one exchange asks of a client, and what it answers.

    `session` is the one that waits for the vector, None where none does. `refused` has what the server did wrong in
    which session: the client has left it.
    """

    def __init__(self, store: SessionStore[Session, Given]) -> None:
        self._store = store
        self._parts: list[Part] = []
        self._pending: tuple[bytes, Session, bytes | memoryview] | None = None
        self._refused: dict[bytes, Exception] = {}

    def __repr__(self) -> str:
        waits = "" if self._pending is None else ", and waits for the vector"
        return f"<Answer of {len(self._parts)} messages{waits}>"

    @property
    def session(self) -> Session | None:
        """The session that waits for the vector."""
        return None if self._pending is None else self._pending[1]

    @property
    def refused(self) -> Mapping[bytes, Exception]:
        """What was refused, by session id."""
        return dict(self._refused)

    def train(self, given: Given, model_digest: bytes) -> None:
        """Masks what this client contributes.

        Args:
            given: the vector; for a private round the contribution.
            model_digest: 32-byte digest of what this client was given to work on, as received.

        Raises:
            InvalidStateError: no session waits for it.
            LocalError: this call is wrong (for example, an unusable vector): mend it and call again, or `leave`.
        """
        store = self._store
        with store._turns.taken():
            if self._pending is None:
                raise InvalidStateError("no session waits for a vector")
            session_id, _, message = self._pending
            try:
                reply = store._train(session_id, given, message=message, model_digest=model_digest)
            except MalformedMessageError as error:
                self._refuse(session_id, error, None)
            except store.refusals as error:
                self._refuse(session_id, error, store._leave(session_id))
            else:
                if reply is not None:
                    self._parts.append(Part(session_id, reply))
            self._pending = None

    def leave(self) -> None:
        """This client contributes nothing to the round, and tells the server so."""
        with self._store._turns.taken():
            if self._pending is not None:
                session_id, self._pending = self._pending[0], None
                message = self._store._leave(session_id)
                if message is not None:
                    self._parts.append(Part(session_id, message))

    def to_bytes(self) -> bytes:
        """Returns the bundle for the server. Save the store before it is sent.

        Raises:
            InvalidStateError: a session still waits for the vector: `train`, or `leave`.
        """
        if self._pending is not None:
            raise InvalidStateError("a session waits for the vector: train, or leave")
        return encode_bundle(self._parts, self._store._client)

    def _refuse(self, session_id: bytes, error: Exception, farewell: bytes | None) -> None:
        self._refused[session_id] = error
        if farewell is not None:
            self._parts.append(Part(session_id, farewell))


class ClientSessions(SessionStore[ClientSession, Vector]):
    """All of one client's sessions of plain sums with one server.

    Args:
        client: this client's id, as the transport authenticates it.
        policy: what this client accepts from any server.
        identity: its long-term key; needed in the ACTIVE model.
        executor: runs the mask generation in shards; a thread pool. None is serial.

    Raises:
        InvalidParameterError: the client's id, the policy or the executor is none.
        InvalidInputError: the identity does not fit the policy.
    """

    def __init__(
        self,
        client: ClientId,
        policy: ClientPolicy,
        identity: Identity | None = None,
        *,
        executor: Executor | None = None,
    ) -> None:
        super().__init__(client)
        check_identity(policy, self._client, identity)
        check_executor(executor)
        self._policy = policy
        self._identity = identity
        self._executor = executor

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        client: ClientId,
        policy: ClientPolicy,
        identity: Identity | None = None,
        *,
        wrapping_key: bytes | None = None,
        executor: Executor | None = None,
    ) -> "ClientSessions":
        """Returns the sessions of a snapshot.

        Raises:
            InvalidStateError: it is damaged, of another version, of another client or of something else.
            InvalidInputError: the identity or the wrapping key does not fit.
        """
        sessions = cls(client, policy, identity, executor=executor)
        sessions._load(data, wrapping_key)
        return sessions

    def _begin(self) -> ClientSession:
        return ClientSession(self._client, self._policy, self._identity, executor=self._executor)

    def _restored(self, data: bytes) -> ClientSession:
        return ClientSession.from_bytes(data, identity=self._identity, executor=self._executor)

    def _answer(self, session: ClientSession, data: Octets) -> bytes | None:
        return session.receive(data)

    def _masked(self, session: ClientSession, data: Octets, given: Vector, model_digest: bytes) -> bytes | None:
        return session.receive(data, vector=given, model_digest=model_digest)
