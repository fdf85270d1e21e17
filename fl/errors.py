"""Errors of the federated-learning layer, with the facts as fields; none holds an array's content.

All are `LocalError`s: they are raised before anything is masked or sent.
"""

from reprlib import Repr
from typing import Final

from secagg import ClientId, InvalidInputError, LocalError

__all__ = [
    "ClientIdCollisionError",
    "GridTooCoarseError",
    "MissingExtraError",
    "ModulusTooSmallError",
    "NoMeanError",
    "OverflowError_",
    "PlanMismatchError",
    "RangeTooWideError",
    "SchemaMismatchError",
    "UndeclaredArraysError",
    "UnsafePlanError",
]

_MOST_MODULUS_BITS: Final = 64
_MOST_BITS: Final = 8
"""Of a `LowBit`."""


class _Shown(Repr):
    """What an error says of a value: bounded, and never an error of its own, whatever the value is."""

    def repr_int(self, value: int, level: int) -> str:
        # Python refuses to write out an int of more than some thousand digits.
        return repr(value) if value.bit_length() <= 512 else f"<an int of {value.bit_length()} bits>"


_shown: Final = _Shown()
_shown.maxstring = _shown.maxother = 500


class ClientIdCollisionError(LocalError, ValueError):
    """Two names of clients have one id, or one name comes twice. Fields: `client`, the id; `first`, `second`, names."""

    def __init__(self, client: ClientId, first: str, second: str) -> None:
        super().__init__(client, first, second)
        self.client = client
        self.first = first
        self.second = second

    def __str__(self) -> str:
        if self.first == self.second:
            return f"the client {self.first} comes twice"
        return f"the clients {self.first} and {self.second} have the same id, {self.client}: rename one of them"


class SchemaMismatchError(LocalError, ValueError):
    """Arrays or a vector do not fit the schema. Fields: `what`, `offered`, `expected`."""

    def __init__(self, what: str, offered: str, expected: str) -> None:
        super().__init__(what, offered, expected)
        self.what = what
        self.offered = offered
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.what}: offered {self.offered}, expected {self.expected}"


class UndeclaredArraysError(LocalError, ValueError):
    """Counters or running statistics would be clipped and averaged with the weights. Field: `names`, of the arrays."""

    def __init__(self, names: tuple[str | int, ...]) -> None:
        super().__init__(names)
        self.names = names

    def __str__(self) -> str:
        listed = ", ".join(map(str, self.names))
        return (
            f"integers or running statistics among the arrays: {listed}. Leave them out (fl.arrays.SharedPart, or"
            " left_out in [study]), give them clips of their own (clips), or name them in `averaged` if they shall be"
            " clipped and averaged with the weights"
        )


class ModulusTooSmallError(LocalError, OverflowError):
    """The clients' sum could wrap around the modulus. Fields: `clients`, `weight_cap`, `modulus_bits`, `needed`.

    `needed` is the smallest number of modulus bits that holds the sum. `OverflowError_` is this error's older name; it
    stays for one version.
    """

    def __init__(self, clients: int, weight_cap: int, modulus_bits: int, needed: int) -> None:
        super().__init__(clients, weight_cap, modulus_bits, needed)
        self.clients = clients
        self.weight_cap = weight_cap
        self.modulus_bits = modulus_bits
        self.needed = needed

    def __str__(self) -> str:
        return (
            f"the sum of {self.clients} clients (weights up to {self.weight_cap}) could wrap around "
            f"2**{self.modulus_bits}: use modulus_bits of at least {self.needed}, or fewer clients"
        )


class GridTooCoarseError(ModulusTooSmallError):
    """So few steps are left that rounding alone is usually larger than the clip. Fields: as its base, and `parameter`.

    `needed` is the least value of the codec's own parameter that is enough, which may be more than the codec takes:
    of `modulus_bits`, or of the `bits` of a `LowBit`.
    """

    def __init__(
        self, clients: int, weight_cap: int, modulus_bits: int, needed: int, parameter: str = "modulus_bits"
    ) -> None:
        super().__init__(clients, weight_cap, modulus_bits, needed)
        self.args = (clients, weight_cap, modulus_bits, needed, parameter)
        self.parameter = parameter

    def __str__(self) -> str:
        most = _MOST_BITS if self.parameter == "bits" else _MOST_MODULUS_BITS
        unheard = f", where {most} is the most," if self.needed > most else ""
        return (
            f"with weights up to {self.weight_cap}, a client of weight 1 has less than a step of the grid: the usual "
            f"error of a mean of {self.clients} of them, modulo 2**{self.modulus_bits}, exceeds the clip. Use "
            f"{self.parameter} of at least {self.needed}{unheard} or a smaller weight_cap"
        )


class RangeTooWideError(ModulusTooSmallError):
    """The exact sum of the clients' integers could wrap. Fields: as its base; `weight_cap` is the range's width."""

    def __str__(self) -> str:
        return (
            f"the sum of {self.clients} clients, each of 0 to {self.weight_cap} above the least, could wrap around "
            f"2**{self.modulus_bits}: use modulus_bits of at least {self.needed}, a narrower range or fewer clients"
        )


OverflowError_ = ModulusTooSmallError
"""The older name of `ModulusTooSmallError`; it stays for one version."""


class UnsafePlanError(LocalError, ValueError):
    """A combination that would not keep its promise. Fields: `what`, `offered`, `why`."""

    def __init__(self, what: str, offered: object, why: str) -> None:
        super().__init__(what, offered, why)
        self.what = what
        self.offered = offered
        self.why = why

    def __str__(self) -> str:
        return f"{self.what} = {_shown.repr(self.offered)} is refused: {self.why}"


class NoMeanError(InvalidInputError):
    """A released sum has no mean: its noisy denominator may as well be noise alone. Fields: `denominator`, `floor`.

    Both are public. The sum itself is released and counts.
    """

    def __init__(self, denominator: float, floor: float) -> None:
        super().__init__(
            "denominator", f"{denominator:g}, and its noise alone may be as much", f"a number above {floor:g}"
        )
        self.args = (denominator, floor)
        self.denominator = denominator
        self.floor = floor


class PlanMismatchError(LocalError, ValueError):
    """Something belongs to another plan, run or round. Fields: `what`, `offered`, `expected`."""

    def __init__(self, what: str, offered: object, expected: object) -> None:
        super().__init__(what, offered, expected)
        self.what = what
        self.offered = offered
        self.expected = expected

    def __str__(self) -> str:
        return f"another {self.what} than this plan's: {self.offered}, expected {self.expected}"


class MissingExtraError(LocalError, ImportError):
    """An optional package is not installed. Fields: `extra`, `package`."""

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(extra, package)
        self.extra = extra
        self.package = package

    def __str__(self) -> str:
        return f"the package {self.package!r} is not installed; run: pip install 'secagg[{self.extra}]'"
