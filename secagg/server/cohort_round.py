"""What the rounds after the roster have in common."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from secagg.errors import (
    ClientId,
    TooFewClientsError,
)
from secagg.server.collecting import Expected, Facts, Fault, Round
from secagg.server.facts import Enrolled, members

Counts: TypeAlias = npt.NDArray[np.intp]
Present: TypeAlias = npt.NDArray[np.bool_]


class CohortRound(Round[Facts, Expected]):
    """A round after the roster is fixed.

    Args:
        facts: what was settled when the round began.
        enrolled: the roster.
        awaited: who may answer, a bitmap over the roster; None is everyone in it.
        faults: first faults by client, shared by all rounds of a session.
    """

    def __init__(self, facts: Facts, enrolled: Enrolled, awaited: bytes | None, faults: dict[ClientId, Fault]) -> None:
        self._cohort = enrolled.cohort()
        self._index = self._cohort.roster.index
        size = len(self._index)
        present = np.ones(size, np.bool_) if awaited is None else members(awaited, size)
        super().__init__(facts, enrolled.invitees.params, frozenset(self._clients(present)), faults)
        self._arrived = np.zeros(size, np.bool_)
        self._neighbours = self._cohort.graph.table
        """Everyone's neighbours by roster index, shape (size, k)."""
        self._places = self._cohort.graph.places
        """At which of a neighbour's k places one stands oneself, shape (size, k)."""

    @property
    def roster_hash(self) -> bytes:
        """The hash of who advertised which keys."""
        return self._cohort.roster_hash

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
