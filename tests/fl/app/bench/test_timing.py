"""Timings on a busy machine: the best of several counts."""

import time

from fl.app.bench.timing import best_in_turns, many


def test_the_best_of_several_timings_counts():
    waits = iter([0.0, 0.03, 0.01, 0.02, *[0.03] * 100])
    [timing] = best_in_turns(0.0, lambda: time.sleep(next(waits)))
    assert 0.01 <= timing.wall_s < 0.02
    assert timing.cpu_s < timing.wall_s


def test_calls_take_turns_and_the_first_turn_is_not_counted():
    made: list[str] = []
    best_in_turns(0.0, lambda: made.append("a"), lambda: made.append("b"))
    assert made == ["a", "b"] * 4


def test_a_short_call_is_made_several_times():
    made: list[int] = []
    many(5, lambda: made.append(1))()
    assert len(made) == 5
