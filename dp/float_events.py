"""Floating-point events that a formula has accounted for, whatever the host makes of them.

A host may have set `numpy.seterr(all="raise")`, to find its own NaNs. A result that underflows to zero within a bound
that allows for it is no error then.

`numpy.errstate` is not used as a decorator: before numpy 2 it keeps the host's settings in itself, where two threads,
or a call within a call, overwrite them. Here every call has a state of its own.
"""

from collections.abc import Callable
from functools import wraps
from typing import Literal, ParamSpec, TypeVar

import numpy as np

__all__ = ["ignoring"]

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def ignoring(
    *events: Literal["divide", "invalid", "over", "under"],
) -> Callable[[Callable[_Parameters, _Result]], Callable[_Parameters, _Result]]:
    """Returns a decorator: within the function these events are ignored, and after it the host's settings hold."""
    settings: dict[str, Literal["ignore"]] = dict.fromkeys(events, "ignore")

    def decorate(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        @wraps(function)
        def call(*arguments: _Parameters.args, **named: _Parameters.kwargs) -> _Result:
            with np.errstate(
                divide=settings.get("divide"),
                invalid=settings.get("invalid"),
                over=settings.get("over"),
                under=settings.get("under"),
            ):
                return function(*arguments, **named)

        return call

    return decorate
