"""A zoo of odd values for the arguments of public names, and what comes of them.

One argument at a time is replaced by each value of the zoo, in every constructor and entry point of a package.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np

import secagg

Calls = Mapping[str, tuple[Callable[..., object], Mapping[str, object]]]


def released() -> memoryview:
    view = memoryview(b"released")
    view.release()
    return view


class Unshowable:
    """Cannot even be shown in an error's text."""

    def __repr__(self) -> str:
        raise RuntimeError("not shown")


class Refusing:
    """Looks like a number, a text and a sequence, and refuses to be any."""

    def _refuse(self, *_: object) -> NoReturn:
        raise RuntimeError("refused")

    __index__ = __int__ = __float__ = __bool__ = __len__ = __iter__ = __getitem__ = __array__ = _refuse
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse


class Text(str):
    __slots__ = ()


class Number(int):
    __slots__ = ()


def of_itself() -> list[object]:
    own: list[object] = []
    own.append(own)
    return own


ZOO: dict[str, Callable[[], object]] = {
    "None": lambda: None,
    "True": lambda: True,
    "-1": lambda: -1,
    "0": lambda: 0,
    "2**64": lambda: 2**64,
    "10**400": lambda: 10**400,
    "10**5000": lambda: 10**5000,
    "-10**5000": lambda: -(10**5000),
    "an int's kind": lambda: Number(3),
    "0.5": lambda: 0.5,
    "least float": lambda: 5e-324,
    "most float": lambda: 1.7976931348623157e308,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "complex": lambda: 1j,
    "fraction": lambda: Fraction(1, 3),
    "huge fraction": lambda: Fraction(10**5000, 3),
    "tiny fraction": lambda: Fraction(1, 10**5000),
    "empty text": lambda: "",
    "text": lambda: "text",
    "a text's kind": lambda: Text("text"),
    "zero character": lambda: "a\0b",
    "surrogate": lambda: "\ud800",
    "long text": lambda: "x" * 10**5,
    "empty bytes": lambda: b"",
    "bytes": lambda: b"some bytes",
    "32 bytes": lambda: bytes(32),
    "bytearray": lambda: bytearray(32),
    "released memoryview": released,
    "empty list": list,
    "list": lambda: [1, "two", 3.0],
    "list of itself": of_itself,
    "dict": dict,
    "strange dict": lambda: {"a": 10**5000, None: b"x"},
    "set": lambda: {1, "a"},
    "object": object,
    "unshowable": Unshowable,
    "refusing": Refusing,
    "class": lambda: secagg.Suite,
    "function": lambda: lambda *_: None,
    "generator": lambda: (each for each in (1, 2)),
    "np.int64": lambda: np.int64(-7),
    "np.float32": lambda: np.float32("nan"),
    "np.bool_": lambda: np.bool_(True),
    "np.str_": lambda: np.str_("x"),
    "np array": lambda: np.arange(3),
    "np empty": lambda: np.array([]),
    "np 2d": lambda: np.ones((2, 2)),
    "np texts": lambda: np.array(["a", "b"]),
    "np objects": lambda: np.array([None, 10**400], dtype=object),
    "np structured": lambda: np.zeros(2, dtype=[("a", "f8"), ("b", "i4")]),
    "np masked": lambda: np.ma.array([1.0, 2.0], mask=[True, False]),
    "NaT": lambda: np.datetime64("NaT"),
}


def fault_of(calls: Calls, name: str, argument: str, odd: object, *, own: tuple[type[Exception], ...]) -> str:
    """Returns what comes of one odd argument: nothing, or the fault that the tests look for."""
    function, given = calls[name]
    try:
        try:
            function(**{**given, argument: odd})
        except own as error:
            return "" if isinstance(error, OSError) or len(str(error)) < 3000 else "a text that is too long"
    except Exception as error:  # noqa: BLE001  # whatever else comes is the finding
        return f"{type(error).__name__}: {str(error)[:80]}"
    return ""


def faults_of(calls: Calls, name: str, *, own: tuple[type[Exception], ...]) -> dict[tuple[Any, ...], str]:
    """Returns all faults of one call, by argument and odd value; none is what must be."""
    return {
        (argument, label): fault
        for argument in calls[name][1]
        for label, make in ZOO.items()
        if (fault := fault_of(calls, name, argument, make(), own=own))
    }
