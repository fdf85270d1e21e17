"""A client behind bytes in, bytes out: the states of `secagg.client.states` for callers that move bytes."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

from secagg.checks import check_callable, check_client_id, check_executor, check_type
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
from secagg.protocol.messages import Abort, AbortCode, MaskedInput, Message, ShareDelivery
from secagg.protocol.single_use import Secrets, Uncopyable
from secagg.protocol.snapshot import SnapshotRole, read_snapshot, write_snapshot
from secagg.protocol.transcript import NO_MODEL, session_context
from secagg.protocol.turns import Turns
from secagg.protocol.wire import Octets, decode, decode_invitation, encode, invitation_received, read_header, received
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


class _Place(NamedTuple):
    """Where a session stands. One assignment moves it on, so that no interruption leaves it between two places."""

    state: ClientState | None = None
    session: tuple[SessionParams, bytes] | None = None
    accepted: tuple[bytes, ...] = ()
    """The digests of the server's accepted messages."""
    last_reply: bytes | None = None
    over: bool = False
    aborted: AbortCode | None = None

    def __repr__(self) -> str:
        return "<_Place>"


class ClientSession(Uncopyable):
    """One client's part in one session.

    Feed `receive` what the server sent, send what it returns. `wants_input` says when the next
    message must come with the vector. Calls from several threads take turns; a forked child is refused. What interrupts
    `receive` (a signal, an alarm, too little memory) leaves the session as it was, or over where its secrets were used.

    Args:
        client: this client's id, as the transport authenticates it.
        policy: what this client accepts from any server.
        identity: its long-term key; needed in the ACTIVE model.
        executor: runs the mask generation in shards; a thread pool. None is serial.
        before_answering: called with the stage before each answer but the first, when the message for it has come. What
            it raises is raised by `receive`, and nothing is answered. A `RemoteError` ends the session, as any of the
            server's faults does; anything else leaves it as it was. It may be called again for one stage, where a
            message turns out to be malformed or the vector to be unusable. It may call `leave`: then nothing is
            answered.

    Raises:
        InvalidParameterError: the client's id, the policy, the executor or the hook is none.
        InvalidInputError: the identity does not fit the policy.

    Security: after any `RemoteError` other than `MalformedMessageError` the session is over and its
    secrets are dropped. Persist `to_bytes()` before sending what `receive` returned, and delete the
    older snapshot: a session restored twice could answer twice.
    """

    __slots__ = (
        "_before_answering",
        "_client",
        "_executor",
        "_identity",
        "_place",
        "_policy",
        "_turns",
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
        self._client = check_client_id("client", client)
        check_identity(policy, self._client, identity)
        check_executor(executor)
        check_callable("before_answering", before_answering)
        self._policy = policy
        self._identity = identity
        self._executor = executor
        self._before_answering = before_answering
        self._place = _Place()
        self._turns = Turns("the session")

    def __repr__(self) -> str:
        return f"<ClientSession of client {self._client}, {self.phase}>"

    @property
    def phase(self) -> str:
        """The current state's name, or what the session waits for outside of them."""
        place = self._place
        if place.state is not None:
            return type(place.state).__name__
        return "over" if place.over else "awaiting the invitation"

    @property
    def over(self) -> bool:
        """Whether the session has given its answer, failed or was aborted."""
        return self._place.over

    @property
    def aborted(self) -> AbortCode | None:
        """Why the server ended the session, if it did."""
        return self._place.aborted

    @property
    def params(self) -> SessionParams | None:
        """The parameters that this client accepted, None before the invitation."""
        session = self._place.session
        return None if session is None else session[0]

    @property
    def round_number(self) -> int | None:
        """The session's round of training, None before the invitation."""
        session = self._place.session
        return None if session is None else session[0].round_number

    @property
    def session_id(self) -> bytes | None:
        """The session's 16 bytes, None before the invitation."""
        session = self._place.session
        return None if session is None else session[1]

    @property
    def context(self) -> bytes | None:
        """The public 32-byte hash of session id and parameters, the application's included; None before the invitation.

        Clients and server of one session have the same, and no two sessions have: what the application derives for all
        of them alike, such as a rotation, follows from it.
        """
        session = self._place.session
        return None if session is None else session_context(*session)

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
        with self._turns.taken():
            return self._receive(data, Input(vector, model_digest, self._executor))

    def asks_for_input(self, data: Octets) -> bool:
        """Whether the answer to a message takes the vector: it is the delivery, and has not been answered.

        Only the header is read. A message that this session would refuse anyway asks for nothing.
        """
        session = self._place.session
        if session is None or not self.wants_input:
            return False
        try:
            header = read_header(data, SERVER)
        except MalformedMessageError:
            return False
        return header.session_id == session[1] and header.kind == ShareDelivery.kind

    def check_message(self, data: Octets) -> None:
        """Checks header, session, length and form of a message, and takes no step.

        For a layer above that has dear work to do before it calls `receive`, such as drawing noise for the vector.

        Raises:
            StrayMessageError, MalformedMessageError, InvalidInputError: as `receive` does; the session goes on.
        """
        # One reading: another thread may end the session meanwhile.
        session = self._place.session
        data = _received(data, session)
        if session is None:
            decode_invitation(data)
        else:
            decode(data, SERVER, session[0], session_id=session[1])

    def has_accepted(self, data: Octets) -> bool:
        """Returns whether a message was accepted already: `receive` then answers as before, and takes no step.

        For a layer above that would otherwise ask its user for the input once more.

        Raises:
            InvalidInputError: `data` is no bytes.
        """
        place = self._place
        try:
            data = _received(data, place.session)
        except (StrayMessageError, MalformedMessageError):
            return False
        return hashlib.sha256(data).digest() in place.accepted

    def _receive(self, data: Octets, given: Input) -> bytes | None:
        place = self._place
        over = place.over or (place.state is not None and place.state.spent)
        try:
            data = _received(data, place.session)
        except (StrayMessageError, MalformedMessageError):
            if over:
                raise StateSpentError("the session") from None
            raise
        digest = hashlib.sha256(data).digest()
        if digest in place.accepted:
            return place.last_reply if digest == place.accepted[-1] else None
        if over:
            raise StateSpentError("the session")
        try:
            following, reply = self._advance(place, data, given)
            encoded = None
            if reply is not None and following.session is not None:
                params, session_id = following.session
                encoded = encode(reply, params.suite, session_id)
            # The masked input is not kept: it is large, and its loss is a dropout like any other.
            kept = None if isinstance(reply, MaskedInput) else encoded
            if self._place is not place:
                # Left meanwhile, by what this call itself called.
                raise StateSpentError("the session")
            self._place = following._replace(accepted=(*place.accepted, digest), last_reply=kept)
        except MalformedMessageError:
            raise
        except RemoteError:
            self._end()
            raise
        finally:
            state = self._place.state
            if state is not None and state.spent:
                # The last answer was given; or something failed half-way, such as an executor: the secrets are gone,
                # and so is the session.
                self._end()
        return encoded

    def leave(self, code: AbortCode = AbortCode.LEAVING) -> bytes | None:
        """Ends the session and drops its secrets, the last reply too.

        Returns:
            The message that tells the server, or None where no session was begun.

        Raises:
            InvalidParameterError: the code is none.
        """
        check_type("code", code, AbortCode)
        with self._turns.taken():
            session = self._place.session
            self._place = _Place(session=session, over=True, aborted=self._place.aborted)
        return None if session is None else encode(Abort(code), session[0].suite, session[1])

    def to_bytes(self, wrapping_key: bytes | None = None) -> bytes:
        """Returns a snapshot: a secret, encrypted if a 32-byte wrapping key is given. Never the identity key."""
        with self._turns.taken():
            return self._to_bytes(wrapping_key)

    def _to_bytes(self, wrapping_key: bytes | None) -> bytes:
        place = self._place
        held = None if place.state is None else place.state._peek()
        if isinstance(held, Invited):
            raise InvalidStateError("no snapshot is taken between the invitation and the keys")
        content = _Snapshot(
            self._client,
            self._policy,
            place.over,
            held,
            place.session,
            place.accepted,
            place.last_reply,
            place.aborted,
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
        state = None if content.held is None else restored(content.held, content.policy.adversary, identity)
        session._place = _Place(
            state, content.session, content.accepted, content.last_reply, content.over, content.aborted
        )
        return session

    def _advance(self, place: _Place, data: bytes, given: Input) -> tuple[_Place, Message | None]:
        """Returns the next place, and what to answer. Of this session only the state's secrets are used up."""
        if place.session is None:
            return self._accept_invitation(place, data)
        params, session_id = place.session
        message = decode(data, SERVER, params, session_id=session_id)
        if isinstance(message, Abort):
            return place._replace(state=None, over=True, aborted=message.code), None
        if place.state is None:
            raise StateSpentError("the session")
        transition = transition_of(place.state)
        if not isinstance(message, transition.expects):
            raise UnexpectedMessageError(SERVER, type(message).__name__, transition.expects.__name__)
        if self._before_answering is not None:
            self._before_answering(transition.stage)
        state, reply = transition.take(place.state, message, given)
        return place._replace(state=state, over=state is None), reply

    def _accept_invitation(self, place: _Place, data: bytes) -> tuple[_Place, Message]:
        session = decode_invitation(data)
        try:
            state = AdvertisingKeys(*session, self._client, self._policy, identity=self._identity)
            following, reply = state.advertise_keys()
        except RemoteError:
            # Refused; but the server can still be told so.
            self._place = place._replace(session=session)
            raise
        return place._replace(state=following, session=session), reply

    @property
    def _state(self) -> ClientState | None:
        return self._place.state

    @property
    def _transition(self) -> Transition | None:
        # Read once: another thread may end the session meanwhile.
        state = self._place.state
        return None if state is None else transition_of(state)

    def _end(self) -> None:
        self._place = self._place._replace(state=None, over=True)


def _received(data: Octets, session: tuple[SessionParams, bytes] | None) -> bytes:
    # Cheap checks first: whatever is not for this session, or too long, is not even hashed.
    if session is None:
        return invitation_received(data)
    return received(data, SERVER, session[0], session_id=session[1])
