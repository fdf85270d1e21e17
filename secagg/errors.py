"""Every exception of the protocol core, with the facts as fields.

Two questions decide the class: *who* is at fault, and *what may the caller do next*.

* `LocalError`: this program called the library wrongly. Nothing was sent and no state was spent;
  mend the call and try again.
* `RemoteError`: a peer sent something that it must not send. `culprit` names it: a client's id, or
  `SERVER`. A client then drops its secrets and leaves the session; the server refuses the message
  and goes on.
* `StrayMessageError`: a message that is not for this session, such as a late one of the session before. Whoever
  sent it did nothing wrong: nobody is noted, and the session goes on.
* `TooFewClientsError`: nobody cheated, but too few clients are left.

No error text ever contains a key, a share or a vector entry. Fields are passed to `Exception.args`,
so every error survives pickling between processes of an executor.
"""

import enum
import reprlib
from typing import Final, Literal, TypeAlias

from secagg.stages import Stage

ClientId: TypeAlias = int
"""A client's identifier: an integer from 0 to 2**64 - 1."""


class _Server(enum.Enum):
    SERVER = "server"

    def __repr__(self) -> str:
        return "SERVER"

    __str__ = __repr__


SERVER: Final = _Server.SERVER
"""The server, where a `RemoteError` has to say who is at fault."""

Culprit: TypeAlias = ClientId | Literal[_Server.SERVER]


class _Shown(reprlib.Repr):
    """What an error says of a value: bounded, and never an error of its own, whatever the value is."""

    def repr_int(self, value: int, level: int) -> str:
        # Python refuses to write out an int of more than some thousand digits.
        return repr(value) if value.bit_length() <= 512 else f"<an int of {value.bit_length()} bits>"


_shown: Final = _Shown()
_shown.maxstring = _shown.maxother = 500
_shown.maxlist = _shown.maxtuple = _shown.maxset = _shown.maxfrozenset = _shown.maxdict = 16


def _name(party: Culprit) -> str:
    return "the server" if party is SERVER else f"client {party}"


class SecAggError(Exception):
    """Base of every error that this library raises on purpose."""


class LocalError(SecAggError):
    """The library was called wrongly; nothing was sent and the state is still usable."""


class InvalidParameterError(LocalError, ValueError):
    """A parameter is out of its range. Fields: `parameter`, `offered`, `allowed`."""

    def __init__(self, parameter: str, offered: object, allowed: str) -> None:
        super().__init__(parameter, offered, allowed)
        self.parameter = parameter
        self.offered = offered
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.parameter} = {_shown.repr(self.offered)} is refused: it must be {self.allowed}"


class InvalidInputError(LocalError, ValueError):
    """An input (a vector, a digest, a snapshot's key) is unusable. Fields: `field`, `problem`, `allowed`."""

    def __init__(self, field: str, problem: str, allowed: str) -> None:
        super().__init__(field, problem, allowed)
        self.field = field
        self.problem = problem
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}; it must be {self.allowed}"


class InvalidStateError(LocalError):
    """The call does not fit the state, or a snapshot is damaged or foreign. Field: `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StateSpentError(LocalError):
    """A single-use state was used a second time. Field: `state`."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state

    def __str__(self) -> str:
        return f"{self.state} is over: it takes its step once; go on with what it returned, or begin a new session"


class ForeignProcessError(LocalError):
    """A state was used in a process that did not make it, as after `fork`. Fields: `state`, `made_in`, `used_in`: pids.

    The state is usable where it was made.
    """

    def __init__(self, state: str, made_in: int, used_in: int) -> None:
        super().__init__(state, made_in, used_in)
        self.state = state
        self.made_in = made_in
        self.used_in = used_in

    def __str__(self) -> str:
        return (
            f"{self.state} belongs to process {self.made_in}, and this is process {self.used_in}: use it there, or open"
            " a snapshot here that nobody else uses"
        )


class TaskResultError(SecAggError):
    """An executor returned something that the task handed to it does not. Fields: `returned`, `expected`.

    The vector that it was meant for is as it was.
    """

    def __init__(self, returned: str, expected: str) -> None:
        super().__init__(returned, expected)
        self.returned = returned
        self.expected = expected

    def __str__(self) -> str:
        return f"the executor returned {self.returned} for a task whose result is {self.expected}"


class RemoteError(SecAggError):
    """A peer broke the protocol. `culprit` is a client's id or `SERVER`."""

    culprit: Culprit

    def __init__(self, culprit: Culprit, *fields: object) -> None:
        super().__init__(culprit, *fields)
        self.culprit = culprit

    def _who(self) -> str:
        return _name(self.culprit)


class MalformedMessageError(RemoteError):
    """Bytes that are no message of this session. Field: `reason`."""

    def __init__(self, culprit: Culprit, reason: str) -> None:
        super().__init__(culprit, reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"malformed message from {self._who()}: {self.reason}"


class StrayMessageError(SecAggError):
    """A well-formed message that is not for this session. Fields: `sender`, `reason`.

    A network delivers late, and a client takes part in many sessions: the sender is not at fault, is noted nowhere,
    and the session goes on as if nothing had come.
    """

    def __init__(self, sender: Culprit, reason: str) -> None:
        super().__init__(sender, reason)
        self.sender = sender
        self.reason = reason

    def __str__(self) -> str:
        return f"stray message from {_name(self.sender)}: {self.reason}"


class UnexpectedMessageError(RemoteError):
    """A well-formed message at the wrong time. Fields: `received`, `expected`."""

    def __init__(self, culprit: Culprit, received: str, expected: str) -> None:
        super().__init__(culprit, received, expected)
        self.received = received
        self.expected = expected

    def __str__(self) -> str:
        return f"unexpected message from {self._who()}: received {self.received}, expected {self.expected}"


class AuthenticationError(RemoteError):
    """A signature, key or identity that does not hold. Field: `reason`."""

    def __init__(self, culprit: Culprit, reason: str) -> None:
        super().__init__(culprit, reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"authentication failed for {self._who()}: {self.reason}"


class InvalidShareError(RemoteError):
    """A secret share that is wrong. Fields: `role` ("responder" or "dealer"), `dealer`, `kind`.

    `culprit` is the responder that returned a share unlike the one it was dealt, or the dealer
    whose shares were returned as dealt and still rebuild the wrong secret.
    """

    def __init__(self, culprit: ClientId, role: Literal["responder", "dealer"], dealer: ClientId, kind: str) -> None:
        super().__init__(culprit, role, dealer, kind)
        self.role = role
        self.dealer = dealer
        self.kind = kind

    def __str__(self) -> str:
        if self.role == "dealer":
            return f"{self._who()} dealt shares of its {self.kind} that do not rebuild it"
        return f"{self._who()} returned a share of client {self.dealer}'s {self.kind} that is not the one dealt"


class InconsistentServerError(RemoteError):
    """The server said things that cannot all be true. Fields: `rule`, `detail`."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(SERVER, rule, detail)
        self.rule = rule
        self.detail = detail

    def __reduce__(self) -> tuple[type["InconsistentServerError"], tuple[str, str]]:
        return type(self), (self.rule, self.detail)

    def __str__(self) -> str:
        return f"the server broke the rule {self.rule!r}: {self.detail}"


class PolicyViolationError(RemoteError):
    """The server offered what this client's own policy refuses. Fields: `rule`, `offered`, `accepted`."""

    def __init__(self, rule: str, offered: object, accepted: object) -> None:
        super().__init__(SERVER, rule, offered, accepted)
        self.rule = rule
        self.offered = offered
        self.accepted = accepted

    def __reduce__(self) -> tuple[type["PolicyViolationError"], tuple[str, object, object]]:
        return type(self), (self.rule, self.offered, self.accepted)

    def __str__(self) -> str:
        offered, accepted = _shown.repr(self.offered), _shown.repr(self.accepted)
        return f"this client's policy refuses {self.rule}: offered {offered}, accepted {accepted}"


class TooFewClientsError(SecAggError):
    """Too few clients are left to go on.

    Fields: `stage`, `neighbourhood` (the client whose neighbourhood is too small, or None where
    the count is over the whole cohort), `needed`, `remaining`.
    """

    def __init__(self, stage: Stage, neighbourhood: ClientId | None, needed: int, remaining: int) -> None:
        super().__init__(stage, neighbourhood, needed, remaining)
        self.stage = stage
        self.neighbourhood = neighbourhood
        self.needed = needed
        self.remaining = remaining

    def __str__(self) -> str:
        where = "" if self.neighbourhood is None else f" in the neighbourhood of client {self.neighbourhood}"
        return f"too few clients{where} at {self.stage}: {self.needed} needed, {self.remaining} remaining"
