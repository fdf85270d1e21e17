"""dp.durable.turns: one call at a time, in the process that made the object."""

import os
import threading

import pytest

from dp.durable import Turns
from dp.errors import FileRefusedError


def test_threads_wait_for_each_other():
    turns, inside, most = Turns("thing"), [], []

    def work() -> None:
        for _ in range(50):
            with turns.taken("a call"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 200


def test_a_call_within_a_call_and_another_process_are_refused(monkeypatch: pytest.MonkeyPatch):
    turns = Turns("thing")
    with (
        turns.taken("a call"),
        pytest.raises(FileRefusedError, match="inside another call of this thing"),
        turns.taken("another"),
    ):
        pass
    with turns.taken("a call"):
        pass
    here = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)
    with pytest.raises(FileRefusedError, match="another process made this thing"), turns.taken("a call"):
        pass
