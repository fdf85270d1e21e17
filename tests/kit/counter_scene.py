"""A server with its ledger, and one client with its counter."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from dp.ledger.records import NO_HEAD
from dp.ledger.round_counter import RoundCounter
from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import HEADER, KEY, a_round

SCOPE = HEADER.scope
WIDE = replace(HEADER, budget=Fraction(1000))


class CounterScene:
    """A server with its ledger, and a client with its counter."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger"
        self.file = folder / "counter"
        self.ledger = Ledger.create(self.path, WIDE, KEY)
        self.counter = RoundCounter(self.file, SCOPE, rounds=9)

    def news(self) -> tuple[bytes, ...]:
        return self.ledger.lines_since(self.counter.head or NO_HEAD)

    def whole_round(self, number: int) -> None:
        """A round as it should be."""
        assert self.counter.accept(number, self.news()) == self.ledger.head
        self.ledger.reserve(a_round(number))
        assert self.counter.witness(self.news(), context=a_round(number).context).round == number
        self.ledger.settle(number, 80)
