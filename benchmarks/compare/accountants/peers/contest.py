"""What every accountant in the comparison shares: the settings, the timed tasks and the report as one JSON object.

It runs in every peer's own environment, so it needs nothing but the standard library.
"""

import argparse
import json
import math
import os
import platform
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any


@dataclass(frozen=True)
class Setting:
    """`count` releases of a Gaussian with noise multiplier `sigma`, each on a Poisson sample of probability `q`."""

    q: float
    sigma: float
    count: int
    delta: float

    def __str__(self) -> str:
        return f"q = {self.q:g}, sigma = {self.sigma:g}, T = {self.count:g}, delta = {self.delta:g}"


HEADLINE = Setting(1e-4, 2.0, 10**6, 1e-7)
"""Where the orders of every default grid end too early."""

USUAL = Setting(0.01, 1.0, 1000, 1e-5)

FULL = [
    Setting(*values)
    for values in product(
        (1e-8, 1e-6, 1e-4, 1e-3, 0.01, 0.1, 0.5, 1.0),
        (0.3, 0.7, 1.0, 2.0, 5.0, 50.0),
        (1, 100, 10**4, 10**6),
        (1e-5, 1e-7, 1e-10),
    )
]
QUICK = [
    Setting(*values)
    for values in product((1e-8, 1e-4, 0.01, 0.5, 1.0), (0.3, 1.0, 2.0, 50.0), (1, 1000, 10**6), (1e-5, 1e-7))
]
MATRICES = {"full": FULL, "quick": QUICK}

TIMED = (USUAL, HEADLINE, Setting(0.1, 5.0, 100, 1e-6), Setting(1e-6, 10.0, 10**6, 1e-9))
"""The last has its best order at 2762, beyond all grids."""

TIMED_CALLS = 10
"""Each with a slightly different sigma, so that nobody can remember an answer."""

ROUNDS = 10**4
ROUNDS_OF_PEERS = 100
ROUNDS_DELTA = 1e-6

TARGET_EPSILON = 2.0
"""What sigma is calibrated for, with the rest as in `USUAL`."""


@dataclass(frozen=True)
class Value:
    """What an accountant says of one setting.

    Args:
        epsilon: None if it says nothing.
        order: at which it says it, if it says it by a Renyi order.
        note: how it got there, or why there is nothing.
    """

    epsilon: float | None
    order: float | None = None
    note: str = ""


class Accountant(ABC):
    """One contestant."""

    library: str
    version: str
    rounds = ROUNDS_OF_PEERS
    """How many rounds of distinct noise it is timed on; the time of more is extrapolated."""

    @abstractmethod
    def value(self, setting: Setting) -> Value:
        """Returns epsilon, and where it comes from; this is what is timed."""

    @abstractmethod
    def rdp(self, setting: Setting, order: float) -> float:
        """Returns the divergence of all releases together that `value` worked with."""

    @abstractmethod
    def epsilon_of_rounds(self, rounds: list[tuple[float, float]], delta: float) -> float:
        """Returns epsilon of rounds that differ in (q, sigma)."""

    @abstractmethod
    def sigma_for(self, epsilon: float, setting: Setting) -> float:
        """Returns the noise multiplier for a target, with all defaults of the library."""


def rounds_of(number: int, seed: int) -> list[tuple[float, float]]:
    """Returns (q, sigma) of rounds, no two alike."""
    generator = random.Random(seed)
    return [(generator.uniform(0.001, 0.05), generator.uniform(0.5, 3.0)) for _ in range(number)]


def near(setting: Setting, step: int) -> Setting:
    return Setting(setting.q, setting.sigma * (1 + 1e-4 * step), setting.count, setting.delta)


def values(accountant: Accountant, settings: list[Setting]) -> Iterator[dict[str, Any]]:
    for setting in settings:
        rdp = None
        try:
            value = accountant.value(setting)
            if value.order is not None:
                rdp = accountant.rdp(setting, value.order)
        except Exception as problem:  # noqa: BLE001 - whatever a library raises is its answer in this setting
            value = Value(None, note=f"{type(problem).__name__}: {problem}")
        yield {**asdict(setting), **asdict(value), "rdp": rdp}


def times(accountant: Accountant, turn: int) -> dict[str, float]:
    """Returns CPU seconds: of one epsilon (the fastest of several), of many rounds and of a calibration."""
    taken = {}
    for setting in TIMED:
        # The first call is nobody's: imports and tables.
        accountant.value(near(setting, -1 - turn))
        calls = (near(setting, turn * TIMED_CALLS + step) for step in range(TIMED_CALLS))
        taken[f"epsilon: {setting}"] = min(cpu_of(lambda s=s: accountant.value(s)) for s in calls)
    rounds = rounds_of(accountant.rounds, seed=turn)
    taken["rounds"] = cpu_of(lambda: accountant.epsilon_of_rounds(rounds, ROUNDS_DELTA)) * ROUNDS / accountant.rounds
    target = TARGET_EPSILON * (1 + 1e-4 * turn)
    taken["sigma"] = cpu_of(lambda: accountant.sigma_for(target, USUAL))
    return taken


def cpu_of(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main(accountant: Accountant, doc: str | None) -> None:
    """Does one task, as the command line says, and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--matrix", choices=MATRICES, help="epsilon of every setting")
    parser.add_argument("--turn", type=int, help="the timed tasks, with numbers of their own for each turn")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    report: dict[str, Any] = {"library": accountant.library, "version": accountant.version}
    report["python"] = platform.python_version()
    if options.matrix:
        report["values"] = list(values(accountant, MATRICES[options.matrix]))
    if options.turn is not None:
        report["rounds"] = accountant.rounds
        report["seconds"] = times(accountant, options.turn)
        sigma = accountant.sigma_for(TARGET_EPSILON, USUAL)
        report["sigma"] = sigma
        again = accountant.value(Setting(USUAL.q, sigma, USUAL.count, USUAL.delta)).epsilon
        report["epsilon_at_sigma"] = again
        # Nobody's time counts whose result does not hold by its own account.
        assert again is not None
        assert again <= TARGET_EPSILON
        assert math.isfinite(sigma)
    print(json.dumps(report))
