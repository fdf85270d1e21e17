"""Single-use states: one transition each, no copies, nothing secret in sight."""

import os
from typing import Generic, NoReturn, TypeVar

from secagg.errors import ForeignProcessError, InvalidStateError, StateSpentError
from secagg.protocol.concealed import Concealed


class Secrets(Concealed, frozen=True, forbid_unknown_fields=True, tag=True):
    """Base of what a state holds. It is not shown, and neither copied nor pickled."""

    def __copy__(self) -> NoReturn:
        raise InvalidStateError(f"{type(self).__name__} cannot be copied or pickled: use to_bytes of its session")

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__copy__()

    def __reduce__(self) -> NoReturn:
        self.__copy__()


Held = TypeVar("Held", bound=Secrets)


class Uncopyable:
    """Refuses `copy` and `pickle`: what exists twice could answer twice."""

    __slots__ = ()

    def __copy__(self) -> NoReturn:
        raise InvalidStateError(f"{type(self).__name__} cannot be copied or pickled: use to_bytes of its session")

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__copy__()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self.__copy__()


class SingleUse(Uncopyable, Generic[Held]):
    """A state that makes exactly one transition.

    Security: a state that could be copied could answer twice, for example sign two survivor sets.
    `copy`, `pickle` and a forked child refuse; the one way out is a session's snapshot, whose rule is: save, then send.
    """

    __slots__ = ("_held", "_process")

    def __init__(self, held: Held) -> None:
        # A list, because `pop` is atomic: two threads cannot both take the content.
        self._held = [held]
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{'' if self._held else ', spent'}>"

    @property
    def spent(self) -> bool:
        """Whether the transition was made, or refused for good."""
        return not self._held

    def _peek(self) -> Held:
        try:
            return self._held[0]
        except IndexError:
            raise StateSpentError(type(self).__name__) from None

    def _spend(self) -> Held:
        here = os.getpid()
        if here != self._process:
            raise ForeignProcessError(type(self).__name__, self._process, here)
        try:
            return self._held.pop()
        except IndexError:
            raise StateSpentError(type(self).__name__) from None
