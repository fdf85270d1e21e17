"""secagg.protocol.turns: one thread at a time, in the process that made the object; tests/reported forks sessions."""

import os
import threading

import pytest

from secagg.errors import ForeignProcessError
from secagg.protocol.turns import Turns


def test_threads_take_turns():
    turns, inside, most = Turns("the thing"), [], []

    def work() -> None:
        for _ in range(50):
            with turns.taken():
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 200
    assert set(most) == {1}


def test_a_call_within_a_call_does_not_wait_for_itself():
    turns = Turns("the thing")
    with turns.taken(), turns.taken():
        pass


def test_another_process_is_told_whose_it_is(monkeypatch: pytest.MonkeyPatch):
    turns, here = Turns("the thing"), os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)
    with pytest.raises(ForeignProcessError, match=f"the thing belongs to process {here}") as refused:
        turns.taken()
    assert (refused.value.state, refused.value.made_in, refused.value.used_in) == ("the thing", here, here + 1)
