"""Timing calls on a machine that others use too."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_FEWEST_TIMINGS: Final = 3
# Some systems count CPU time in ticks of a hundredth of a second, which is longer than a timing.
_CPU_CLOCK: Final = time.process_time if time.get_clock_info("process_time").resolution < 1e-4 else time.perf_counter


@dataclass(slots=True)
class Timing:
    """The shortest times of one call, each on its own."""

    cpu_s: float = float("inf")
    wall_s: float = float("inf")


def best_in_turns(figure_s: float, *calls: Callable[[], object]) -> list[Timing]:
    """Returns the shortest times of each call, after one that is not counted.

    Args:
        figure_s: how long to go on for each; at least three timings are made.
        calls: what to time.
    """
    best = [Timing() for _ in calls]
    until = time.perf_counter() + figure_s * len(calls)
    turns = 0
    while turns <= _FEWEST_TIMINGS or time.perf_counter() < until:
        for timing, call in zip(best, calls, strict=True):
            wall_s, cpu_s = time.perf_counter(), _CPU_CLOCK()
            call()
            cpu_s, wall_s = _CPU_CLOCK() - cpu_s, time.perf_counter() - wall_s
            if turns:
                timing.cpu_s, timing.wall_s = min(timing.cpu_s, cpu_s), min(timing.wall_s, wall_s)
        turns += 1
    return best


def many(times: int, call: Callable[[], object]) -> Callable[[], None]:
    """Returns a call that makes another one several times, where one alone is too short to time."""

    def repeated() -> None:
        for _ in range(times):
            call()

    return repeated
