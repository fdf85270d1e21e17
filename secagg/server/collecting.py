"""What the server's stages have in common: collect one message of each client, then close.

The server refuses a message that breaks a rule (`receive` raises and the stage goes on unchanged) and
notes its sender's first fault. The caller owns the clock: it decides when a stage is over.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from secagg.errors import (
    ClientId,
    MalformedMessageError,
    RemoteError,
    StateSpentError,
    TooFewClientsError,
    UnexpectedMessageError,
)
from secagg.params import SessionParams
from secagg.protocol.messages import Message
from secagg.server.facts import Enrolled, members
from secagg.server.faults import Fault
from secagg.stages import Stage

Expected = TypeVar("Expected", bound=Message)
Facts = TypeVar("Facts")
Item = TypeVar("Item")

Counts: TypeAlias = npt.NDArray[np.intp]
Present: TypeAlias = npt.NDArray[np.bool_]


class Outbound(Mapping[ClientId, Item], Generic[Item]):
    """What to send to whom; made on access, so that a cohort's messages never lie in memory together."""

    __slots__ = ("_make", "_receivers")

    def __init__(self, receivers: tuple[ClientId, ...], make: Callable[[ClientId], Item]) -> None:
        # Keys without values: in the order given, and found at once in a large cohort.
        self._receivers = dict.fromkeys(receivers)
        self._make = make

    def __getitem__(self, client: ClientId) -> Item:
        if client not in self._receivers:
            raise KeyError(client)
        return self._make(client)

    def __iter__(self) -> Iterator[ClientId]:
        return iter(self._receivers)

    def __len__(self) -> int:
        return len(self._receivers)


class Collecting(ABC, Generic[Facts, Expected]):
    """One stage.

    Args:
        facts: what was settled when the stage began.
        params: the session's parameters.
        awaited: the clients that may answer.
        faults: first faults by client, shared by all stages of a session.
    """

    stage: ClassVar[Stage]
    expects: ClassVar[type[Message]]

    def __init__(
        self, facts: Facts, params: SessionParams, awaited: frozenset[ClientId], faults: dict[ClientId, Fault]
    ) -> None:
        self.facts = facts
        self.params = params
        self.awaited = awaited
        self.faults = faults
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {len(self.received)} of {len(self.awaited)} received>"

    @property
    def roster_hash(self) -> bytes | None:
        """The hash of who advertised which keys; None before the roster is fixed."""
        return None

    @property
    @abstractmethod
    def received(self) -> frozenset[ClientId]:
        """The clients whose message was accepted."""

    def has(self, client: ClientId) -> bool:
        """Whether a client's message was accepted."""
        return client in self.awaited and self._has(client)

    @property
    def closed(self) -> bool:
        """Whether the stage is over."""
        return self._closed

    @property
    def can_close(self) -> bool:
        """Whether enough clients have answered for the session to go on."""
        return self._shortage() is None

    def receive(self, sender: ClientId, message: Message) -> None:
        """Accepts one client's message.

        Raises:
            UnexpectedMessageError: not this stage's message, a second one, or not from a client of this
                stage. The first message stays accepted and nobody is named at fault for it.
            RemoteError: the message breaks a rule; its sender is noted in `faults`, nothing else changes.
            StateSpentError: the stage is over.
        """
        self._require_open()
        if not isinstance(message, self.expects):
            raise UnexpectedMessageError(sender, type(message).__name__, self.expects.__name__)
        if sender not in self.awaited:
            raise UnexpectedMessageError(sender, type(message).__name__, f"a client that is awaited at {self.stage}")
        if self._has(sender):
            raise UnexpectedMessageError(sender, f"a second {type(message).__name__}", "one from each client")
        try:
            message.require_lengths(sender, self.params, self._roster_size())
            self._accept(sender, message)  # type: ignore[arg-type]  # narrowed by `expects` above
        except RemoteError as error:
            self.note_fault(sender, error)
            raise

    def note_fault(self, sender: ClientId, error: RemoteError) -> None:
        """Notes a client's first fault; later ones are not kept, so that faults stay bounded."""
        if sender in self.awaited:
            self.faults.setdefault(sender, Fault(self.stage, type(error).__name__, str(error)))

    def _require_open(self) -> None:
        if self._closed:
            raise StateSpentError(type(self).__name__)

    def _require_closable(self) -> None:
        """Passes where the stage can end; `close` marks it closed once the next stage stands.

        Raises:
            StateSpentError: it is over already.
            TooFewClientsError: it cannot close yet; it stays open, and the caller waits on or gives up.
        """
        self._require_open()
        shortage = self._shortage()
        if shortage is not None:
            raise shortage

    def _too_few(self, needed: int, remaining: int, neighbourhood: ClientId | None = None) -> TooFewClientsError:
        return TooFewClientsError(self.stage, neighbourhood, needed, remaining)

    def _malformed(self, sender: ClientId, reason: str) -> MalformedMessageError:
        return MalformedMessageError(sender, f"{self.expects.__name__}: {reason}")

    @abstractmethod
    def _roster_size(self) -> int: ...

    @abstractmethod
    def _has(self, sender: ClientId) -> bool: ...

    @abstractmethod
    def _accept(self, sender: ClientId, message: Expected) -> None:
        """Checks a message, then takes it: the last assignment is the one that marks its sender as received.

        So an interruption leaves the message untaken, and it may come again.
        """

    @abstractmethod
    def _shortage(self) -> TooFewClientsError | None: ...


class CollectingFromRoster(Collecting[Facts, Expected]):
    """A stage after the roster is fixed.

    Args:
        facts: what was settled when the stage began.
        enrolled: the roster.
        awaited: who may answer, a bitmap over the roster; None is everyone in it.
        faults: first faults by client, shared by all stages of a session.
    """

    def __init__(self, facts: Facts, enrolled: Enrolled, awaited: bytes | None, faults: dict[ClientId, Fault]) -> None:
        self._cohort = enrolled.cohort()
        self._index = self._cohort.roster.index
        size = len(self._index)
        present = np.ones(size, np.bool_) if awaited is None else members(awaited, size)
        super().__init__(facts, enrolled.invitees.params, frozenset(self._clients(present)), faults)
        self._marks = np.zeros(size, np.bool_)
        self._neighbours = self._cohort.graph.table
        """Everyone's neighbours by roster index, shape (size, k)."""
        self._places = self._cohort.graph.places
        """At which of a neighbour's k places one stands oneself, shape (size, k)."""

    @property
    def roster_hash(self) -> bytes | None:
        """The hash of who advertised which keys."""
        return self._cohort.roster_hash

    @property
    def received(self) -> frozenset[ClientId]:
        """The clients whose message was accepted."""
        return frozenset(self._clients(self._arrived))

    @property
    def _arrived(self) -> Present:
        """Whose message was accepted, by roster index, shape (size,)."""
        return self._marks

    def _has(self, sender: ClientId) -> bool:
        return bool(self._arrived[self._index[sender]])

    def _roster_size(self) -> int:
        return len(self._index)

    def _clients(self, present: Present) -> tuple[ClientId, ...]:
        return tuple(self._cohort.client(index) for index in np.flatnonzero(present).tolist())

    def _smallest_neighbourhood(self, involved: Present, counts: Counts) -> TooFewClientsError | None:
        """Returns the shortage where an involved client's neighbourhood counts fewer than t."""
        counts = np.where(involved, counts, self._roster_size())
        worst = int(counts.argmin())
        if counts[worst] >= self.params.threshold:
            return None
        return self._too_few(self.params.threshold, int(counts[worst]), self._cohort.client(worst))
