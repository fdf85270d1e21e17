"""What a training has to remember after a round, in one file that is replaced as a whole.

The bytes, integers little-endian: "FLCP", version (1 byte), the length of the header (4 bytes), the header (JSON in one
form only), the model's arrays in the schema's order (their own dtypes, little-endian), the optimiser's state as
`OptimizerState.to_bytes` writes it, and the SHA-256 of all that. Nothing in it is ever executed, and a length that is
not exactly what the header says is refused before anything is allocated. The checksum finds accidents. It
does not defend against somebody who may write the file, and so may write the model.

It holds no secret but the model itself: sessions and their keys are never in a checkpoint.
"""

import hashlib
import io
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from dp.durable import replace_file
from fl.app.run.journal import RoundRecord
from fl.arrays.bfloat16 import bfloat16, is_bfloat16, widened
from fl.arrays.flatten import flatten
from fl.arrays.schema import ArraySchema, ArraySpec, NamedArrays
from fl.errors import SchemaMismatchError
from fl.training.optimizer_state import OptimizerState
from secagg import InvalidInputError, InvalidParameterError, InvalidStateError

__all__ = ["Checkpoint", "write_model"]

_MAGIC: Final = b"FLCP"
_VERSION: Final = 2
_PREFIX: Final = struct.Struct("<4sBI")
_HASH_BYTES: Final = hashlib.sha256().digest_size


class _Array(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    name: str | int
    shape: tuple[int, ...]
    dtype: str


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    run: str
    plan: str
    round: int
    clip: float
    head: str | None
    record: RoundRecord | None
    container: str
    arrays: tuple[_Array, ...]
    optimizer_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A training after some rounds.

    Args:
        run: the run's own 16 bytes.
        plan_digest: 32 bytes.
        round_number: the last round that counts, 0 before the first.
        clip: the next round's clip norm.
        head: the ledger's, 32 bytes; None in a run without one.
        model: the global model.
        optimizer: the server's optimiser.
        record: what is known of the last round; None before the first.

    Raises:
        InvalidParameterError: a field is of the wrong type or out of range.
        SchemaMismatchError: the model is of a kind that cannot be summed.
    """

    run: bytes
    plan_digest: bytes
    round_number: int
    clip: float
    head: bytes | None
    model: NamedArrays = field(repr=False)
    optimizer: OptimizerState
    record: RoundRecord | None

    def __post_init__(self) -> None:
        for name, length in (("run", 16), ("plan_digest", 32)):
            _check_bytes(name, getattr(self, name), length)
        if self.head is not None:
            _check_bytes("head", self.head, 32)
        if type(self.round_number) is not int or not 0 <= self.round_number < 2**63:
            raise InvalidParameterError("round_number", self.round_number, "an int from 0 to 2**63 - 1")
        if type(self.clip) is not float or not 0 < self.clip < float("inf"):
            raise InvalidParameterError("clip", self.clip, "a finite float above 0")
        last = 0 if self.record is None else self.record.round
        if last != self.round_number:
            raise InvalidParameterError("record", f"of round {last}", f"that of round {self.round_number}")
        schema = ArraySchema.of(self.model)
        if not isinstance(self.optimizer, OptimizerState) or self.optimizer.schema_digest != schema.digest:
            raise InvalidParameterError("optimizer", "of another model", "the state of an optimiser of this model")

    @property
    def schema(self) -> ArraySchema:
        """The model's."""
        return ArraySchema.of(self.model)

    def to_bytes(self) -> bytes:
        """Returns the checkpoint as bytes; equal checkpoints have equal bytes.

        Raises:
            InvalidInputError: the model holds NaN or infinity.
        """
        return b"".join(self._parts())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """Returns the checkpoint that `to_bytes` wrote.

        Raises:
            InvalidStateError: the bytes are no intact checkpoint of this version.
        """
        if type(data) is not bytes or len(data) < _PREFIX.size + _HASH_BYTES or data[: len(_MAGIC)] != _MAGIC:
            raise InvalidStateError("these bytes are no checkpoint")
        _, version, header_bytes = _PREFIX.unpack_from(data)
        if version != _VERSION:
            raise InvalidStateError(f"the checkpoint has version {version}, this library reads {_VERSION}")
        body = memoryview(data)[:-_HASH_BYTES]
        if hashlib.sha256(body).digest() != data[-_HASH_BYTES:]:
            raise InvalidStateError("the checkpoint is damaged or truncated")
        text = bytes(body[_PREFIX.size : _PREFIX.size + header_bytes])
        # A file may have a right checksum and be nonsense: what is said below is then whatever is wrong with it.
        try:
            header = msgspec.json.decode(text, type=_Header)
            if msgspec.json.encode(header) != text:
                raise ValueError("the header is not in its one form")
            return _checkpoint(header, body[_PREFIX.size + header_bytes :])
        except InvalidStateError:
            raise
        except (ValueError, TypeError, RecursionError, InvalidParameterError, SchemaMismatchError) as error:
            raise InvalidStateError(f"the checkpoint holds a bad value: {str(error)[:200]}") from None

    def save(self, path: Path) -> None:
        """Writes the checkpoint to a file, in place of the one before: durably, and as a whole or not at all.

        Raises:
            InvalidInputError: the model holds NaN or infinity; nothing was written.
            OSError: the disk refused; the file is the old one or, if only the last sync failed, the new one.
        """
        replace_file(path, self._parts())

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Returns the checkpoint of a file.

        Raises:
            InvalidStateError: it is not intact.
            OSError: it cannot be read.
        """
        try:
            return cls.from_bytes(path.read_bytes())
        except InvalidStateError as error:
            raise InvalidStateError(f"{path}: {error.reason}") from None

    def model_digest(self) -> bytes:
        """Returns 32 bytes that name the model: what clients compare to know that all work on the same one."""
        digest = hashlib.sha256(self.schema.digest)
        for part in _array_bytes(self.model, self.schema):
            digest.update(part)
        return digest.digest()

    def _parts(self) -> list[bytes]:
        schema = self.schema
        flatten(self.model, schema)  # refuses NaN and infinity, which no later round could mend
        optimizer = self.optimizer.to_bytes()
        header = msgspec.json.encode(
            _Header(
                run=self.run.hex(),
                plan=self.plan_digest.hex(),
                round=self.round_number,
                clip=self.clip,
                head=None if self.head is None else self.head.hex(),
                record=self.record,
                container=schema.kind,
                arrays=tuple(_Array(entry.name, entry.shape, entry.dtype.name) for entry in schema.entries),
                optimizer_bytes=len(optimizer),
            )
        )
        prefix = _PREFIX.pack(_MAGIC, _VERSION, len(header))
        parts = [prefix, header, *_array_bytes(self.model, schema), optimizer]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        return [*parts, digest.digest()]


def write_model(path: Path, model: NamedArrays) -> None:
    """Writes a model for other programs: `numpy.load(path)` has its arrays by name, in a list arr_0, arr_1 and so on.

    A bfloat16 array, which numpy alone does not know, is written as float32.

    Raises:
        OSError: the disk refused.
    """
    named = model if isinstance(model, dict) else {f"arr_{place}": array for place, array in enumerate(model)}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in named.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                known = widened(array) if is_bfloat16(array.dtype) else array
                np.lib.format.write_array(member, known, allow_pickle=False)
    replace_file(path, [content.getvalue()])


def _checkpoint(header: _Header, rest: memoryview) -> Checkpoint:
    if header.container not in {"list", "dict"}:
        raise InvalidStateError("the checkpoint's model is no list and no dict")
    schema = ArraySchema(
        "list" if header.container == "list" else "dict",
        tuple(ArraySpec(array.name, array.shape, _dtype(array.dtype)) for array in header.arrays),
    )
    model_bytes = sum(entry.size * entry.dtype.itemsize for entry in schema.entries)
    if header.optimizer_bytes < 0 or len(rest) != model_bytes + header.optimizer_bytes:
        raise InvalidStateError("the checkpoint has a wrong length")
    arrays = []
    start = 0
    for entry in schema.entries:
        stored = np.frombuffer(rest, entry.dtype.newbyteorder("<"), entry.size, start)
        # A copy, in native byte order, which outlives the bytes and can be written to.
        arrays.append(stored.astype(entry.dtype).reshape(entry.shape))
        start += entry.size * entry.dtype.itemsize
    model = schema.rebuild(arrays)
    try:
        flatten(model, schema)
    except InvalidInputError as error:
        raise InvalidStateError(f"the checkpoint's model: {error.field}: {error.problem}") from None
    return Checkpoint(
        run=bytes.fromhex(header.run),
        plan_digest=bytes.fromhex(header.plan),
        round_number=header.round,
        clip=header.clip,
        head=None if header.head is None else bytes.fromhex(header.head),
        model=model,
        optimizer=OptimizerState.from_bytes(bytes(rest[start:])),
        record=header.record,
    )


def _dtype(name: str) -> np.dtype[np.generic]:
    dtype = bfloat16() if name == "bfloat16" else np.dtype(name)
    if dtype.name != name:
        raise InvalidStateError("the checkpoint names a dtype in another way than its one form")
    return dtype


def _array_bytes(model: NamedArrays, schema: ArraySchema) -> list[bytes]:
    arrays: tuple[npt.NDArray[np.generic], ...] = schema.check(model)
    return [
        array.astype(entry.dtype.newbyteorder("<"), copy=False).tobytes()
        for entry, array in zip(schema.entries, arrays, strict=True)
    ]


def _check_bytes(name: str, value: object, length: int) -> None:
    if type(value) is not bytes or len(value) != length:
        raise InvalidParameterError(name, type(value).__name__, f"{length} bytes")
