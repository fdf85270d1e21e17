"""`make_plan` takes a tenth of a second or more: tests make each plan once."""

import functools
from typing import Any

from fl.private import make_plan

__all__ = ["planned_once"]


def planned_once(**asked: Any) -> Any:
    """`make_plan`, once for each plan of all tests."""
    return _planned(_Asked(asked))


class _Asked:
    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked

    def __hash__(self) -> int:
        return hash(repr(self.asked))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and repr(self.asked) == repr(other.asked)


@functools.cache
def _planned(key: _Asked) -> Any:
    return make_plan(**key.asked)
