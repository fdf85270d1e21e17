"""Which arrays of a model are shared and which stay with the client, for personalisation and FedBN.

Only the shared part is encoded, masked and averaged. The private part never leaves the client: neither as a
value nor as a zero, for it has no coordinate in the vector.

Rules of this file:

* A filter is fixed by its result, the names of the shared arrays. However it was written down, client and server
  with the same names hold equal filters with equal digests.
* A pattern that matches nothing, a name that does not exist, and a part without arrays are errors. A filter with a
  typing error would otherwise share what its author believed to be private.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fl.arrays.schema import Arrays, ArraySchema, ArraySpec, NamedArrays
from fl.arrays.statistics import is_running_statistic
from fl.checks import plain
from fl.errors import SchemaMismatchError
from secagg import InvalidParameterError

__all__ = ["NORM_LAYERS", "SharedPart"]

NORM_LAYERS: Final = ("bn*", "*.bn*", "*_bn*", "*norm*", "*Norm*")
"""How normalisation layers are often called. A suggestion: pick those that your model has, for each must match."""

_DIGEST_LABEL: Final = b"fl shared part 1"


@dataclass(frozen=True, slots=True)
class SharedPart:
    """A filter: the arrays of one model that are aggregated; all others are private.

    Args:
        schema: the whole model's.
        shared: names (of a dict) or indices (of a list) of the shared arrays, in the schema's order. See
            `matching`, `all_but`, `where` and `fed_bn` for other ways to say it.

    Raises:
        InvalidParameterError: a name is unknown, repeated or out of order, or one of the two parts has no array.

    Security:
        The private part is protected by never being sent, as far as this filter goes. The shared part was trained
        together with it and may still tell something about it.
    """

    schema: ArraySchema
    shared: tuple[str | int, ...]

    def __post_init__(self) -> None:
        known = _names(self.schema)
        if type(self.shared) is not tuple:
            raise InvalidParameterError("shared", type(self.shared).__name__, "a tuple of names or indices")
        chosen = _chosen("shared", self.shared, known)
        if self.shared != tuple(name for name in known if name in chosen):
            raise InvalidParameterError("shared", self.shared, "in the order of the schema: see of_names")
        if not self.shared:
            raise InvalidParameterError("shared", (), "at least one array: there is nothing to aggregate otherwise")
        if len(self.shared) == len(known):
            raise InvalidParameterError(
                "shared", f"all {len(known)} arrays", "fewer: a filter that keeps nothing private is none"
            )

    @classmethod
    def of_names(cls, schema: ArraySchema, names: Iterable[str | int]) -> "SharedPart":
        """Returns the filter that shares the named arrays, given in any order.

        Raises:
            InvalidParameterError: a name is unknown or given twice, or a part would have no array.
        """
        known = _names(schema)
        chosen = _chosen("names", _listed("names", names), known)
        return cls(schema, tuple(name for name in known if name in chosen))

    @classmethod
    def matching(cls, schema: ArraySchema, patterns: Iterable[str]) -> "SharedPart":
        """Returns the filter that shares the arrays whose names match a pattern, and keeps all others private.

        Args:
            schema: the model's, a dict.
            patterns: shell patterns for whole names, upper and lower case distinct, such as "encoder.*".

        Raises:
            InvalidParameterError: a pattern matches nothing, or a part would have no array.
        """
        matched = _matched(schema, patterns)
        return cls(schema, tuple(name for name in _names(schema) if name in matched))

    @classmethod
    def all_but(cls, schema: ArraySchema, patterns: Iterable[str]) -> "SharedPart":
        """Returns the filter that keeps the arrays whose names match a pattern private, and shares all others.

        Args:
            schema: the model's, a dict.
            patterns: shell patterns for whole names, upper and lower case distinct, such as "head.*".

        Raises:
            InvalidParameterError: a pattern matches nothing, or a part would have no array.
        """
        matched = _matched(schema, patterns)
        return cls(schema, tuple(name for name in _names(schema) if name not in matched))

    @classmethod
    def where(cls, schema: ArraySchema, is_shared: Callable[[ArraySpec], bool]) -> "SharedPart":
        """Returns the filter that shares the arrays for which a function of their name, shape and dtype is True.

        Raises:
            InvalidParameterError: the function returned something else than a bool, or a part would have no array.
        """
        _names(schema)
        shared = []
        for entry in schema.entries:
            # A function that forgets to return would otherwise decide by its None.
            if type(answer := is_shared(entry)) is not bool:
                raise InvalidParameterError("is_shared", type(answer).__name__, "a function that returns a bool")
            if answer:
                shared.append(entry.name)
        return cls(schema, tuple(shared))

    @classmethod
    def fed_bn(cls, schema: ArraySchema, patterns: Iterable[str]) -> "SharedPart":
        """Returns FedBN's filter: normalisation layers stay private, all else is shared (Li et al. 2021, section 3).

        Args:
            schema: the model's, a dict.
            patterns: what the normalisation layers are called; see `NORM_LAYERS`.

        Raises:
            InvalidParameterError: a pattern matches nothing, a part would have no array, or a running statistic of
                batch normalisation would be shared: then the patterns miss a layer that is called otherwise, such
                as "downsample.1" in a residual network.
        """
        part = cls.all_but(schema, patterns)
        missed = [name for name in part.shared if is_running_statistic(name)]
        if missed:
            raise InvalidParameterError("patterns", missed, "such that no running statistic is shared: name its layer")
        return part

    @property
    def private(self) -> tuple[str | int, ...]:
        """The names of the arrays that stay with the client, in the schema's order."""
        return tuple(entry.name for entry in self.schema.entries if entry.name not in self.shared)

    @property
    def shared_schema(self) -> ArraySchema:
        """The schema of the shared part; of a list, the indices are counted anew from 0."""
        return self._part(self.shared)

    @property
    def private_schema(self) -> ArraySchema:
        """The schema of the private part; of a list, the indices are counted anew from 0."""
        return self._part(self.private)

    @property
    def digest(self) -> bytes:
        """32 bytes: SHA-256 over the schema's digest and, for each array in its order, whether it is shared.

        Handed to `WeightedMean.session_params` as `user`, it keeps clients with another filter out of a session.
        """
        shared = bytes(entry.name in self.shared for entry in self.schema.entries)
        return hashlib.sha256(_DIGEST_LABEL + self.schema.digest + struct.pack("<Q", len(shared)) + shared).digest()

    def split(self, model: Arrays) -> tuple[NamedArrays, NamedArrays]:
        """Returns the shared and the private part of a model.

        Args:
            model: what `schema` describes.

        Returns:
            Two containers of the model's kind. The arrays are the model's own, not copies.

        Raises:
            SchemaMismatchError: the model does not fit the schema.
        """
        named = dict(zip((entry.name for entry in self.schema.entries), self.schema.check(model), strict=True))
        return (
            self.shared_schema.rebuild([named[name] for name in self.shared]),
            self.private_schema.rebuild([named[name] for name in self.private]),
        )

    def join(self, shared: Arrays, private: Arrays) -> NamedArrays:
        """Returns the model made of a shared and a private part: the inverse of `split`.

        Args:
            shared: what `shared_schema` describes, such as the new global part.
            private: what `private_schema` describes, the client's own.

        Returns:
            A container of the model's kind. The arrays are those of the parts, not copies.

        Raises:
            SchemaMismatchError: a part does not fit its schema.
        """
        named: dict[str | int, npt.NDArray[Any]] = {}
        for what, names, schema, arrays in (
            ("shared", self.shared, self.shared_schema, shared),
            ("private", self.private, self.private_schema, private),
        ):
            try:
                named.update(zip(names, schema.check(arrays), strict=True))
            except SchemaMismatchError as error:
                raise SchemaMismatchError(f"{what} part, {error.what}", error.offered, error.expected) from None
        return self.schema.rebuild([named[entry.name] for entry in self.schema.entries])

    def _part(self, names: tuple[str | int, ...]) -> ArraySchema:
        entries = [entry for entry in self.schema.entries if entry.name in names]
        if self.schema.kind == "list":
            entries = [ArraySpec(index, entry.shape, entry.dtype) for index, entry in enumerate(entries)]
        return ArraySchema(self.schema.kind, tuple(entries))


def _names(schema: ArraySchema) -> tuple[str | int, ...]:
    if not isinstance(schema, ArraySchema):
        raise InvalidParameterError("schema", type(schema).__name__, "an ArraySchema: see ArraySchema.of")
    return tuple(entry.name for entry in schema.entries)


def _chosen(parameter: str, names: Iterable[str | int], known: tuple[str | int, ...]) -> frozenset[str | int]:
    chosen: set[str | int] = set()
    for name in names:
        # By type as well: True is equal to the index 1.
        if type(name) not in {str, int} or name not in known:
            raise InvalidParameterError(
                parameter, name, "names (of a dict) or indices (of a list) of the model's arrays"
            )
        if name in chosen:
            raise InvalidParameterError(parameter, name, "distinct")
        chosen.add(name)
    return frozenset(chosen)


def _matched(schema: ArraySchema, patterns: Iterable[str]) -> set[str | int]:
    known = _names(schema)
    if schema.kind != "dict":
        raise InvalidParameterError("schema", "a list of arrays", "a dict of arrays: a list has no names, see of_names")
    matched: set[str | int] = set()
    for pattern in _listed("patterns", patterns):
        if type(pattern) is not str:
            raise InvalidParameterError("patterns", type(pattern).__name__, "shell patterns as str")
        found = {name for name in known if fnmatchcase(str(name), pattern)}
        if not found:
            raise InvalidParameterError("patterns", pattern, "a pattern that matches an array of the model")
        matched |= found
    return matched


def _listed(parameter: str, names: Iterable[str | int]) -> list[str | int]:
    # A text is an iterable of its letters, each of which is a pattern.
    listed: list[str | int] | None = None
    if not isinstance(names, str | bytes):
        with suppress(TypeError, ValueError):
            listed = [int(name) if isinstance(name, np.integer) else plain(name) for name in names]
    if listed is None:
        raise InvalidParameterError(parameter, type(names).__name__, "a list")
    if not listed:
        raise InvalidParameterError(parameter, [], "at least one")
    return listed
