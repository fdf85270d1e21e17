"""How long a question about a ledger may take: a file can be made to be slow."""

import math
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from dp.checks import check_real
from dp.ledger.errors import AuditTimeError

__all__ = ["TimeLimit"]

Item = TypeVar("Item")


class TimeLimit:
    """Refuses to go on after a time. It is asked between steps, each of which takes seconds at most.

    Args:
        seconds: above 0; infinity for no limit.

    Raises:
        InvalidParameterError: the seconds are no such number.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        unlimited = isinstance(seconds, float) and seconds == math.inf
        self._seconds = math.inf if unlimited else check_real("max_seconds", seconds, low=0, open_low=True)
        self._begin = time.monotonic()

    def check(self, step: str) -> None:
        """Returns if there is time left.

        Args:
            step: what comes next, for the error.

        Raises:
            AuditTimeError: there is none.
        """
        if time.monotonic() - self._begin > self._seconds:
            raise AuditTimeError(step, self._seconds)

    def watch(self, items: Iterable[Item], step: str) -> Iterator[Item]:
        """Yields the items, as long as there is time left.

        Raises:
            AuditTimeError: there is none.
        """
        for item in items:
            self.check(step)
            yield item
