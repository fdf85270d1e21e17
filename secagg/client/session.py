"""A client behind bytes in, bytes out: the states of `secagg.client.states` for callers that move bytes."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor

from secagg.checks import check_client_id
from secagg.client.advertising_keys import AdvertisingKeys, check_identity
from secagg.client.held import Invited
from secagg.client.state import Vector
from secagg.client.states import ClientState, Holding, Input, Transition, restored, transition_of
from secagg.errors import (
    SERVER,
    ClientId,
    InvalidStateError,
    MalformedMessageError,
    RemoteError,
    StateSpentError,
    StrayMessageError,
    UnexpectedMessageError,
)
from secagg.params import SessionParams
from secagg.policy import ClientPolicy
from secagg.primitives.signing import Identity
from secagg.protocol.messages import Abort, AbortCode, MaskedInput, Message
from secagg.protocol.single_use import Secrets, Uncopyable
from secagg.protocol.snapshot import SnapshotRole, read_snapshot, write_snapshot
from secagg.protocol.transcript import NO_MODEL, session_context
from secagg.protocol.wire import Octets, decode, decode_invitation, encode, invitation_received, received
from secagg.stages import Stage


class _Snapshot(Secrets, frozen=True):
    client: ClientId
    policy: ClientPolicy
    over: bool
    held: Holding | None
    session: tuple[SessionParams, bytes] | None
    accepted: tuple[bytes, ...]
    last_reply: bytes | None
    aborted: AbortCode | None


class ClientSession(Uncopyable):
    """One client's part in one session.

    Feed `receive` what the server sent, send what it returns. `wants_input` says when the next
    message must come with the vector. Calls from several threads take turns.

    Args:
        client: this client's id, as the transport authenticates it.
        policy: what this client accepts from any server.
        identity: its long-term key; needed in the ACTIVE model.
        executor: runs the mask generation in shards; a thread pool. None is serial.
        before_answering: called with the stage before each answer but the first, when the message for it has come. What
            it raises is raised by `receive`, and nothing is answered. A `RemoteError` ends the session, as any of the
            server's faults does; anything else leaves it as it was. It may be called again for one stage, where a
            message turns out to be malformed or the vector to be unusable. It must not call this session: that waits
            for itself.

    Raises:
        InvalidParameterError: the client's id is none.
        InvalidInputError: the identity does not fit the policy.

    Security: after any `RemoteError` other than `MalformedMessageError` the session is over and its
    secrets are dropped. Persist `to_bytes()` before sending what `receive` returned, and delete the
    older snapshot: a session restored twice could answer twice.
    """

    __slots__ = (
        "_accepted",
        "_before_answering",
        "_client",
        "_executor",
        "_identity",
        "_last_reply",
        "_lock",
        "_over",
        "_policy",
        "_session",
        "_state",
        "aborted",
    )

    def __init__(
        self,
        client: ClientId,
        policy: ClientPolicy,
        identity: Identity | None = None,
        *,
        executor: Executor | None = None,
        before_answering: Callable[[Stage], None] | None = None,
    ) -> None:
        check_client_id("client", client)
        check_identity(policy, client, identity)
        self._client = client
        self._policy = policy
        self._identity = identity
        self._executor = executor
        self._before_answering = before_answering
        self._state: ClientState | None = None
        self._session: tuple[SessionParams, bytes] | None = None
        self._over = False
        self._lock = threading.Lock()
        self._accepted: tuple[bytes, ...] = ()
        self._last_reply: bytes | None = None
        self.aborted: AbortCode | None = None

    def __repr__(self) -> str:
        return f"<ClientSession of client {self._client}, {self.phase}>"

    @property
    def phase(self) -> str:
        """The current state's name, or what the session waits for outside of them."""
        if self._state is not None:
            return type(self._state).__name__
        return "over" if self._over else "awaiting the invitation"

    @property
    def over(self) -> bool:
        """Whether the session has given its answer, failed or was aborted."""
        return self._over

    @property
    def params(self) -> SessionParams | None:
        """The parameters that this client accepted, None before the invitation."""
        return None if self._session is None else self._session[0]

    @property
    def session_id(self) -> bytes | None:
        """The session's 16 bytes, None before the invitation."""
        return None if self._session is None else self._session[1]

    @property
    def context(self) -> bytes | None:
        """The public 32-byte hash of session id and parameters, the application's included; None before the invitation.

        Clients and server of one session have the same, and no two sessions have: what the application derives for all
        of them alike, such as a rotation, follows from it.
        """
        return None if self._session is None else session_context(*self._session)

    @property
    def wants_input(self) -> bool:
        """Whether the next message must come with the vector."""
        transition = self._transition
        return transition is not None and transition.takes_input

    @property
    def about_to_unmask(self) -> bool:
        """Whether the answer to the server's next message helps to release the sum: the last chance to refuse."""
        transition = self._transition
        return transition is not None and transition.stage is Stage.UNMASK

    def receive(self, data: Octets, *, vector: Vector | None = None, model_digest: bytes = NO_MODEL) -> bytes | None:
        """Takes one message of the server.

        Args:
            data: the message. An accepted one may come again: the last gets the same reply, except that
                a masked input is not kept and gets None, as an earlier one does.
            vector: this client's vector, with the message for which `wants_input` is true.
            model_digest: digest of what this client was given to work on, with the vector.

        Returns:
            The reply to send, or None where there is none.

        Raises:
            StrayMessageError: a message of another session; nobody is at fault, and the session goes on.
            MalformedMessageError: no message at all; the session goes on.
            RemoteError: any other fault of the server; the session is over.
            LocalError: this call is wrong (for example, no vector); nothing happened, call again.
        """
        with self._lock:
            return self._receive(data, Input(vector, model_digest, self._executor))

    def check_message(self, data: Octets) -> None:
        """Checks header, session, length and form of a message, and takes no step.

        For a layer above that has dear work to do before it calls `receive`, such as drawing noise for the vector.

        Raises:
            StrayMessageError, MalformedMessageError, InvalidInputError: as `receive` does; the session goes on.
        """
        # One reading: another thread may end the session meanwhile.
        session = self._session
        data = self._received(data)
        if session is None:
            decode_invitation(data)
        else:
            decode(data, SERVER, session[0], session_id=session[1])

    def _receive(self, data: Octets, given: Input) -> bytes | None:
        over = self._over or (self._session is not None and self._state is None)
        try:
            data = self._received(data)
        except (StrayMessageError, MalformedMessageError):
            if over:
                raise StateSpentError("the session") from None
            raise
        digest = hashlib.sha256(data).digest()
        if digest in self._accepted:
            return self._last_reply if digest == self._accepted[-1] else None
        if over:
            raise StateSpentError("the session")
        try:
            reply = self._advance(data, given)
        except MalformedMessageError:
            raise
        except RemoteError:
            self._end()
            raise
        finally:
            if self._session is not None and (self._state is None or self._state.spent):
                # The last answer was given; or something failed half-way, such as an executor: the secrets are gone,
                # and so is the session.
                self._end()
        encoded = None
        if reply is not None and self._session is not None:
            encoded = encode(reply, self._session[0].suite, self._session[1])
        self._accepted = (*self._accepted, digest)
        # The masked input is not kept: it is large, and its loss is a dropout like any other.
        self._last_reply = None if isinstance(reply, MaskedInput) else encoded
        return encoded

    def _received(self, data: Octets) -> bytes:
        # Cheap checks first: whatever is not for this session, or too long, is not even hashed.
        if self._session is None:
            return invitation_received(data)
        params, session_id = self._session
        return received(data, SERVER, params, session_id=session_id)

    def leave(self, code: AbortCode = AbortCode.LEAVING) -> bytes | None:
        """Ends the session and drops its secrets, the last reply too.

        Returns:
            The message that tells the server, or None where no session was begun.
        """
        with self._lock:
            session = self._session
            self._end()
            self._accepted, self._last_reply = (), None
        return None if session is None else encode(Abort(code), session[0].suite, session[1])

    def to_bytes(self, wrapping_key: bytes | None = None) -> bytes:
        """Returns a snapshot: a secret, encrypted if a 32-byte wrapping key is given. Never the identity key."""
        with self._lock:
            return self._to_bytes(wrapping_key)

    def _to_bytes(self, wrapping_key: bytes | None) -> bytes:
        held = None if self._state is None else self._state._peek()
        if isinstance(held, Invited):
            raise InvalidStateError("no snapshot is taken between the invitation and the keys")
        content = _Snapshot(
            self._client, self._policy, self._over, held, self._session, self._accepted, self._last_reply, self.aborted
        )
        return write_snapshot(SnapshotRole.CLIENT, content, wrapping_key)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        identity: Identity | None = None,
        wrapping_key: bytes | None = None,
        executor: Executor | None = None,
        before_answering: Callable[[Stage], None] | None = None,
    ) -> "ClientSession":
        """Returns the session of a snapshot.

        Raises:
            InvalidStateError: the snapshot is damaged, of another version, or of a server.
            InvalidInputError: the identity or the wrapping key does not fit.
        """
        content = read_snapshot(SnapshotRole.CLIENT, data, _Snapshot, wrapping_key)
        if content.session is not None and content.session[0].adversary is not content.policy.adversary:
            raise InvalidStateError("the snapshot's session is of another adversary model than its policy")
        session = cls(content.client, content.policy, identity, executor=executor, before_answering=before_answering)
        session._over = content.over
        session._session = content.session
        session._accepted = content.accepted
        session._last_reply = content.last_reply
        session.aborted = content.aborted
        if content.held is not None:
            session._state = restored(content.held, content.policy.adversary, identity)
        return session

    def _advance(self, data: bytes, given: Input) -> Message | None:
        if self._session is None:
            return self._accept_invitation(data)
        params, session_id = self._session
        message = decode(data, SERVER, params, session_id=session_id)
        if isinstance(message, Abort):
            self.aborted = message.code
            self._end()
            return None
        transition = self._transition
        if transition is None or self._state is None or not isinstance(message, transition.expects):
            expected = Message if transition is None else transition.expects
            raise UnexpectedMessageError(SERVER, type(message).__name__, expected.__name__)
        if self._before_answering is not None:
            self._before_answering(transition.stage)
        self._state, reply = transition.take(self._state, message, given)
        return reply

    def _accept_invitation(self, data: bytes) -> Message:
        params, session_id = decode_invitation(data)
        self._session = (params, session_id)
        state = AdvertisingKeys(params, session_id, self._client, self._policy, identity=self._identity)
        self._state, reply = state.advertise_keys()
        return reply

    @property
    def _transition(self) -> Transition | None:
        # Read once: another thread may end the session meanwhile.
        state = self._state
        return None if state is None else transition_of(state)

    def _end(self) -> None:
        self._state = None
        self._over = True
