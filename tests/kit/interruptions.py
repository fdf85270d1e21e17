"""A stand-in for what a signal, an alarm or too little memory does: an exception at any line of the packages."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from dp.durable import locks

ROOT = Path(__file__).parents[2]
PACKAGES = tuple(str(ROOT / package) for package in ("secagg", "dp", "fl"))


class Interruption(BaseException):
    """Not an `Exception`, as KeyboardInterrupt is none."""


def within_a_finaliser(frame: FrameType | None) -> bool:
    """Whether the garbage collector called this: what is raised there reaches nobody."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def interrupted(call: Callable[[], Any], at_line: int) -> bool:
    """Calls, and raises `Interruption` before the n-th line of the packages that runs, counted from 1.

    Returns:
        Whether it was interrupted; False where fewer lines run. What the call raises itself is raised.
    """
    lines = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(PACKAGES) or within_a_finaliser(frame):
            return None
        if event == "line":
            lines += 1
            if lines == at_line:
                sys.settrace(None)
                raise Interruption
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Interruption:
        return True
    finally:
        sys.settrace(before)
        # An exception at the end of a `with`, where no signal comes, leaves its lock taken: here, the one that all
        # files of the process share. Another thread would wait for it for ever.
        while locks._guard._is_owned():  # type: ignore[attr-defined]
            locks._guard.release()
    return False
