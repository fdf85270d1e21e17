"""What arrays a model is made of: their names, shapes and dtypes, with one digest that all parties compare.

Rules of this file:

* A schema holds metadata only, never values.
* A mapping is sorted by key, so that clients whose frameworks list layers in different orders agree.
* Byte order is not part of a schema: values are the same numbers in either.
"""

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from fl.arrays.bfloat16 import is_bfloat16
from fl.checks import plain
from fl.errors import SchemaMismatchError
from secagg import InvalidParameterError

__all__ = ["ArraySchema", "ArraySpec", "Arrays", "NamedArrays"]

Arrays: TypeAlias = Sequence[npt.NDArray[Any]] | Mapping[str, npt.NDArray[Any]]
"""A model's arrays as hosts hold them: a list (or tuple), or a dict by name."""

NamedArrays: TypeAlias = list[npt.NDArray[Any]] | dict[str, npt.NDArray[Any]]
"""What the library returns for `Arrays`: a list or a dict."""

_DIGEST_LABEL: Final = b"fl array schema 1"

_MAX_DIMENSIONS: Final = 32
"""numpy 1.x builds no array of more dimensions, so no schema may promise one."""

_MAX_SIZE: Final = 2**63 - 1
"""The largest element count that numpy's index type can address."""

_DTYPES: Final = frozenset(
    {np.dtype(f"float{bits}") for bits in (16, 32, 64)}
    | {np.dtype(f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
)
_ALLOWED_DTYPES: Final = "float16, float32, float64, bfloat16 of ml_dtypes, or an integer of 8, 16, 32 or 64 bits"


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One array's place, shape and dtype.

    Args:
        name: the key in a mapping, or the index in a list.
        shape: the lengths of the axes; empty for a 0-d scalar.
        dtype: a float or integer dtype; stored in native byte order.

    Raises:
        InvalidParameterError: a field is of the wrong type or out of range.
        SchemaMismatchError: the dtype is not a real number's.
    """

    name: str | int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", plain(self.name))
        if type(self.name) not in {str, int}:
            raise InvalidParameterError("name", type(self.name).__name__, "a str (mapping key) or an int (list index)")
        if type(self.shape) is not tuple or any(type(length) is not int or length < 0 for length in self.shape):
            raise InvalidParameterError("shape", self.shape, "a tuple of non-negative ints")
        if len(self.shape) > _MAX_DIMENSIONS or math.prod(self.shape) > _MAX_SIZE:
            raise InvalidParameterError("shape", self.shape, f"at most {_MAX_DIMENSIONS} axes and 2**63 - 1 elements")
        object.__setattr__(self, "dtype", _native(self.dtype, self.name))

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether the entries are floats, bfloat16 among them; else they are integers."""
        return self.dtype.kind not in "iu"


@dataclass(frozen=True, slots=True)
class ArraySchema:
    """The arrays of a model, in the order in which they are flattened.

    Args:
        kind: "list" or "dict", the container that `restore` builds.
        entries: the arrays; of a list named 0, 1, … and of a dict sorted by name.

    Raises:
        InvalidParameterError: the entries do not fit the kind.

    Guarantees:
        Equal schemas have equal digests, and by SHA-256's collision resistance only those do.
    """

    kind: Literal["list", "dict"]
    entries: tuple[ArraySpec, ...]

    def __post_init__(self) -> None:
        if type(self.entries) is not tuple or not all(type(entry) is ArraySpec for entry in self.entries):
            raise InvalidParameterError("entries", type(self.entries).__name__, "a tuple of ArraySpec")
        names = [entry.name for entry in self.entries]
        object.__setattr__(self, "kind", plain(self.kind))
        if type(self.kind) is str and self.kind == "list":
            if any(type(name) is not int for name in names) or names != list(range(len(names))):
                raise InvalidParameterError("entries", names, "named 0, 1, 2, … in a list")
        elif type(self.kind) is str and self.kind == "dict":
            if any(type(name) is not str for name in names) or names != sorted(set(cast("list[str]", names))):
                raise InvalidParameterError("entries", names, "named by distinct str keys in sorted order in a dict")
            for name in cast("list[str]", names):
                _utf8(name)
        else:
            raise InvalidParameterError("kind", self.kind, "'list' or 'dict'")
        if self.size > _MAX_SIZE:
            raise InvalidParameterError("entries", f"{self.size} elements", "at most 2**63 - 1 elements in all")

    @classmethod
    def of(cls, arrays: Arrays) -> "ArraySchema":
        """Returns the schema of a list, tuple or dict of arrays.

        Args:
            arrays: numpy arrays or numpy scalars of float16/32/64 or (u)int8/16/32/64, of any shape and byte order.

        Raises:
            SchemaMismatchError: the container or an array in it is of a kind that cannot be summed.
        """
        return cls(*_describe(arrays))

    @property
    def size(self) -> int:
        """The number of elements in all arrays together: the length of the flat vector."""
        return sum(entry.size for entry in self.entries)

    @property
    def digest(self) -> bytes:
        """32 bytes: SHA-256 over a length-prefixed encoding of every field."""
        hasher = hashlib.sha256()
        for part in (_DIGEST_LABEL, self.kind.encode(), struct.pack("<Q", len(self.entries))):
            hasher.update(struct.pack("<Q", len(part)) + part)
        for entry in self.entries:
            shape = struct.pack(f"<{len(entry.shape)}Q", *entry.shape)
            for part in (_utf8(str(entry.name)), entry.dtype.name.encode(), shape):
                hasher.update(struct.pack("<Q", len(part)) + part)
        return hasher.digest()

    def check(self, arrays: Arrays) -> tuple[npt.NDArray[Any], ...]:
        """Returns the arrays in the schema's order, after checking that they fit it exactly.

        Raises:
            SchemaMismatchError: the container, a name, a shape or a dtype differs.
        """
        offered_kind, offered_entries = _describe(arrays)
        if offered_kind != self.kind:
            raise SchemaMismatchError("container", f"a {offered_kind} of arrays", f"a {self.kind} of arrays")
        offered = {entry.name: entry for entry in offered_entries}
        expected = {entry.name: entry for entry in self.entries}
        if offered.keys() != expected.keys():
            missing = sorted(str(name) for name in expected.keys() - offered.keys())
            surplus = sorted(str(name) for name in offered.keys() - expected.keys())
            raise SchemaMismatchError(
                "arrays", f"{len(offered)} arrays (missing {missing}, unknown {surplus})", f"{len(expected)} arrays"
            )
        for name, entry in expected.items():
            if offered[name].shape != entry.shape:
                raise SchemaMismatchError(f"shape of array {name!r}", str(offered[name].shape), str(entry.shape))
            if offered[name].dtype != entry.dtype:
                raise SchemaMismatchError(f"dtype of array {name!r}", str(offered[name].dtype), str(entry.dtype))
        return tuple(np.asarray(array) for _, array in _items(arrays))

    def rebuild(self, arrays: Sequence[npt.NDArray[Any]]) -> NamedArrays:
        """Returns arrays that stand in the schema's order as the container that the schema describes."""
        if self.kind == "list":
            return list(arrays)
        return {str(entry.name): array for entry, array in zip(self.entries, arrays, strict=True)}


def _items(arrays: Arrays) -> list[tuple[str | int, Any]]:
    if isinstance(arrays, Mapping):
        named = [(plain(name), array) for name, array in arrays.items()]
        for name, _ in named:
            if type(name) is not str:
                raise SchemaMismatchError("container", f"a key of type {type(name).__name__}", "str keys")
        return sorted(named)
    if isinstance(arrays, (list, tuple)):
        return list(enumerate(arrays))
    raise SchemaMismatchError("container", f"a {type(arrays).__name__}", "a list, tuple or dict of numpy arrays")


def _describe(arrays: Arrays) -> tuple[Literal["list", "dict"], tuple[ArraySpec, ...]]:
    entries = []
    for name, array in _items(arrays):
        # A masked array's mask would be lost without a word; anything but numpy's has no certain dtype.
        if not isinstance(array, (np.ndarray, np.generic)) or isinstance(array, np.ma.MaskedArray):
            raise SchemaMismatchError(
                f"array {name!r}", f"a {type(array).__name__}", "a numpy array (convert it with numpy.asarray)"
            )
        entries.append(ArraySpec(name, tuple(int(length) for length in array.shape), array.dtype))
    return ("dict" if isinstance(arrays, Mapping) else "list"), tuple(entries)


def _native(dtype: np.dtype[Any], name: str | int) -> np.dtype[Any]:
    if not isinstance(dtype, np.dtype):
        raise InvalidParameterError("dtype", type(dtype).__name__, "a numpy dtype, such as numpy.dtype('float32')")
    if is_bfloat16(dtype):
        return dtype
    if dtype.kind not in "fiu":
        # Some of numpy's newer types, such as strings of any length, have no byte order to ask for.
        raise SchemaMismatchError(f"dtype of array {name!r}", str(dtype), _ALLOWED_DTYPES)
    native = dtype.newbyteorder("=")
    # Not by kind and size alone: a timedelta is no integer, and a long double is no float64 though it may be as long.
    if native not in _DTYPES or native.type is np.longdouble:
        raise SchemaMismatchError(f"dtype of array {name!r}", str(dtype), _ALLOWED_DTYPES)
    return native


def _utf8(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError as error:
        raise SchemaMismatchError("container", "a key that is no valid Unicode text", "valid Unicode keys") from error
