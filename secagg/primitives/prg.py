"""The two stream ciphers that turn a 32-byte key into a seekable keystream, and the words cut from it.

The pseudorandom generator of Bonawitz et al. 2017 §3.3: both ends of a pairwise mask and every
dealer of shares expand a key into the same bytes. A stream key is always 32 bytes:

* `Suite.AES_128_CTR`: a 16-byte AES key, then the 16-byte initial counter block, big-endian. The
  counter adds modulo 2**128 (NIST SP 800-38A §6.5), so every range of it is usable.
* `Suite.CHACHA20`: the 32-byte ChaCha20 key; nonce and first block counter are zero (RFC 8439 §2.3).
  The RFC's block counter has 32 bits, so a stream ends after 2**32 blocks.

Rules of this file: offsets are multiples of 64 bytes, the block of ChaCha20 and four blocks of AES, so
that one rule serves both suites; nothing here prints, compares or keeps a key.
"""

import enum
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from secagg.errors import InvalidParameterError

STREAM_KEY_BYTES: Final = 32
"""The length of a stream key, the same for every suite."""

SEEK_BYTES: Final = 64
"""Keystreams start at multiples of this: the least common multiple of both block sizes."""

CHACHA20_STREAM_BYTES: Final = 64 << 32
"""Where a ChaCha20 keystream ends: past 2**32 blocks implementations disagree on what follows."""

_AES_BLOCK_BYTES: Final = 16

ReadableBuffer: TypeAlias = bytes | memoryview
WritableBuffer: TypeAlias = bytearray | memoryview
UpdateInto: TypeAlias = Callable[[ReadableBuffer, WritableBuffer], int]
"""`update_into(data, out)`: writes data XOR the next `len(data)` keystream bytes to `out`."""

WordDtype: TypeAlias = np.dtype[np.unsignedinteger[Any]]


class Suite(enum.IntEnum):
    """The stream cipher of a session; the numbers are those on the wire."""

    AES_128_CTR = 1
    CHACHA20 = 2


def open_keystreams(suite: Suite, stream_keys: Iterable[bytes], *, start: int, stop: int) -> list[UpdateInto]:
    """Opens the same range of many keystreams.

    Args:
        suite: the session's suite.
        stream_keys: 32 bytes each.
        start: first byte, a multiple of 64.
        stop: one past the last byte that the caller will read, at least `start`. The range is checked
            here, once; the returned functions count nothing.

    Returns:
        For each key, in their order, what `open_keystream` returns.

    Raises:
        InvalidParameterError: as `open_keystream`.

    Security:
        The same key and range give the same bytes: a key must serve one purpose in one session only.

    Cost:
        4.3 microseconds a key, all under the interpreter's lock, of which 2.1 are OpenSSL's context and
        1.0 the checks of `Cipher`. Assigning to the attributes of one `Cipher` instead would save those
        checks, but a release of `cryptography` that makes its context earlier would then give every
        stream the first key, in silence.
    """
    if start < 0 or start % SEEK_BYTES:
        raise InvalidParameterError("start", start, f"a non-negative multiple of {SEEK_BYTES}")
    if stop < start:
        raise InvalidParameterError("stop", stop, f"at least start = {start}")
    if suite == Suite.AES_128_CTR:
        return [_open_aes(_checked(stream_key), start // _AES_BLOCK_BYTES) for stream_key in stream_keys]
    if suite == Suite.CHACHA20:
        if stop > CHACHA20_STREAM_BYTES:
            raise InvalidParameterError("stop", stop, f"at most {CHACHA20_STREAM_BYTES} with ChaCha20")
        # `cryptography` takes the block counter and the nonce as one 16-byte value, counter first.
        # An empty range may start at the very end of the stream, where the counter wraps.
        first_block = (start // SEEK_BYTES % (1 << 32)).to_bytes(4, "little") + bytes(12)
        return [
            Cipher(algorithms.ChaCha20(_checked(stream_key), first_block), mode=None).encryptor().update_into
            for stream_key in stream_keys
        ]
    raise InvalidParameterError("suite", suite, "a member of Suite")


def open_keystream(suite: Suite, stream_key: bytes, *, start: int, stop: int) -> UpdateInto:
    """Opens the bytes `start` to `stop` of a keystream for reading in order.

    Args:
        suite: the session's suite.
        stream_key: 32 bytes.
        start: as `open_keystreams`.
        stop: as `open_keystreams`.

    Returns:
        A function (data, out) that writes `data` XOR the next `len(data)` bytes of the keystream to
        the writable buffer `out`, which is at least as long. From 2048 bytes on it releases the
        interpreter's lock, with `cryptography` 50 and later.

    Raises:
        InvalidParameterError: `suite` is unknown, the key is not 32 bytes, or the range is not one of
            this suite's keystream.
    """
    return open_keystreams(suite, (stream_key,), start=start, stop=stop)[0]


def _checked(stream_key: bytes) -> bytes:
    if len(stream_key) != STREAM_KEY_BYTES:
        raise InvalidParameterError("stream_key", f"{len(stream_key)} bytes", f"{STREAM_KEY_BYTES} bytes")
    return stream_key


def _open_aes(stream_key: bytes, first_block: int) -> UpdateInto:
    initial = stream_key[16:]
    # Vectors of one shard, the short ones, start at block 0: it is worth a tenth of the opening.
    if first_block:
        initial = ((int.from_bytes(initial, "big") + first_block) % (1 << 128)).to_bytes(16, "big")
    return Cipher(algorithms.AES128(stream_key[:16]), modes.CTR(initial)).encryptor().update_into


def keystream(suite: Suite, stream_key: bytes, *, length: int, offset: int = 0) -> bytes:
    """Returns `length` bytes of a keystream, for uses too small to keep a buffer for.

    Args:
        suite: the session's suite.
        stream_key: 32 bytes.
        length: how many bytes, at least 0.
        offset: first byte, a multiple of 64.

    Returns:
        The bytes `offset` to `offset + length` of the keystream.

    Raises:
        InvalidParameterError: as `open_keystream`, or `length` is negative.
    """
    if length < 0:
        raise InvalidParameterError("length", length, "at least 0")
    update_into = open_keystream(suite, stream_key, start=offset, stop=offset + length)
    stream = bytearray(length)
    update_into(bytes(length), stream)
    return bytes(stream)


def word_dtype(modulus_bits: int) -> WordDtype:
    """Returns the type of one word: the smallest little-endian unsigned integer that holds it.

    Word i of a mask is the bytes i * itemsize to (i + 1) * itemsize of its keystream.

    Args:
        modulus_bits: bits of a word, 1 to 64.

    Returns:
        The numpy dtype of 8, 16, 32 or 64 bits.

    Raises:
        InvalidParameterError: `modulus_bits` is out of its range.
    """
    if not 1 <= modulus_bits <= 64:
        raise InvalidParameterError("modulus_bits", modulus_bits, "from 1 to 64")
    item_bytes = next(item_bytes for item_bytes in (1, 2, 4, 8) if modulus_bits <= 8 * item_bytes)
    return np.dtype(f"<u{item_bytes}")
