"""A state makes one transition, even for two threads, and there is never a second one of it."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from secagg.errors import InvalidStateError, StateSpentError
from secagg.protocol.single_use import Secrets, SingleUse


class Key(Secrets, frozen=True):
    value: bytes


class Holding(SingleUse[Key]):
    __slots__ = ()


def test_what_is_held_is_looked_at_often_and_taken_once():
    key = Key(b"secret")
    state = Holding(key)
    assert state._peek() is state._peek() is key
    assert not state.spent
    assert state._spend() is key
    assert state.spent
    for use in (state._peek, state._spend):
        with pytest.raises(StateSpentError, match="Holding"):
            use()


def test_of_two_threads_one_takes_it():
    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            state = Holding(Key(b"secret"))

            def take(state: Holding = state) -> bool:
                try:
                    state._spend()
                except StateSpentError:
                    return False
                return True

            assert sum(future.result() for future in [pool.submit(take) for _ in range(8)]) == 1


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_is_not_copied(copying):
    with pytest.raises(InvalidStateError, match="cannot be copied or pickled"):
        copying(Holding(Key(b"secret")))


def test_nothing_secret_is_shown():
    state = Holding(Key(b"secret"))
    assert repr(state._peek()) == "<Key>"
    assert repr(state) == "<Holding>"
    state._spend()
    assert repr(state) == "<Holding, spent>"
