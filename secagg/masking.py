"""Sums of masks: expand many stream keys and add the words to a vector, in place.

Bonawitz et al. 2017 §4: a client adds PRG(b_u) and the signed PRG(s_uv) to its input; the server takes
the same masks off the sum. Here a mask is a stream key with a sign, and all arithmetic is modulo
2**(word bits): the modulus 2**m divides that, so one reduction at the end is enough.

No mask ever exists as a whole. Coordinates are cut into chunks, and for one chunk all keys are expanded
in turn into the same buffer: the keystream, the zeros that it is XORed to and the sum stay in the L2
cache, and memory does not grow with the number of keys.

With an executor the coordinates are cut into shards; each is one call of `sum_masks`, a function of
plain data that returns an array, so threads, processes and clusters serve alike.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from secagg.errors import InvalidInputError, InvalidParameterError
from secagg.prg import STREAM_KEY_BYTES, Suite, UpdateInto, WordDtype, open_keystream, word_dtype

__all__ = ["OUTSTANDING_SHARDS", "SHARD_BYTES", "apply_masks", "reduce_to_modulus", "sum_masks", "word_dtype"]

Words: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]

SHARD_BYTES: Final = 1 << 20
"""Keystream bytes of one executor task. Each task opens every keystream anew, about 5 microseconds, most
of it under the interpreter's lock, against 130 for expanding and adding this many bytes. Measured against
one task for all: 1 MiB loses 4 %, 512 KiB 9 %, 256 KiB 15 %."""

OUTSTANDING_SHARDS: Final = 32
"""Tasks handed to the executor at a time: two for each of 16 workers, and few to cancel after a failure."""

_CHUNK_BYTES: Final = 1 << 17
"""Keystream bytes expanded at a time. Measured with 99 keys on a 1 MiB L2 cache: 16 KiB gives 5.8 GB/s,
64 KiB 7.3, 128 KiB 7.7, 256 KiB 7.7, where the cipher alone reaches 9.4. Adding up several keystreams
before the vector is touched, by `einsum` or in smaller tiles, was slower."""

_CACHE_LINE_BYTES: Final = 64

_KEYS_AT_ONCE: Final = 1024
"""Open keystreams: each costs over a kilobyte, and a server may hold very many keys."""


def apply_masks(
    accumulator: Words,
    add: Sequence[bytes],
    subtract: Sequence[bytes],
    suite: Suite,
    executor: Executor | None = None,
) -> None:
    """Adds the masks of `add` to `accumulator` and subtracts those of `subtract`, in place.

    Args:
        accumulator: words of `word_dtype(modulus_bits)`, shape (length,), contiguous and writable.
            Arithmetic wraps at the width of the dtype: `reduce_to_modulus` when all is added.
        add: stream keys, 32 bytes each.
        subtract: stream keys, 32 bytes each.
        suite: the session's suite.
        executor: runs `sum_masks` for shards of `SHARD_BYTES`; None computes in this thread. The result
            is the same. The keys travel to its workers.

    Raises:
        InvalidInputError: the accumulator has another shape, dtype or layout.
        InvalidParameterError: a key or the suite is unusable, or the vector is longer than a keystream.

    Guarantees:
        With an executor the accumulator is written only after every shard has returned: whatever a task
        or the executor raises propagates, queued tasks are cancelled, and the accumulator is as it was.
        Without one, the two errors above also leave it as it was; only an interruption from outside
        (KeyboardInterrupt, MemoryError) can leave it part-masked, and it must then be thrown away.

    Cost:
        One pass of the cipher over length words for each key. Extra memory: about 0.5 MB in this thread,
        one more vector with an executor.
    """
    _check_accumulator(accumulator)
    for stream_key in (*add, *subtract):
        if len(stream_key) != STREAM_KEY_BYTES:
            raise InvalidParameterError("stream_key", f"{len(stream_key)} bytes", f"{STREAM_KEY_BYTES} bytes")
    if not add and not subtract:
        return
    if executor is None:
        _accumulate(accumulator, suite, add, subtract, 0)
        return
    length = accumulator.shape[0]
    dtype = accumulator.dtype
    shard_words = SHARD_BYTES // dtype.itemsize
    added, subtracted = tuple(add), tuple(subtract)
    shards = [
        (suite, dtype, added, subtracted, range(start, min(start + shard_words, length)))
        for start in range(0, length, shard_words)
    ]
    start = 0
    # A list, not a loop over the generator: nothing is added before everything is there.
    for shard_sum in list(_map_in_order(executor, shards)):
        target = accumulator[start : start + shard_sum.shape[0]]
        np.add(target, shard_sum, out=target)
        start += shard_sum.shape[0]


def sum_masks(
    suite: Suite, dtype: WordDtype, add: Sequence[bytes], subtract: Sequence[bytes], coordinates: range
) -> Words:
    """Returns the signed sum of masks over a range of coordinates: the task that executors run.

    Args:
        suite: the session's suite.
        dtype: a `word_dtype`.
        add: stream keys, 32 bytes each.
        subtract: stream keys, 32 bytes each.
        coordinates: consecutive words, of which the first lies at a multiple of 64 keystream bytes.

    Returns:
        The words at these coordinates, shape (len(coordinates),), modulo 2**(word bits).

    Raises:
        InvalidParameterError: a key, the suite or the range is unusable.
    """
    total: Words = np.zeros(len(coordinates), dtype)
    _accumulate(total, suite, add, subtract, coordinates.start)
    return total


def reduce_to_modulus(words: Words, modulus_bits: int) -> None:
    """Reduces words modulo 2**modulus_bits in place.

    Args:
        words: dtype `word_dtype(modulus_bits)`, any shape, writable.
        modulus_bits: 1 to 64.

    Raises:
        InvalidInputError: the dtype is another.
        InvalidParameterError: `modulus_bits` is not 1 to 64.
    """
    dtype = word_dtype(modulus_bits)
    if words.dtype != dtype:
        raise InvalidInputError("words", f"dtype {words.dtype}", f"{dtype}")
    if modulus_bits < 8 * dtype.itemsize:
        np.bitwise_and(words, dtype.type((1 << modulus_bits) - 1), out=words)


def _check_accumulator(accumulator: Words) -> None:
    if accumulator.ndim != 1 or accumulator.dtype not in {word_dtype(bits) for bits in (8, 16, 32, 64)}:
        problem = f"{accumulator.ndim} dimensions of {accumulator.dtype}"
        raise InvalidInputError("accumulator", problem, "one dimension of unsigned little-endian integers")
    if not accumulator.flags.c_contiguous or not accumulator.flags.writeable:
        raise InvalidInputError("accumulator", "it has gaps or is read-only", "contiguous and writable")


def _accumulate(target: Words, suite: Suite, add: Sequence[bytes], subtract: Sequence[bytes], start: int) -> None:
    """Adds the masks' words from number `start` on to `target`."""
    first_byte = start * target.itemsize
    last_byte = first_byte + target.nbytes
    signed_keys = [(np.add, key) for key in add] + [(np.subtract, key) for key in subtract]
    for first_key in range(0, len(signed_keys), _KEYS_AT_ONCE):
        streams = [
            (combine, open_keystream(suite, key, first_byte, last_byte))
            for combine, key in signed_keys[first_key : first_key + _KEYS_AT_ONCE]
        ]
        _expand_into(target, streams)


def _expand_into(target: Words, streams: Sequence[tuple[np.ufunc, UpdateInto]]) -> None:
    """Adds up the streams chunk by chunk in a buffer of its own, then combines that with the chunk.

    The first stream is expanded straight into the sum, which saves an addition, and makes the first
    sign that of the sum.
    """
    chunk_bytes = min(_CHUNK_BYTES, target.nbytes)
    chunk_words = _CHUNK_BYTES // target.itemsize
    zeros = memoryview(bytes(chunk_bytes))
    sum_buffer, stream_buffer = _aligned_buffer(chunk_bytes), _aligned_buffer(chunk_bytes)
    first_sign, expand_first = streams[0]
    others = [(np.add if sign is first_sign else np.subtract, update_into) for sign, update_into in streams[1:]]
    for first in range(0, target.shape[0], chunk_words):
        chunk = target[first : first + chunk_words]
        plain, stream = zeros[: chunk.nbytes], stream_buffer[: chunk.nbytes]
        total, words = (np.frombuffer(buffer, target.dtype, chunk.shape[0]) for buffer in (sum_buffer, stream_buffer))
        expand_first(plain, sum_buffer[: chunk.nbytes])
        for combine, update_into in others:
            update_into(plain, stream)
            combine(total, words, total)
        first_sign(chunk, total, chunk)


def _aligned_buffer(size: int) -> memoryview:
    """Returns writable bytes that start a cache line: without split ones, all gets 2 % faster."""
    spacious = np.empty(size + _CACHE_LINE_BYTES, np.uint8)
    start = -spacious.ctypes.data % _CACHE_LINE_BYTES
    return spacious[start : start + size].data


def _map_in_order(executor: Executor, shards: list[tuple[Any, ...]]) -> Iterator[Words]:
    """Yields `sum_masks` of each shard in order, with few of them handed out at a time."""
    outstanding: deque[Future[Words]] = deque()
    try:
        for shard in shards:
            if len(outstanding) == OUTSTANDING_SHARDS:
                yield outstanding.popleft().result()
            outstanding.append(executor.submit(sum_masks, *shard))
        while outstanding:
            yield outstanding.popleft().result()
    finally:
        for future in outstanding:
            future.cancel()
