"""A dict that cannot be changed: what was checked once stays what it is."""

from typing import Any, NoReturn, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class FrozenDict(dict[Key, Value]):
    """A dict, for codecs that know no other mapping, without the methods that change it."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("it was checked as it is, and cannot be changed: make a new one")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> "FrozenDict[Key, Value]":
        return self

    def __deepcopy__(self, memo: object) -> "FrozenDict[Key, Value]":
        return self

    def __reduce__(self) -> tuple[type, tuple[dict[Key, Value]]]:
        return type(self), (dict(self),)
