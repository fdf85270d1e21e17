"""Every exception of the privacy package, with the facts as fields.

All of them derive from `DPError`. Fields are passed to `Exception.args`, so every error survives pickling between
processes of an executor, and no text ever holds a vector or a noise sample.
"""

from pathlib import Path
from reprlib import Repr
from typing import Final

__all__ = [
    "BudgetExceededError",
    "ComputationTooLargeError",
    "DPError",
    "FileLockedError",
    "FileRefusedError",
    "InvalidParameterError",
    "MissingExtraError",
    "UnlikeEventsError",
    "UnsupportedEventError",
    "shown",
]


class _Shown(Repr):
    """What an error says of a value: bounded, and never an error of its own, whatever the value is."""

    def repr_int(self, value: int, level: int) -> str:
        # Python refuses to write out an int of more than some thousand digits.
        return repr(value) if value.bit_length() <= _MOST_BITS else f"<an int of {value.bit_length()} bits>"


_MOST_BITS: Final = 512

_shown: Final = _Shown()
_shown.maxstring = _shown.maxother = 200
_shown.maxlist = _shown.maxtuple = _shown.maxset = _shown.maxfrozenset = _shown.maxdict = 16


def shown(value: object) -> str:
    """Returns what an error says of a value: a short text, whatever the value is."""
    return _shown.repr(value)


class DPError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidParameterError(DPError, ValueError):
    """A parameter is out of its range. Fields: `parameter`, `offered`, `allowed`."""

    def __init__(self, parameter: str, offered: object, allowed: str) -> None:
        super().__init__(parameter, offered, allowed)
        self.parameter = parameter
        self.offered = offered
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.parameter} = {shown(self.offered)} is refused: it must be {self.allowed}"


class MissingExtraError(DPError, ImportError):
    """An optional library is not installed. Fields: `extra`, `module`."""

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(extra, module)
        self.extra = extra
        self.module = module

    def __str__(self) -> str:
        return f"{self.module} is not installed: pip install 'secagg[{self.extra}]'"


class UnsupportedEventError(DPError):
    """No valid bound is known here for an event; a guess would be no guarantee. Fields: `event`, `reason`."""

    def __init__(self, event: object, reason: str = "no bound is known for it") -> None:
        super().__init__(event, reason)
        self.event = event
        self.reason = reason

    def __str__(self) -> str:
        return f"{shown(self.event)} is refused: {self.reason}"


class UnlikeEventsError(DPError):
    """Guarantees that speak of different neighbours do not add up. Fields: `aspect`, `expected`, `offered`.

    `aspect` is "relation" or "unit".
    """

    def __init__(self, aspect: str, expected: object, offered: object) -> None:
        super().__init__(aspect, expected, offered)
        self.aspect = aspect
        self.expected = expected
        self.offered = offered

    def __str__(self) -> str:
        return f"{self.aspect} {self.offered} does not compose with {self.aspect} {self.expected}"


class BudgetExceededError(DPError):
    """A release would spend more than the budget, and was not made. Fields: `spent`, `budget`.

    `spent` is what would be spent with the release.
    """

    def __init__(self, spent: float, budget: float) -> None:
        super().__init__(spent, budget)
        self.spent = spent
        self.budget = budget

    def __str__(self) -> str:
        return f"the release would bring epsilon to {self.spent:.6g}, and the budget is {self.budget:.6g}"


class ComputationTooLargeError(DPError):
    """A figure would take too much memory or time, and was not begun.

    Fields: `reason`, `predicted`, `allowed`, `instead`. `reason` says what is counted, `predicted` how much of it would
    be needed (infinite where no float can say), `allowed` how much is begun, and `instead` what to do.
    """

    def __init__(self, reason: str, predicted: float, allowed: float, instead: str) -> None:
        super().__init__(reason, predicted, allowed, instead)
        self.reason = reason
        self.predicted = predicted
        self.allowed = allowed
        self.instead = instead

    def __str__(self) -> str:
        return f"{self.reason}: {self.predicted:g} are predicted, {self.allowed:g} are allowed; {self.instead}"


class FileLockedError(DPError):
    """Another process has a file open for writing, or nobody can lock it here. Fields: `path`, `reason`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class FileRefusedError(DPError):
    """A file cannot be used, or not this way; nothing was written. Fields: `action`, `reason`."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(action, reason)
        self.action = action
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.action} is refused: {self.reason}"
