"""Who may call a state machine: one thread at a time, in the process that made it.

A child made by `fork` has a copy of every state. Two processes that both go on could answer twice: reveal both shares
of one peer, or sign two survivor sets. So the copy refuses, and the original goes on.
"""

import os
import threading
from contextlib import AbstractContextManager

from secagg.errors import ForeignProcessError


class Turns:
    """Guards the calls of one object. Use it as `with turns.taken(): ...`.

    A call from within a call of the same thread is let through: it would wait for itself.

    Args:
        what: the object's name in errors, such as "the session".
    """

    __slots__ = ("_lock", "_process", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._process = os.getpid()
        # Python's own lock, entered by `with` itself: a signal cannot come between its acquisition and its release.
        self._lock = threading.RLock()

    def taken(self) -> AbstractContextManager[object]:
        """Returns the lock to enter.

        Raises:
            ForeignProcessError: another process made the object.
        """
        here = os.getpid()
        if here != self._process:
            raise ForeignProcessError(self._what, self._process, here)
        return self._lock
