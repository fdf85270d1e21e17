"""secagg.frozen: a dict that stays as it was checked."""

import copy
import pickle
from collections.abc import Callable

import msgspec
import pytest

from secagg.frozen import FrozenDict

CHANGES: list[Callable[[dict], object]] = [
    lambda it: it.__setitem__(1, 2),
    lambda it: it.__delitem__(1),
    lambda it: it.clear(),
    lambda it: it.pop(1),
    lambda it: it.popitem(),
    lambda it: it.setdefault(2, 3),
    lambda it: it.update({1: 5}),
    lambda it: it.__ior__({1: 5}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_changes_it(change: Callable[[dict], object]):
    frozen = FrozenDict({1: b"a"})
    with pytest.raises(TypeError, match="make a new one"):
        change(frozen)
    assert frozen == {1: b"a"}


def test_it_is_a_dict_to_codecs_and_survives_copies():
    frozen = FrozenDict({1: b"a"})
    assert msgspec.msgpack.encode(frozen) == msgspec.msgpack.encode({1: b"a"})
    for other in (copy.copy(frozen), copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
        assert (type(other), other) == (FrozenDict, frozen)
