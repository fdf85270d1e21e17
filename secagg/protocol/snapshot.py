"""Sessions as versioned bytes, for hosts that run a fresh process for each message.

A snapshot is a secret. With a wrapping key it is encrypted and authenticated; without one it carries a
checksum against accidents, and the host must protect it as it protects keys. Rule for hosts: save the
new snapshot, delete the old one, and only then send. A state restored twice could answer twice.
"""

import enum
import hashlib
import secrets
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
)
from nacl.exceptions import CryptoError

from secagg.errors import InvalidInputError, InvalidParameterError, InvalidStateError

WRAPPING_KEY_BYTES: Final = crypto_aead_xchacha20poly1305_ietf_KEYBYTES

_MAGIC: Final = b"SAGS"
_VERSION: Final = 2
_HEADER_BYTES: Final = len(_MAGIC) + 3
_CHECKSUM_BYTES: Final = 32
_NONCE_BYTES: Final = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES


class SnapshotRole(enum.IntEnum):
    """Whose snapshot it is. None is read as another: layers above have their numbers here too, all different."""

    CLIENT = 1
    SERVER = 2
    CLIENT_ROUND = 3
    SERVER_ROUND = 4
    ERROR_FEEDBACK = 5
    CLIENT_PIPELINE = 6
    SERVER_PIPELINE = 7


Content = TypeVar("Content", bound=msgspec.Struct)


def write_snapshot(role: SnapshotRole, content: msgspec.Struct, wrapping_key: bytes | None) -> bytes:
    """Returns the snapshot of a session.

    Args:
        role: whose it is.
        content: what the session holds.
        wrapping_key: 32 bytes to encrypt under, or None.

    Raises:
        InvalidInputError: the wrapping key has a wrong type or length.
    """
    _check_wrapping_key(wrapping_key)
    body = msgspec.msgpack.encode(content, enc_hook=_encode_array)
    header = _MAGIC + bytes([_VERSION, role, wrapping_key is not None])
    if wrapping_key is None:
        return header + hashlib.sha256(header + body).digest() + body
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return header + nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(body, header, nonce, wrapping_key)


def read_snapshot(role: SnapshotRole, data: bytes, content: type[Content], wrapping_key: bytes | None) -> Content:
    """Returns what `write_snapshot` wrote.

    Raises:
        InvalidStateError: the bytes are no intact snapshot of this version, role and wrapping.
        InvalidInputError: the wrapping key has a wrong type or length.
    """
    _check_wrapping_key(wrapping_key)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidStateError("a snapshot is bytes")
    try:
        # A copy, which cannot change, of the single bytes of any view.
        data = bytes(data)
    except ValueError:
        raise InvalidStateError("a snapshot is bytes, not a memoryview that was released") from None
    header, rest = data[:_HEADER_BYTES], data[_HEADER_BYTES:]
    if len(header) != _HEADER_BYTES or header[: len(_MAGIC)] != _MAGIC:
        raise InvalidStateError("these bytes are no snapshot")
    if header[len(_MAGIC)] != _VERSION:
        raise InvalidStateError(f"the snapshot has version {header[len(_MAGIC)]}, this library reads {_VERSION}")
    if header[len(_MAGIC) + 1] != role:
        raise InvalidStateError("the snapshot is of the other role: client and server snapshots are not exchangeable")
    if header[len(_MAGIC) + 2] != (wrapping_key is not None):
        raise InvalidStateError("the snapshot is wrapped and no key was given, or the other way round")
    body = _verified(header, rest) if wrapping_key is None else _unwrapped(header, rest, wrapping_key)
    try:
        return msgspec.msgpack.decode(body, type=content, dec_hook=_decode_array)
    except (msgspec.MsgspecError, InvalidParameterError, ValueError, TypeError):
        raise InvalidStateError("the snapshot's content does not decode") from None


def _verified(header: bytes, rest: bytes) -> bytes:
    checksum, body = rest[:_CHECKSUM_BYTES], rest[_CHECKSUM_BYTES:]
    if hashlib.sha256(header + body).digest() != checksum:
        raise InvalidStateError("the snapshot is damaged or truncated")
    return body


def _unwrapped(header: bytes, rest: bytes, wrapping_key: bytes) -> bytes:
    try:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(
            rest[_NONCE_BYTES:], header, rest[:_NONCE_BYTES], wrapping_key
        )
    except (CryptoError, ValueError, TypeError):
        raise InvalidStateError("the snapshot is damaged, or was wrapped under another key") from None


def _check_wrapping_key(wrapping_key: bytes | None) -> None:
    if wrapping_key is not None and (type(wrapping_key) is not bytes or len(wrapping_key) != WRAPPING_KEY_BYTES):
        raise InvalidInputError("wrapping_key", "wrong type or length", f"{WRAPPING_KEY_BYTES} bytes")


def _encode_array(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    raise NotImplementedError(type(value).__name__)


def _decode_array(expected: type, value: Any) -> object:  # Any: the decoder's own type for a hook's input
    if expected is not np.ndarray:
        raise NotImplementedError(expected.__name__)
    dtype, shape, data = value
    return np.frombuffer(data, np.dtype(dtype)).reshape(shape)
