"""What the releases of a ledger spend together, kept up to date as it is written."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from dp.accounting.accountant import Bound
from dp.ledger.curves import ORDERS
from dp.ledger.epsilon import EpsilonTable, epsilons_at_orders
from dp.ledger.events import Released

__all__ = ["Spending"]

_Array = npt.NDArray[np.float64]


class Spending:
    """What the promises of many records spend together; nothing at first.

    Args:
        table: of the ledger.
    """

    def __init__(self, table: EpsilonTable) -> None:
        self._table = table
        self._counts: Counter[Released] = Counter()
        self._samples = 0
        self._curve: _Array = np.zeros(len(ORDERS))

    def add(self, released: Released) -> None:
        """Adds what one record stands for."""
        self._counts[released] += 1
        self._samples += released.samples
        self._curve = self._curve + self._table.curves((released,))[0]

    def copy(self) -> "Spending":
        """Returns another one with the same, which goes its own way."""
        other = Spending(self._table)
        other._counts, other._samples, other._curve = Counter(self._counts), self._samples, self._curve
        return other

    def is_within(self, budget: float) -> bool:
        """Returns whether epsilon is at most a budget; quick where it is far below."""
        samples = np.array([float(self._samples)])
        quick = epsilons_at_orders(self._curve[None], self._table.delta, samples=samples)[0]
        return bool(quick <= budget) or self.epsilon().value <= budget

    def epsilon(self) -> Bound:
        """Returns the epsilon of all of them together; 0 if there are none."""
        return self._table.total(self._counts.elements())
