"""The server of many rounds: this session and the next, in as few exchanges as they take.

A round of training is a session, and a session has two stages before anybody trains. They need no model. So while one
session trains, the next one's keys and shares ride on the same messages:

| exchange | to the clients | from the clients |
|---|---|---|
| A | the model, session r's shares; session r+1's invitation | the masked vector of r; keys of r+1 |
| B | session r's survivors; session r+1's roster | shares that unmask r (ACTIVE: a signature); shares of r+1 |
| C (ACTIVE) | session r's signatures | shares that unmask r |

The first session has two exchanges in front. Nothing here waits, sends or reads a clock.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final, Generic, TypeVar

from secagg.checks import check_client_id
from secagg.errors import (
    ClientId,
    InvalidParameterError,
    InvalidStateError,
    MalformedMessageError,
    RemoteError,
    SecAggError,
    StateSpentError,
    StrayMessageError,
)
from secagg.pipeline.bundle import MOST_PARTS, Part, decode_bundle, encode_bundle
from secagg.pipeline.exchange import Exchange, ServedSession
from secagg.pipeline.lane import Lane, who_answers
from secagg.protocol.concealed import Concealed
from secagg.protocol.messages import AbortCode
from secagg.protocol.single_use import Uncopyable
from secagg.protocol.snapshot import SnapshotRole, read_snapshot, write_snapshot
from secagg.protocol.transcript import NO_MODEL
from secagg.protocol.turns import Turns
from secagg.protocol.wire import Octets
from secagg.server import Outbound
from secagg.stages import Stage

__all__ = ["ServerPipeline"]

Released = TypeVar("Released")

_MOST_FAREWELLS: Final = MOST_PARTS - 2


class _LaneSnapshot(Concealed, frozen=True, forbid_unknown_fields=True):
    session: bytes
    invited: tuple[int, ...]
    clients: dict[int, ClientId]


class _Snapshot(Concealed, frozen=True, forbid_unknown_fields=True):
    delivered: int
    lanes: tuple[_LaneSnapshot, ...]
    farewells: dict[int, tuple[tuple[bytes, bytes], ...]]


class ServerPipeline(Uncopyable, Generic[Released]):
    """Runs this round's session and prepares the next one's.

    `open` a session. While `ready` is false, send `outgoing()`, feed `receive` what comes back, and call `advance` when
    `complete` is true or your deadline is over. When it is true, `deliver` the model's digest, `open` the next round's
    session, and go on with exchanges until `advance` returns what the round released. Then the next session is current.

    Calls from several threads take turns, and a forked child is refused. `to_bytes` saves both sessions, before the
    first answer of an exchange.

    Security:
        Each session has keys of its own, and all that a client computes is bound to its session: docs/protocol.md, "Two
        sessions at once". A delivery goes out for the current session only, so the round before is over by then.
    """

    def __init__(self) -> None:
        self._current: Lane[Released] | None = None
        self._following: Lane[Released] | None = None
        self._delivered = -1
        self._farewells: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        self._turns = Turns("the pipeline")
        self.fallback: SecAggError | None = None
        """Why the session prepared for the next round was dropped in the last exchange, if it was. That round then
        begins with two exchanges of its own."""

    def __repr__(self) -> str:
        return f"<ServerPipeline: {self._current}, then {self._following}>"

    @property
    def current(self) -> ServedSession[Released] | None:
        """The session of this round; None where none is open."""
        return None if self._current is None else self._current.session

    @property
    def following(self) -> ServedSession[Released] | None:
        """The session of the next round, where one is being prepared."""
        return None if self._following is None else self._following.session

    @property
    def clients(self) -> Mapping[int, ClientId]:
        """Who answers in this round, by address, as far as it is known."""
        return {} if self._current is None else self._current.clients

    @property
    def ready(self) -> bool:
        """Whether this round's session waits for the model: `deliver` is next."""
        return self._current is not None and self._current.session.held

    @property
    def awaited(self) -> frozenset[int]:
        """The addresses that may still answer this exchange."""
        return frozenset().union(*(lane.awaited for lane in self._lanes()))

    @property
    def complete(self) -> bool:
        """Whether everybody has answered this exchange who may."""
        return not self.awaited

    @property
    def enough(self) -> bool:
        """Whether each session in this exchange can go on with the answers it has: the others get a grace, no more."""
        return all(lane.session.can_close for lane in self._lanes() if lane.in_flight)

    def open(self, session: ServedSession[Released], addresses: Mapping[int, ClientId] | Collection[int]) -> None:
        """Takes the session of this round, or of the next one where this round's is there.

        Args:
            session: fresh; its round is above those that were delivered or are open.
            addresses: whom it invites: 64-bit integers. A mapping says which client answers from which. Otherwise an
                address is the client's id; or in the ACTIVE model the first answer says it, and its signature shows it.

        Raises:
            InvalidParameterError: the session has begun, or its round is not above those; or an address is none.
            InvalidStateError: both sessions are there already.
        """
        with self._turns.taken():
            round_number = session.params.round_number
            newest = max([self._delivered, *(lane.session.params.round_number for lane in self._lanes())])
            if round_number <= newest:
                raise InvalidParameterError("round_number", round_number, f"above {newest}")
            if session.stage is not Stage.ADVERTISE_KEYS or session.received:
                raise InvalidParameterError("session", f"one at {session.stage}", "one that nobody has answered")
            if self._following is not None:
                raise InvalidStateError("this round's session and the next one's are there already")
            invited, clients = who_answers(session, addresses)
            lane = Lane(session, invited, clients)
            if self._current is None:
                self._current = lane
            else:
                self._following = lane

    def deliver(self, model_digest: bytes) -> None:
        """Gives the clients of this round's session their shares and the task: the next exchange trains.

        Args:
            model_digest: 32-byte digest of what every client is given to work on.

        Raises:
            InvalidStateError: no session waits for it.
            InvalidInputError: the digest is unusable; nothing changed.
            SecAggError: as the session's `close_stage` says.
        """
        with self._turns.taken():
            lane = self._current
            if lane is None or not lane.session.held:
                raise InvalidStateError("no session waits for the model: run the exchanges before it")
            # Before: a round that may have been delivered is not opened again.
            self._delivered = max(self._delivered, lane.session.params.round_number)
            lane.session.close_stage(model_digest)

    def outgoing(self) -> Exchange:
        """Returns what is to be sent now. Call it again where it may have been lost.

        Raises:
            InvalidStateError: there is nothing to send: no session is open, or this round's waits for the model.
        """
        with self._turns.taken():
            lanes = self._lanes()
            if lanes and lanes[0].session.held:
                raise InvalidStateError("this round's session waits for the model: deliver it first")
            of = [(lane, frozenset(lane.receivers)) for lane in lanes if lane.receivers]
            farewells = dict(self._farewells)
            if not of and not farewells:
                raise InvalidStateError("there is nothing to send: open a session first")
            for lane, _ in of:
                lane.send()

            def bundle(address: int) -> bytes:
                parts = [Part(*farewell) for farewell in farewells.get(address, ())]
                parts += [Part(lane.session.session_id, lane.message(address)) for lane, to in of if address in to]
                return encode_bundle(parts)

            receivers = dict.fromkeys(address for _, to in of for address in sorted(to)) | dict.fromkeys(farewells)
            trains = frozenset[int]().union(*(to for lane, to in of if lane.session.stage is Stage.MASKED_INPUT))
            return Exchange(Outbound(tuple(receivers), bundle), trains, tuple(lane.session.stage for lane, _ in of))

    def receive(self, address: int, data: Octets) -> None:
        """Takes what came back from an address. All of its messages are taken before an error is raised.

        Args:
            address: as the transport authenticates it.
            data: the bundle.

        Raises:
            InvalidParameterError: `address` is none.
            InvalidInputError: `data` is not bytes, bytearray or memoryview, or a view that was released.
            StrayMessageError: some of it is for a session that is over, or of somebody who was not invited; it is
                dropped, and its sender is not at fault.
            RemoteError: a message was refused: the first such error of the bundle. The sessions go on without it.
        """
        address = check_client_id("address", address)
        with self._turns.taken():
            try:
                # Before it is known who that is, the address stands for the client.
                claimed, parts = decode_bundle(data, address)
            except MalformedMessageError:
                self._done(address)
                raise
            refused: SecAggError | None = None
            for part in parts:
                try:
                    self._lane_of(part.session_id, claimed).receive(address, claimed, part.message)
                except StrayMessageError as error:
                    refused = refused or error
                except (RemoteError, StateSpentError) as error:
                    refused = error if refused is None or isinstance(refused, StrayMessageError) else refused
            # Whatever it left out will not come.
            self._done(address)
            if refused is not None:
                raise refused

    def lost(self, address: int) -> None:
        """Says that nothing will come from an address in this exchange, such as after the transport's own error."""
        with self._turns.taken():
            self._done(check_client_id("address", address))

    def advance(self) -> Released | None:
        """Ends the exchange.

        A prepared session that cannot go on is dropped, and `fallback` says why: the next round then begins its own.

        Returns:
            What the round released, when its last exchange is over: the session prepared meanwhile is `current` then.
            Else None.

        Raises:
            InvalidStateError: nothing was sent.
            TooFewClientsError: this round's session cannot go on yet; nothing changed. Wait on, or `abandon` it.
            SecAggError: this round's session has failed, as it says; `abandon` it.
        """
        with self._turns.taken():
            current = self._current
            if current is None or not current.in_flight:
                raise InvalidStateError("nothing is in flight: send what `outgoing` returns first")
            closed: Mapping[ClientId, bytes] | Released = {}
            if current.session.stage is Stage.SHARE_KEYS:
                current.session.hold()
            else:
                closed = current.session.close_stage(NO_MODEL)
            self._farewells, self.fallback = {}, None
            self._prepare()
            if isinstance(closed, Mapping):
                return None
            self._current, self._following = self._following, None
            return closed

    def abandon(self, code: AbortCode = AbortCode.TOO_FEW_CLIENTS) -> None:
        """Gives this round's session up. Its clients are told so in the next exchange, and drop their secrets.

        The session prepared meanwhile is `current` then, with the answers that came.

        Raises:
            InvalidStateError: no session is open.
            InvalidParameterError: the code is none.
        """
        with self._turns.taken():
            if self._current is None:
                raise InvalidStateError("no session is open")
            farewell = self._current.session.abort_message(code)
            self.fallback = None
            self._prepare()
            self._leave(self._current, farewell)
            self._current, self._following = self._following, None

    def to_bytes(self, wrapping_key: bytes | None = None) -> bytes:
        """Returns a snapshot, encrypted if a 32-byte wrapping key is given: before the first answer of an exchange.

        Raises:
            InvalidStateError: an answer of the current exchange was accepted already.
        """
        with self._turns.taken():
            saved = [_LaneSnapshot(lane.session.to_bytes(), lane.invited, lane.clients) for lane in self._lanes()]
            content = _Snapshot(self._delivered, tuple(saved), self._farewells)
            return write_snapshot(SnapshotRole.SERVER_PIPELINE, content, wrapping_key)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        restore: Callable[[bytes], ServedSession[Released]],
        *,
        wrapping_key: bytes | None = None,
    ) -> "ServerPipeline[Released]":
        """Returns the pipeline of a snapshot: send `outgoing()`, or deliver the model, as before.

        Args:
            data: what `to_bytes` returned.
            restore: makes a session of its own snapshot, such as `ServerSession.from_bytes`.
            wrapping_key: what it is encrypted under.

        Raises:
            InvalidStateError: the snapshot is damaged, of another version or of something else.
            InvalidInputError: the wrapping key does not fit.
        """
        content = read_snapshot(SnapshotRole.SERVER_PIPELINE, data, _Snapshot, wrapping_key)
        if len(content.lanes) > 2:
            raise InvalidStateError("the snapshot holds more than two sessions")
        pipeline = cls()
        lanes = [_restored(lane, restore) for lane in content.lanes]
        pipeline._current, pipeline._following = (*lanes, None, None)[:2]
        pipeline._delivered, pipeline._farewells = content.delivered, dict(content.farewells)
        return pipeline

    def _lanes(self) -> list[Lane[Released]]:
        return [lane for lane in (self._current, self._following) if lane is not None]

    def _lane_of(self, session_id: bytes, sender: ClientId) -> Lane[Released]:
        for lane in self._lanes():
            if lane.session.session_id == session_id:
                return lane
        raise StrayMessageError(sender, "it belongs to a session that is over, or to none")

    def _done(self, address: int) -> None:
        for lane in self._lanes():
            lane.done(address)

    def _prepare(self) -> None:
        """Takes the next round's session one stage further, or drops it."""
        following = self._following
        if following is None or not following.in_flight:
            return
        try:
            if following.session.stage is Stage.SHARE_KEYS:
                following.session.hold()
            else:
                following.session.close_stage(NO_MODEL)
        except SecAggError as error:
            self.fallback = error
            self._leave(following, following.session.abort_message(AbortCode.TOO_FEW_CLIENTS))
            self._following = None

    def _leave(self, lane: Lane[Released], farewell: bytes) -> None:
        """Has the clients of a session told that it is over."""
        parting = (lane.session.session_id, farewell)
        for address in lane.invited:
            self._farewells[address] = (*self._farewells.get(address, ()), parting)[-_MOST_FAREWELLS:]


def _restored(content: _LaneSnapshot, restore: Callable[[bytes], ServedSession[Released]]) -> Lane[Released]:
    return Lane(restore(content.session), content.invited, content.clients)
