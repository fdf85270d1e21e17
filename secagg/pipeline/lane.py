"""One session within a pipeline: who answers it from which address, and what is to be sent for it."""

from collections.abc import Collection, Mapping
from typing import Generic, TypeVar

from secagg.checks import check_client_id
from secagg.errors import ClientId, InvalidParameterError, StrayMessageError, UnexpectedMessageError
from secagg.pipeline.exchange import ServedSession
from secagg.protocol.wire import Octets
from secagg.stages import Stage

__all__ = ["Lane", "who_answers"]

Released = TypeVar("Released")


class Lane(Generic[Released]):
    """A session and its addresses.

    Args:
        session: the server's.
        invited: the addresses that the invitation goes to.
        clients: who answers from which address, as far as it is known. Who is not among them says it with the first
            answer, which its signature confirms.
    """

    def __init__(
        self, session: ServedSession[Released], invited: tuple[int, ...], clients: dict[int, ClientId]
    ) -> None:
        self.session = session
        self.invited = invited
        self._invited = frozenset(invited)
        self._given = len(clients) == len(invited)
        # Both ways. A claim is noted before the session judges it, and counts once the session has accepted it: so an
        # interruption leaves nobody accepted without an address.
        self._claims = dict(clients)
        self._addresses: dict[ClientId, int] = {client: address for address, client in clients.items()}
        # A stage, and not a flag beside it: when the session moves on, nothing is in flight, whatever interrupts it.
        self._sent: Stage | None = None
        self._done: set[int] = set()

    def __repr__(self) -> str:
        return f"<Lane of round {self.session.params.round_number} at {self.session.stage}>"

    @property
    def clients(self) -> dict[int, ClientId]:
        """Who answers from which address, as far as it is known."""
        known = ((address, self._owner(address)) for address in self.invited)
        return {address: client for address, client in known if client is not None}

    @property
    def receivers(self) -> Collection[int]:
        """The addresses that what is to be sent goes to."""
        session = self.session
        if session.held:
            return ()
        if session.stage is Stage.ADVERTISE_KEYS:
            return self.invited
        return tuple(self._addresses[client] for client in session.outbound)

    def message(self, address: int) -> bytes:
        """Returns what is to be sent to one of the receivers."""
        if self.session.stage is Stage.ADVERTISE_KEYS:
            return self.session.invitation
        return self.session.outbound[self._claims[address]]

    @property
    def in_flight(self) -> bool:
        """Whether what is to be sent was sent, and is being answered."""
        return self._sent is self.session.stage and not self.session.held

    @property
    def awaited(self) -> frozenset[int]:
        """The addresses that were sent something and may still answer."""
        return frozenset(self.receivers) - self._done if self.in_flight else frozenset()

    def send(self) -> None:
        """What is to be sent is on its way."""
        if not self.in_flight:
            self._done = set()
            self._sent = self.session.stage

    def done(self, address: int) -> None:
        """Nothing more will come from an address at this stage."""
        self._done.add(address)

    def receive(self, address: int, claimed: ClientId, data: Octets) -> None:
        """Takes one message that came from an address.

        Args:
            address: as the transport authenticates it.
            claimed: as whom it says that it answers.
            data: the message.

        Raises:
            StrayMessageError: the address was not invited.
            UnexpectedMessageError: it answers as somebody else, or as one who answers from another address.
            RemoteError, InvalidInputError, StateSpentError: as the session says.
        """
        if address not in self._invited:
            raise StrayMessageError(claimed, f"address {address} was not invited to this session")
        session, known = self.session, self._owner(address)
        elsewhere = self._addresses.get(claimed) if self._given or session.has_answered(claimed) else None
        if (known is not None and claimed != known) or (elsewhere is not None and elsewhere != address):
            owner = f"client {known}" if known is not None else f"a client that does not answer from {elsewhere}"
            raise UnexpectedMessageError(claimed, f"an answer of client {claimed} from address {address}", owner)
        if known is None:
            if session.stage is not Stage.ADVERTISE_KEYS:
                # Only keys are signed: whatever follows is believed from where they came, and from nowhere else.
                raise UnexpectedMessageError(claimed, f"an answer from address {address}", "one that keys came from")
            self._addresses[claimed] = address
            self._claims[address] = claimed
        session.receive(claimed, data)

    def _owner(self, address: int) -> ClientId | None:
        """Returns who answers from an address; None where nobody does yet."""
        client = self._claims.get(address)
        if client is None or self._addresses.get(client) != address:
            return None
        final = self._given or self.session.stage is not Stage.ADVERTISE_KEYS
        return client if final or self.session.has_answered(client) else None


def who_answers(
    session: ServedSession[Released], addresses: Mapping[int, ClientId] | Collection[int]
) -> tuple[tuple[int, ...], dict[int, ClientId]]:
    """Returns the addresses that a session invites, and who answers from which, as far as it is known.

    Args:
        session: the server's.
        addresses: a mapping says which client answers from which. Otherwise an address is the client's id, or in the
            ACTIVE model it is known with the first answer.

    Raises:
        InvalidParameterError: an address is no 64-bit integer, or a client has two.
    """
    if not isinstance(addresses, Collection) or isinstance(addresses, str | bytes):
        raise InvalidParameterError("addresses", type(addresses).__name__, "a collection of 64-bit integers")
    invited = tuple(check_client_id("addresses", address) for address in addresses)
    clients: dict[int, ClientId] = {}
    if isinstance(addresses, Mapping):
        clients = {address: check_client_id("addresses", addresses[address]) for address in invited}
    elif not session.params.active:
        clients = {address: address for address in invited}
    if len(set(invited)) != len(invited) or len(set(clients.values())) != len(clients):
        raise InvalidParameterError("addresses", len(invited), "one address for each client, and no two alike")
    return invited, clients
