"""Who may call a state machine: one caller at a time, in the process that made it.

A child made by `fork` has a copy of every state. Two processes that both go on could answer twice: reveal both shares
of one peer, or sign two survivor sets. So the copy refuses, and the original goes on.
"""

import os
import threading
from contextlib import AbstractContextManager

from secagg.errors import ForeignProcessError, ReentrantCallError


class Turns:
    """Guards the calls of one object. Use it as `with turns.taken(): ...`.

    Args:
        what: the object's name in errors, such as "the session".
    """

    __slots__ = ("_lock", "_owned", "_process", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._process = os.getpid()
        # Python's own lock, entered by `with` itself: a signal cannot come between its acquisition and its release.
        self._lock = threading.RLock()
        self._owned = threading.Condition(self._lock)

    def taken(self) -> AbstractContextManager[object]:
        """Returns the lock to enter.

        Raises:
            ForeignProcessError: another process made the object.
            ReentrantCallError: this thread is within a call of the object, which would wait for itself.
        """
        self.check_process()
        try:
            # Nobody waits, so nobody is woken. It is how the standard library says who holds a lock.
            self._owned.notify()
        except RuntimeError:
            return self._lock
        raise ReentrantCallError(self._what)

    def check_process(self) -> None:
        """Refuses a call from a process that did not make the object.

        Raises:
            ForeignProcessError: another process made it.
        """
        here = os.getpid()
        if here != self._process:
            raise ForeignProcessError(self._what, self._process, here)
