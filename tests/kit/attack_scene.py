"""One real session with one liar in it, over a complete or a sparse graph.

Every test of this folder runs over both graphs: `conftest.py` sets `Scene.sparse`. In either one a client has eight
neighbours, and the clients named here are neighbours of each other.

A `Scene` holds real clients and a real server. A test drives it to the moment of the attack, alters one message
(decode, change, encode), and says who must refuse it. The attacker may hold the identity keys of corrupt clients,
never that of an honest one.
"""

import struct
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from secagg.client.session import ClientSession
from secagg.client.states import Unmasking
from secagg.errors import (
    SERVER,
    ClientId,
    Culprit,
    MalformedMessageError,
    RemoteError,
    StateSpentError,
    StrayMessageError,
)
from secagg.params import AdversaryModel, SessionParams
from secagg.policy import ClientPolicy
from secagg.primitives.bitmap import encode_bitmap
from secagg.primitives.shamir import SHARE_BYTES
from secagg.primitives.signing import Identity
from secagg.protocol.cohort import Cohort
from secagg.protocol.messages import SHARE_RECORD_BYTES, Invitation, Message, SurvivorSet
from secagg.protocol.roster import Roster, RosterEntry, decode_roster
from secagg.protocol.transcript import SESSION_ID_BYTES, advertisement_digest, session_context
from secagg.protocol.wire import decode, decode_invitation, encode
from secagg.server import Result
from secagg.server.session import ServerSession
from tests.kit.pipelined_sessions import PipelinedClient, PipelinedServer

ACTIVE = AdversaryModel.ACTIVE
HONEST_BUT_CURIOUS = AdversaryModel.HONEST_BUT_CURIOUS

both_models = pytest.mark.parametrize("model", [HONEST_BUT_CURIOUS, ACTIVE], ids=lambda model: model.name.lower())

EXCHANGES = [
    (model, stage)
    for model in (HONEST_BUT_CURIOUS, ACTIVE)
    for stage in ("advertise_keys", "share_keys", "masked_input", "consistency", "unmask")
    if model is ACTIVE or stage != "consistency"
]
"""Every stage of either model: the consistency round is the ACTIVE model's."""

every_exchange = pytest.mark.parametrize(
    ("model", "stage"), EXCHANGES, ids=[f"{model.name.lower()}-{stage}" for model, stage in EXCHANGES]
)

sparse_only = pytest.mark.parametrize("graph", [True], indirect=True, ids=["sparse"])
"""For what only exists where clients have strangers."""

not_pipelined = pytest.mark.parametrize("graph", [False, True], indirect=True, ids=["complete", "sparse"])
"""For what would see the messages of the session beside it."""

complete_only = pytest.mark.parametrize("graph", [False], indirect=True, ids=["complete"])
"""For what only exists where they have none."""

whole_roster_shown = pytest.mark.parametrize(
    ("graph", "model"),
    [(False, HONEST_BUT_CURIOUS), (False, ACTIVE), (True, ACTIVE)],
    indirect=["graph"],
    ids=["complete-honest_but_curious", "complete-active", "sparse-active"],
)
"""For what a client can only tell where it sees the whole roster, not its own neighbourhood alone."""

COMPLETE = (3, 4, 10, 77, 1000, 2**32 + 5, 2**40, 2**63, 2**64 - 1)
"""Nine clients: in any bitmap over them seven bits of the last byte are spare."""

FAR_OFF = (900, 2**50)
"""Two more take part in a sparse graph, so that everyone has two clients that are no neighbours."""

THRESHOLD = 6
"""Of eight peers. Two of nine, or three of eleven, are assumed corrupt: 2 t > k + c leaves no smaller one, and what
the certificate of the sparse graph bounds cannot happen at all. Two may vanish."""

NEIGHBOURS = 8

BELIEVED = {ACTIVE: 5, HONEST_BUT_CURIOUS: 6}
"""Reports against one dealer that no corrupt clients of a neighbourhood can make: more than half of eight, and as many
as could open a client, 2 t - k or t."""

QUORUM = 8
"""Signatures that the sparse graph takes: more than half of eleven clients and three corrupt ones together."""

VICTIM, PEER, LIAR, ACCOMPLICE = 10, 77, 1000, 2**40
SPARE = 2**63
"""A client that a test lets go silent."""
NAMED = (VICTIM, PEER, LIAR, ACCOMPLICE, SPARE)

STRANGER = 5

OUR_MODEL = b"\x11" * 32
ANOTHER_MODEL = b"\x22" * 32

Failure = TypeVar("Failure", bound=RemoteError)


class Scene:
    """A session with all its parties. `ids` are all clients of it, ascending.

    Args:
        model: the adversary model.
        session_id: 16 bytes; a fresh one by default.
        policy: changes to the policy of every client.
        policies: further changes by client.
        params: changes to the parameters.
        generation: another number gives other identities and vectors.
    """

    sparse: ClassVar[bool] = False
    pipelined: ClassVar[bool] = False
    """Whether each client's session lives beside that of the next round."""
    made: ClassVar[int] = 0
    """How many scenes this test has made: each has a session of its own, so a saved one is given to one of them."""

    _saved: ClassVar[dict[tuple[object, ...], "_Saved"]] = {}

    def __init__(
        self,
        model: AdversaryModel,
        *,
        session_id: bytes | None = None,
        policy: Mapping[str, object] | None = None,
        policies: Mapping[ClientId, Mapping[str, object]] | None = None,
        params: Mapping[str, object] | None = None,
        generation: int = 0,
    ) -> None:
        rng = np.random.default_rng((generation, model))
        self.ids = tuple(sorted(COMPLETE + FAR_OFF)) if self.sparse else COMPLETE
        self.identities = {client: Identity(rng.bytes(32)) for client in (*self.ids, STRANGER)}
        known = {client: self.identities[client].public_key for client in self.ids} if model is ACTIVE else {}
        terms: dict[str, object] = {"adversary": model, "identities": known, "corrupt_fraction": 0.2}
        terms |= policy or {}
        facts: dict[str, object] = {
            "cohort_size": len(self.ids),
            "neighbours": NEIGHBOURS,
            "threshold": THRESHOLD,
            "vector_length": 11,
            "modulus_bits": 20,
            "adversary": model,
            "application": b"the adversary tests",
        }
        if self.sparse and model is ACTIVE:
            facts["min_survivors"] = QUORUM
        if self.pipelined:
            facts["round_number"] = 70
        self.params = SessionParams(**(facts | dict(params or {})))  # type: ignore[arg-type]
        self.vectors = {
            client: rng.integers(0, 2**self.params.modulus_bits, self.params.vector_length, np.uint32)
            for client in self.ids
        }
        self._policies = {
            client: ClientPolicy(**(terms | dict((policies or {}).get(client, {}))))  # type: ignore[arg-type]
            for client in self.ids
        }
        self._known = known
        self._begin(session_id)
        self.models = dict.fromkeys(self.ids, OUR_MODEL)
        self._made_as = (self.sparse, self.pipelined, Scene.made, generation, session_id, self.params)
        Scene.made += 1

    def _begin(self, session_id: bytes | None) -> None:
        self.clients = {client: self._client(client) for client in self._policies}
        self._first_clients = dict(self.clients)
        server = PipelinedServer if self.pipelined else ServerSession
        self.server = server(self.params, self.ids, self._known or None, session_id=session_id)
        self.session_id = self.server.invitation[7 : 7 + SESSION_ID_BYTES]
        self.outbound: Mapping[ClientId, bytes] = dict.fromkeys(self.ids, self.server.invitation)

    def _client(self, client: ClientId) -> ClientSession:
        identity = self.identities[client] if self.params.active else None
        if not self.pipelined:
            return ClientSession(client, self._policies[client], identity)
        session = PipelinedClient(client, self._policies[client], identity)
        session.beside = self._beside()
        return session

    def _beside(self) -> bytes:
        """Returns the invitation to a session of the next round."""
        following = replace(self.params, round_number=self.params.round_number + 1)
        return ServerSession(following, self.ids, self._known or None).invitation

    # Driving

    def deliver(self, client: ClientId, data: bytes | None = None) -> bytes | None:
        """Hands one client the server's message, or `data` in its place."""
        session = self.clients[client]
        vector = self.vectors[client] if session.wants_input else None
        data = self.outbound[client] if data is None else data
        return session.receive(data, vector=vector, model_digest=self.models[client])

    def answers(self, silent: Collection[ClientId] = ()) -> dict[ClientId, bytes]:
        """Hands everyone who still takes part the server's message and returns what they answer."""
        replies = {}
        for client in self.outbound:
            if client not in silent and not self.clients[client].over:
                reply = self.deliver(client)
                assert reply is not None
                replies[client] = reply
        return replies

    def upload(self, replies: Mapping[ClientId, bytes]) -> None:
        """Hands the server everyone's answer."""
        for client, reply in replies.items():
            self.server.receive(client, reply)

    def close(self) -> Result | None:
        """Ends the server's round."""
        closed = self.server.close_stage(OUR_MODEL)
        if isinstance(closed, Result):
            return closed
        self.outbound = dict(closed)
        return None

    def exchange(self, silent: Collection[ClientId] = ()) -> Result | None:
        """One honest exchange."""
        self.upload(self.answers(silent))
        return self.close()

    def until(self, stage: str, silent: Collection[ClientId] = ()) -> Self:
        """Runs honestly until the messages that are answered at `stage` lie in `outbound`.

        Where it begins at stage 0, keys are drawn until those named here are all neighbours. The sessions that come of
        an untouched scene are saved, and given to the same scene of every later test by their snapshots.
        """
        saved_as = (*self._made_as, stage, frozenset(silent)) if self._untouched else None
        if saved_as is not None:
            saved = self._saved.get(saved_as)
            if saved is not None and saved.policies == self._policies:
                self._restore(saved)
                return self
        if stage != "advertise_keys" and self.server.stage == "advertise_keys":
            self._enrol(silent)
        while self.server.stage != stage:
            assert self.exchange(silent) is None
        if saved_as is not None and stage != "advertise_keys":
            self._saved[saved_as] = self._save()
        return self

    @property
    def _untouched(self) -> bool:
        """Whether nothing has happened in this scene, and nothing in it was replaced."""
        return (
            self.clients == self._first_clients
            and all(client.phase == "awaiting the invitation" for client in self.clients.values())
            and self.server.stage == "advertise_keys"
            and not self.server.received
            and not self.server.faults
            and not self.server.aborted
            and self.models == dict.fromkeys(self.ids, OUR_MODEL)
        )

    def _save(self) -> "_Saved":
        clients = {client: session.to_bytes() for client, session in self.clients.items()}
        return _Saved(self._policies, clients, self.server.to_bytes())

    def _restore(self, saved: "_Saved") -> None:
        for session in self.clients.values():
            session.leave()  # whoever still holds one of these shall notice
        identities = self.identities if self.params.active else {}
        kind = PipelinedClient if self.pipelined else ClientSession
        self.clients = {
            client: kind.from_bytes(snapshot, identity=identities.get(client))
            for client, snapshot in saved.clients.items()
        }
        for session in self.clients.values():
            if isinstance(session, PipelinedClient):
                session.beside = self._beside()
        self.server = (PipelinedServer if self.pipelined else ServerSession).from_bytes(saved.server)
        self.session_id = self.server.session_id
        self.outbound = self.server.outbound

    def _enrol(self, silent: Collection[ClientId]) -> None:
        """Runs round 0. The first client draws its keys until the ring suits: one time in forty it does."""
        fresh = not any(session._state for session in self.clients.values())
        replies = self.answers(silent)
        while fresh and not self._named_are_neighbours(replies):
            first = next(iter(replies))
            self.clients[first] = self._client(first)
            reply = self.deliver(first)
            assert reply is not None
            replies[first] = reply
        self.upload(replies)
        assert self.close() is None

    def _named_are_neighbours(self, replies: Mapping[ClientId, bytes]) -> bool:
        advertised = [(client, self.read(reply)) for client, reply in sorted(replies.items())]
        entries = [RosterEntry(client, *msgspec.structs.astuple(keys)) for client, keys in advertised]
        cohort = Cohort(self.params, self.session_id, Roster(entries))
        places = [cohort.roster.index[client] for client in NAMED if client in cohort.roster.index]
        return all(np.isin(places, (*cohort.graph.neighbours(place), place)).all() for place in places)

    def public(self) -> Cohort:
        """Returns the public facts as the server knows them."""
        return self.server._current._cohort  # type: ignore[union-attr]

    def neighbours(self, client: ClientId) -> list[ClientId]:
        """Returns a client's neighbours, ascending."""
        cohort = self.public()
        return [cohort.client(index) for index in cohort.graph.neighbours(cohort.roster.index[client]).tolist()]

    def neighbours_in(self, entries: Iterable[RosterEntry], client: ClientId) -> list[ClientId]:
        """Returns whom a client that is shown all of some roster finds to be its neighbours, ascending."""
        cohort = Cohort(self.params, self.session_id, Roster(tuple(entries)))
        return [cohort.client(index) for index in cohort.graph.neighbours(cohort.roster.index[client]).tolist()]

    def strangers(self, client: ClientId) -> list[ClientId]:
        """Returns who takes part and is no neighbour of a client, ascending: nobody in the complete graph, else two."""
        neighbours = self.neighbours(client)
        return [other for other in self.public().roster.index if other != client and other not in neighbours]

    def seen(self, client: ClientId) -> list[ClientId]:
        """Returns whose entries a client sees, ascending: everyone's, or its neighbours' and its own."""
        cohort = self.public()
        return [cohort.client(index) for index in cohort.visible(cohort.roster.index[client]).tolist()]

    def bitmap(self, client: ClientId, members: Collection[ClientId]) -> bytes:
        """Returns some clients as a bitmap over what `client` sees; those that it does not see stay out."""
        return bitmap(members, self.seen(client))

    def until_survivors(self, silent: Collection[ClientId] = ()) -> Self:
        """Runs honestly until the survivor sets lie in `outbound`."""
        return self.until("consistency" if self.params.active else "unmask", silent)

    def finish(self, silent: Collection[ClientId] = ()) -> Result:
        """Runs honestly to the end."""
        while True:
            result = self.exchange(silent)
            if result is not None:
                return result

    # Reading and altering

    def read(self, data: bytes) -> Message:
        """Returns the message that `data` holds."""
        return decode(data, SERVER, self.params, session_id=self.session_id)

    def write(self, message: Message) -> bytes:
        """Returns the bytes of a message of this session."""
        return encode(message, self.params.suite, self.session_id)

    def altered(self, data: bytes, **changes: object) -> bytes:
        """Returns a genuine message with other fields."""
        return self.write(msgspec.structs.replace(self.read(data), **changes))

    def roster(self, client: ClientId | None = None) -> list[RosterEntry]:
        """Returns the entries of the roster that lies in `outbound` for a client: the first one, unless it is named."""
        message = self.read(self.outbound[next(iter(self.outbound)) if client is None else client])
        return list(decode_roster(message.entries, self.params).entries)  # type: ignore[attr-defined]

    def roster_message(
        self, entries: Iterable[RosterEntry], client: ClientId | None = None, total: int | None = None
    ) -> bytes:
        """Returns a roster of other entries as a client is shown it: the first one, unless it is named.

        Every rank fits, and so does the number of clients, unless `total` is another. A client that sees a part of
        the roster is told the genuine ranks; where those do not fit, or a client was made up, ranks that could be.
        """
        chosen = tuple(entries)
        genuine = self.outbound[next(iter(self.outbound)) if client is None else client]
        known = self.public().roster.index
        if total is None:
            total = len(chosen) if self.params.shows_roster else len(known)
        ranks = [known.get(entry.client, total) for entry in chosen]
        fit = not self.params.shows_roster and max(ranks) < total
        shown = Roster(chosen, ranks if fit else None)
        return self.altered(genuine, entries=shown.encode(), total=total)

    def signed(self, entry: RosterEntry, signer: ClientId | None = None) -> RosterEntry:
        """Returns an entry signed by a corrupt client: its own, or `signer` in its place; unsigned if nobody signs."""
        if not self.params.active:
            return replace(entry, signature=b"")
        context = session_context(self.params, self.session_id)
        digest = advertisement_digest(
            self.params.suite, context, client=entry.client, seal_key=entry.seal_key, mask_key=entry.mask_key
        )
        return replace(entry, signature=self.identities[entry.client if signer is None else signer].sign(digest))

    def survivor_set(self, client: ClientId, survivors: Collection[ClientId], total: int | None = None) -> bytes:
        """Returns the survivor set of the liar's choice as `client` is shown it."""
        return self.write(SurvivorSet(self.bitmap(client, survivors), len(survivors) if total is None else total))

    def cohort(self, client: ClientId | None = None) -> Cohort:
        """Returns the public facts as a client that has checked its roster knows them: the first one, unless named."""
        for session in self.clients.values() if client is None else [self.clients[client]]:
            membership = getattr(session._state._peek(), "membership", None) if session._state else None
            if membership is not None:
                return membership.place().cohort
        raise AssertionError("nobody has checked a roster yet")

    # Judging

    def secrets(self, client: ClientId) -> list[bytes]:
        """Returns every secret that the client's session holds now, in pieces that can be searched for."""
        state = self.clients[client]._state
        held = None if state is None else state._peek()
        found: list[bytes] = []
        for field, size in SECRET_FIELDS.items():
            value = getattr(held, field, b"")
            found += [value[at : at + size] for at in range(0, len(value), size)]
        return found

    def refused(self, client: ClientId, data: bytes, failure: type[Failure], culprit: Culprit = SERVER) -> Failure:
        """The client refuses for good: it answers nothing, now or later, and keeps no secret."""
        session = self.clients[client]
        secrets = self.secrets(client)
        if session._state is not None:
            assert secrets or isinstance(session._state, Unmasking), "only an answer can be empty"
            assert all(secret in session.to_bytes() for secret in secrets), "the search below would find nothing"
        accepted = session._place.accepted
        with pytest.raises(failure) as raised:
            self.deliver(client, data)
        assert type(raised.value) is failure
        assert raised.value.culprit == culprit
        assert session.over
        assert session.phase == "over"
        assert not session.wants_input
        # A session of a pipeline is left, and then has nothing to send again at all.
        kept = () if self.pipelined else accepted
        assert session._place.accepted in (accepted, kept), "there is nothing new to send again"
        with pytest.raises(StateSpentError):
            self.deliver(client, data)
        left = session.to_bytes()
        assert not [secret for secret in secrets if secret in left]
        assert self.identities[client].seed() not in left
        return raised.value

    def strayed(self, client: ClientId, data: bytes) -> None:
        """The client drops a message of another session, accuses nobody, and waits on as if it had never come."""
        session = self.clients[client]
        before = session.to_bytes()
        with pytest.raises(StrayMessageError) as raised:
            self.deliver(client, data)
        assert raised.value.sender is SERVER
        assert session.to_bytes() == before

    def stray(self, client: ClientId, data: bytes) -> None:
        """The server drops a client's message of another session, notes nobody, and waits on."""
        before = self.server.stage, self.server.received, self.server.faults
        with pytest.raises(StrayMessageError) as raised:
            self.server.receive(client, data)
        assert raised.value.sender == client
        assert (self.server.stage, self.server.received, self.server.faults) == before

    def ignored(self, client: ClientId, data: bytes) -> MalformedMessageError:
        """The client takes the bytes for garbage and waits on as if they had never come."""
        session = self.clients[client]
        before, phase = session.to_bytes(), session.phase
        with pytest.raises(MalformedMessageError) as raised:
            self.deliver(client, data)
        assert type(raised.value) is MalformedMessageError
        assert raised.value.culprit is SERVER
        assert session.phase == phase
        assert session.to_bytes() == before
        return raised.value

    def accused(self, client: ClientId, data: bytes, failure: type[Failure]) -> Failure:
        """The server refuses a client's message, names the client, and waits on."""
        stage, received = self.server.stage, self.server.received
        with pytest.raises(failure) as raised:
            self.server.receive(client, data)
        assert type(raised.value) is failure
        assert raised.value.culprit == client
        assert self.server.stage == stage
        assert self.server.received == received
        fault = self.server.faults[client]
        assert (fault.stage, fault.error) == (stage, failure.__name__)
        return raised.value

    def assert_exact(self, result: Result | None, missing: Collection[ClientId] = ()) -> None:
        """The sum is that of everyone but `missing`, to the last bit."""
        assert result is not None
        survivors = frozenset(self.ids) - frozenset(missing)
        assert result.survivors == survivors
        assert np.array_equal(result.sum, self.sum_of(survivors))

    def sum_of(self, clients: Iterable[ClientId]) -> npt.NDArray[np.unsignedinteger]:
        """Returns the plain sum of some clients' vectors."""
        total = np.zeros(self.params.vector_length, np.uint64)
        for client in clients:
            total += self.vectors[client]
        return (total % 2**self.params.modulus_bits).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class _Saved:
    policies: Mapping[ClientId, ClientPolicy]
    clients: Mapping[ClientId, bytes]
    server: bytes


SECRET_FIELDS = {
    "seal_private": 32,
    "mask_private": 32,
    "self_mask_seed": 32,
    "opening_keys": 32,
    "shares": SHARE_BYTES,
    "answer": SHARE_BYTES,
}
"""What of a state is secret, by field, with the bytes of one secret."""


def bitmap(clients: Collection[ClientId], roster: Collection[ClientId]) -> bytes:
    """Returns some clients as a bitmap over the roster."""
    return encode_bitmap(np.array([client in clients for client in roster]))


def offer(genuine: bytes, **changes: object) -> bytes:
    """Returns an invitation with other parameters."""
    params, session_id = decode_invitation(genuine)
    fields = {name: getattr(params, name) for name in SessionParams.__dataclass_fields__} | changes
    other = SessionParams(**fields)
    return encode(Invitation(other.encode()), other.suite, session_id)


def forged_offer(genuine: bytes, offset: int, layout: str, value: int) -> bytes:
    """Returns an invitation with one number of its encoded parameters overwritten, however senseless."""
    params, session_id = decode_invitation(genuine)
    data = bytearray(params.encode())
    struct.pack_into(layout, data, offset, value)
    return encode(Invitation(bytes(data)), params.suite, session_id)


def records(table: bytes, size: int = SHARE_RECORD_BYTES) -> list[bytes]:
    """Returns the records of a table."""
    return [table[at : at + size] for at in range(0, len(table), size)]


def flipped(data: bytes, position: int = 0) -> bytes:
    """Returns the bytes with one bit turned over."""
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def without(clients: Iterable[ClientId], *absent: ClientId) -> list[ClientId]:
    """Returns the clients less some."""
    return [client for client in clients if client not in absent]
