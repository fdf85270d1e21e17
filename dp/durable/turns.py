"""One call at a time, in the process that made the object: the rule for everything that writes."""

import os
import threading
from contextlib import AbstractContextManager

from dp.errors import FileRefusedError

__all__ = ["Turns"]


class Turns:
    """Makes the calls of one object take turns.

    Threads wait for each other. Two uses are refused, as neither can be waited for:

    * a forked child, which has a copy of the object as it was, and cannot know what its parent did since;
    * a call within a call of the same thread, as from a signal handler: the outer one has not finished what it changes.

    Args:
        noun: what errors call the object, such as "ledger".
    """

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._process = os.getpid()
        # Python's own lock, entered by `with` itself: a signal cannot come between its acquisition and its release.
        self._lock = threading.RLock()
        self._turn = threading.Condition(self._lock)

    @property
    def in_own_process(self) -> bool:
        """Whether this is the process that made the object."""
        return os.getpid() == self._process

    def check_process(self, action: str) -> None:
        """Refuses a process that did not make the object.

        Raises:
            FileRefusedError: it did not.
        """
        if not self.in_own_process:
            raise FileRefusedError(action, f"another process made this {self._noun}: make it anew in this one")

    def taken(self, action: str) -> AbstractContextManager[object]:
        """Returns what `with` waits for, and holds, as this call's turn.

        Raises:
            FileRefusedError: another process made the object, or this thread has a turn already.
        """
        # First the process: a fork copies the lock as another thread held it.
        self.check_process(action)
        if self._has_turn():
            raise FileRefusedError(action, f"this thread is inside another call of this {self._noun}")
        return self._lock

    def _has_turn(self) -> bool:
        # A condition refuses who does not hold its lock; to notify nobody does nothing else.
        try:
            self._turn.notify(0)
        except RuntimeError:
            return False
        return True
