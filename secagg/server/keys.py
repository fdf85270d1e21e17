"""Stage 0 on the server: public keys, and the roster that they make."""

from collections.abc import Callable, Collection, Mapping

from secagg.checks import check_client_id, check_type
from secagg.errors import (
    AuthenticationError,
    ClientId,
    InvalidInputError,
    InvalidParameterError,
    TooFewClientsError,
    UnexpectedMessageError,
)
from secagg.params import SessionParams
from secagg.primitives.signing import identity_problem
from secagg.protocol.messages import AdvertiseKeys, KeyRoster, Message
from secagg.protocol.roster import Roster, RosterEntry, check_advertisement
from secagg.protocol.transcript import (
    SESSION_ID_BYTES,
    session_context,
)
from secagg.server.collecting import Collecting, Outbound
from secagg.server.facts import Enrolled, Invitees
from secagg.server.faults import Fault
from secagg.server.shares import CollectingShares
from secagg.stages import Stage


class CollectingKeys(Collecting[Invitees, AdvertiseKeys]):
    """Stage 0: public keys. The roster is everyone who advertised sound keys in time.

    Args:
        params: the session's parameters.
        session_id: 16 bytes, chosen freshly for this session.
        clients: the ids invited, cohort_size of them. None in the ACTIVE model: whoever of the identities advertises
            first, until the cohort is full.
        identities: the identity key that this server knows each client by; ACTIVE only.

    Raises:
        InvalidInputError, InvalidParameterError: the cohort or the identities do not fit the parameters.
    """

    stage = Stage.ADVERTISE_KEYS
    expects = AdvertiseKeys

    def __init__(
        self,
        params: SessionParams,
        session_id: bytes,
        clients: Collection[ClientId] | None,
        identities: Mapping[ClientId, bytes] | None = None,
    ) -> None:
        check_type("params", params, SessionParams)
        known = _known(identities)
        if clients is None and params.active:
            cohort = _cohort(known, max(len(known), params.cohort_size))
        else:
            cohort = _cohort(clients, params.cohort_size)
        if type(session_id) is not bytes or len(session_id) != SESSION_ID_BYTES:
            raise InvalidInputError("session_id", "wrong type or length", f"{SESSION_ID_BYTES} bytes")
        if params.active:
            keys = [known.get(client) for client in cohort]
            if any(identity_problem(key) is not None for key in keys) or len(set(keys)) != len(keys):
                raise InvalidInputError(
                    "identities",
                    "missing, repeated, of a wrong length or nobody's",
                    "one distinct 32-byte Ed25519 public key, as bytes, for each client",
                )
        elif known:
            raise InvalidParameterError("identities", "given", "absent: HONEST_BUT_CURIOUS signs nothing")
        kept = {client: known[client] for client in cohort} if params.active else {}
        self._begin(Invitees(params, session_id, cohort, kept), {})

    @classmethod
    def _restore(cls, facts: Invitees, faults: dict[ClientId, Fault]) -> "CollectingKeys":
        restored = cls.__new__(cls)
        restored._begin(facts, faults)
        return restored

    def _begin(self, facts: Invitees, faults: dict[ClientId, Fault]) -> None:
        super().__init__(facts, facts.params, facts.clients, faults)
        self._session_ctx = session_context(facts.params, facts.session_id)
        self._entries: dict[ClientId, RosterEntry] = {}
        self._owners: dict[bytes, ClientId] = {}

    @property
    def received(self) -> frozenset[ClientId]:
        """The clients whose message was accepted."""
        return frozenset(self._entries)

    def receive(self, sender: ClientId, message: Message) -> None:
        """Accepts one client's message.

        Raises:
            UnexpectedMessageError: as at any stage; or the cohort is full, which is nobody's fault.
            RemoteError, StateSpentError: as at any stage.
        """
        if len(self._entries) >= self.params.cohort_size and sender in self.awaited and not self._has(sender):
            self._require_open()
            raise UnexpectedMessageError(sender, type(message).__name__, f"{self.params.cohort_size} clients at most")
        super().receive(sender, message)

    def _has(self, sender: ClientId) -> bool:
        return sender in self._entries

    def _roster_size(self) -> int:
        return self.params.cohort_size

    def _accept(self, sender: ClientId, message: AdvertiseKeys) -> None:
        entry = RosterEntry(sender, message.seal_key, message.mask_key, message.signature)
        check_advertisement(
            self.params, self._session_ctx, entry=entry, identities=self.facts.identities, culprit=sender
        )
        keys = {entry.seal_key, entry.mask_key}
        if len(keys) != 2 or any(self._owners.get(key, sender) != sender for key in keys):
            # The first arrival wins: a client that repeats a key later has copied it.
            raise AuthenticationError(sender, "a public key was advertised before")
        for key in keys:
            self._owners[key] = sender
        self._entries[sender] = entry

    def _shortage(self) -> TooFewClientsError | None:
        needed = self.params.min_survivors
        return self._too_few(needed, len(self._entries)) if len(self._entries) < needed else None

    def close(self) -> tuple["CollectingShares", Mapping[ClientId, KeyRoster]]:
        """Fixes the roster (U1) and sends to everyone in it what it sees of it.

        Raises:
            TooFewClientsError: not enough keys yet; the stage stays open.
        """
        self._require_closable()
        # Bonawitz et al. 2017, figure 4, round 0, server: U1 is who sent keys, at least t; everyone in it gets the
        # list. Bell et al. 2020, algorithm 2: a client needs those of its neighbours only.
        roster = Roster([self._entries[client] for client in sorted(self._entries)])
        enrolled = Enrolled(self.facts, roster.encode())
        following = CollectingShares(enrolled, self.faults)
        self._closed = True
        return following, Outbound(tuple(roster.index), _rosters(self.params, enrolled))


def _known(identities: Mapping[ClientId, bytes] | None) -> dict[ClientId, bytes]:
    if identities is None:
        return {}
    if not isinstance(identities, Mapping):
        raise InvalidInputError("identities", f"they are {type(identities).__name__}", "a mapping of ids to keys")
    return dict(identities)


def _cohort(clients: Collection[ClientId] | None, size: int) -> frozenset[ClientId]:
    try:
        listed = tuple(clients) if isinstance(clients, Collection) else None
    except (TypeError, ValueError):
        listed = None
    if listed is None:
        raise InvalidInputError("clients", f"they are {type(clients).__name__}", f"{size} different ids")
    cohort = frozenset(check_client_id("clients", client) for client in listed)
    if len(cohort) != size or len(listed) != size:
        raise InvalidInputError("clients", f"{len(cohort)} different ids", f"{size} different ids")
    return cohort


def _rosters(params: SessionParams, enrolled: Enrolled) -> Callable[[ClientId], KeyRoster]:
    cohort = enrolled.cohort()
    roster = cohort.roster
    if params.shows_roster:
        message = KeyRoster(enrolled.entries, len(roster))
        return lambda _: message
    return lambda client: KeyRoster(roster.part(cohort.visible(roster.index[client])).encode(), len(roster))
