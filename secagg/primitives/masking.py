"""Sums of masks: expand many stream keys and add the words to a vector, in place.

Bonawitz et al. 2017 §4: a client adds PRG(b_u) and the signed PRG(s_uv) to its input; the server takes
the same masks off the sum. Here a mask is a stream key with a sign, and all arithmetic is modulo
2**(word bits): the modulus 2**m divides that, so one reduction at the end is enough.

No mask ever exists as a whole. Coordinates are cut into chunks, and for one chunk all keys are expanded
in turn into the same buffer: the keystream, the zeros that it is XORed to and the sum stay in the L2
cache, and memory does not grow with the number of keys.

With an executor the sum is cut into tasks, along the coordinates, the keys or both, whichever repeats
less work. Each is one call of `sum_masks`, a function of plain data that returns an array, so threads,
processes and clusters serve alike; threads gain with `cryptography` 50 or later, see `open_keystream`.
A task holds the stream keys that it expands and a range of coordinates, nothing else: a worker that runs it
can take those masks off a masked input, and cannot compute any other mask.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from secagg.errors import InvalidInputError, InvalidParameterError, TaskResultError
from secagg.primitives.prg import (
    SEEK_BYTES,
    STREAM_KEY_BYTES,
    Suite,
    UpdateInto,
    WordDtype,
    open_keystreams,
    word_dtype,
)

__all__ = [
    "OUTSTANDING_SHARDS",
    "SHARD_BYTES",
    "MaskTask",
    "apply_masks",
    "reduce_to_modulus",
    "sum_masks",
    "word_dtype",
]

Words: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True, repr=False)
class MaskTask:
    """What `sum_masks` computes: plain data, which any executor can carry to its workers.

    Attributes:
        suite: the session's suite.
        dtype: a `word_dtype`.
        add: stream keys, 32 bytes each.
        subtract: stream keys, 32 bytes each.
        coordinates: consecutive words, of which the first lies at a multiple of 64 keystream bytes.
    """

    suite: Suite
    dtype: WordDtype
    add: Sequence[bytes]
    subtract: Sequence[bytes]
    coordinates: range

    def __repr__(self) -> str:
        return f"MaskTask({self.suite}, {self.dtype}, {len(self.add)} + {len(self.subtract)} keys, {self.coordinates})"


SHARD_BYTES: Final = 8 << 20
"""The most bytes that one executor task returns: what a worker holds, and what is lost with it. Each task opens
every keystream anew, which against one task for all costs 0.5 % at this size, 4 % at 1 MiB and 15 % at 256 KiB."""

PATIENCE_S: Final = 1.0
"""How long a task may wait for a worker before the thread that needs it does it itself."""

OUTSTANDING_SHARDS: Final = 32
"""Tasks handed to the executor at a time: two for each of 16 workers, and few to cancel after a failure."""

_CHUNK_BYTES: Final = 1 << 17
"""Keystream bytes expanded at a time. Measured on a 1 MiB L2 cache with 99 keys, as a share of the cipher alone:
64 KiB 0.79, 128 KiB 0.82, 192 KiB 0.82, 256 KiB 0.81, 320 KiB 0.80, and the same order on each of two threads.
Huge pages gave 0.01 more; adding up several keystreams before the sum is touched, in tiles or by `add.reduce`, 0.67
and less."""

_CACHE_LINE_BYTES: Final = 64

_KEYS_AT_ONCE: Final = 256
"""Open keystreams, over a kilobyte each: more push each other out of the cache, fewer touch the vector more often.
Measured with 10000 keys and 20 kB: 64 2.42 GB/s, 256 2.37, 1024 2.24; with 2000 keys and 4 MB: 7.61, 7.68, 7.68."""

# The shares of a task's time that are not expanding and adding, each as the keystream bytes expanded and added in
# that time (7.6 GB/s). They only choose between plans with the same result, so another machine's may be off by much.
_OPENING_BYTES: Final = 32 << 10
"""4.3 microseconds to open a keystream."""

_RETURN_BYTES: Final = 8
"""For each byte that a task returns: 2 from a thread (page faults and one addition), 8 to 16 from a process."""

_LEAST_TASK_BYTES: Final = 16 << 20
"""2 ms. With two processes 3 ms of work went 0.8 times as fast as with none, 6 ms 1.1 times, 8 ms 1.5 times."""

_LARGEST_TASK_BYTES: Final = 8 << 30
"""About a second: with more work than that for each worker, tasks of this size let the workers finish together."""


def apply_masks(
    accumulator: Words,
    *,
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
        executor: runs `sum_masks` for parts of the sum; None computes in this thread. The result is the
            same. This thread takes over what no worker has begun for `PATIENCE_S`, so it may be one of the
            executor's own. The stream keys travel to its workers, and what they return is believed as far as
            its form: use an executor that you would trust with the masked vector.

    Raises:
        InvalidInputError: the accumulator has another shape, dtype or layout.
        InvalidParameterError: a key or the suite is unusable, or the vector is longer than a keystream.
        TaskResultError: the executor returned something else than what the task returns. The form is checked, not
            the words, nor that no two results share memory: an executor is trusted as far as the masks are.

    Guarantees:
        With an executor the accumulator is written only after every task has returned: whatever a task
        or the executor raises propagates, queued tasks are cancelled, and the accumulator is as it was.
        Without one, the first two errors above also leave it as it was; only an interruption from outside
        (KeyboardInterrupt, MemoryError) can leave it part-masked, and it must then be thrown away.

    Cost:
        One pass of the cipher over length words for each key. Extra memory: about 0.5 MB in this thread;
        with an executor one more vector, and up to `OUTSTANDING_SHARDS` results of at most `SHARD_BYTES`.
    """
    _check_accumulator(accumulator)
    for stream_key in (*add, *subtract):
        if len(stream_key) != STREAM_KEY_BYTES:
            raise InvalidParameterError("stream_key", f"{len(stream_key)} bytes", f"{STREAM_KEY_BYTES} bytes")
    if not add and not subtract:
        return
    if executor is None:
        _accumulate(accumulator, suite, add=add, subtract=subtract, start=0)
        return
    length = accumulator.shape[0]
    if length == 0:
        return
    ranges, groups = _plan(accumulator.nbytes, len(add) + len(subtract), _workers(executor))
    signed_keys = _grouped(add, subtract, groups)
    # Whole blocks of the cipher, so that every range starts where a keystream can be opened.
    range_words = -(-accumulator.nbytes // (ranges * SEEK_BYTES)) * SEEK_BYTES // accumulator.itemsize
    tasks = [
        MaskTask(suite, accumulator.dtype, added, subtracted, range(start, min(start + range_words, length)))
        for start in range(0, length, range_words)
        for added, subtracted in signed_keys
    ]
    # A list, not a loop over the generator: nothing is added before everything is there.
    start = 0
    for partial_sum in list(_sums_of_groups(_map_in_order(executor, tasks), groups)):
        target = accumulator[start : start + range_words]
        np.add(target, partial_sum, out=target)
        start += range_words


def sum_masks(task: MaskTask) -> Words:
    """Returns the signed sum of masks over a range of coordinates: what executors run.

    Returns:
        The words at the task's coordinates, shape (len(coordinates),), modulo 2**(word bits).

    Raises:
        InvalidParameterError: a key, the suite or the range is unusable.
    """
    total: Words = np.zeros(len(task.coordinates), task.dtype)
    _accumulate(total, task.suite, add=task.add, subtract=task.subtract, start=task.coordinates.start)
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


def _workers(executor: Executor) -> int:
    """Returns how many tasks the executor runs at a time, at a guess that costs only time."""
    # No public name tells. The executors of the standard library keep it here.
    workers = getattr(executor, "_max_workers", None)
    if not isinstance(workers, int):
        return OUTSTANDING_SHARDS
    # By default a thread pool has more threads than there are processors; each would open all keystreams.
    return min(workers, os.cpu_count() or 1) if isinstance(executor, ThreadPoolExecutor) else workers


def _plan(size: int, keys: int, workers: int) -> tuple[int, int]:
    """Returns into how many ranges of coordinates and how many groups of keys to cut a sum.

    Every range opens all keystreams of its tasks; every group returns a whole vector.

    Args:
        size: bytes of the vector.
        keys: how many, at least 1.
        workers: of the executor.
    """
    work = keys * (size + _OPENING_BYTES)
    tasks = max(1, min(workers, work // _LEAST_TASK_BYTES), work // _LARGEST_TASK_BYTES)
    least_ranges = max(1, -(-size // SHARD_BYTES))
    if least_ranges >= tasks:
        return -(-least_ranges // tasks) * tasks, 1

    def overhead(ranges: int) -> int:
        return ranges * keys * _OPENING_BYTES + tasks // ranges * size * _RETURN_BYTES

    # There are never more groups than keys: a task has twice the work of one key over the longest range.
    ranges = min((ranges for ranges in range(least_ranges, tasks + 1) if tasks % ranges == 0), key=overhead)
    return ranges, tasks // ranges


def _grouped(
    add: Sequence[bytes], subtract: Sequence[bytes], groups: int
) -> list[tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
    """Deals the keys out, one after the other: no group is empty while there are as many keys as groups."""
    return [
        (tuple(add[group::groups]), tuple(subtract[(group - len(add)) % groups :: groups])) for group in range(groups)
    ]


def _sums_of_groups(results: Iterator[Words], groups: int) -> Iterator[Words]:
    """Adds up each run of `groups` results."""
    for first in results:
        total = first
        if groups > 1:
            # A new array: what an executor returned may be read-only, or shared with the worker.
            total = first + next(results)
        for result in islice(results, max(0, groups - 2)):
            np.add(total, result, out=total)
        yield total


def _accumulate(target: Words, suite: Suite, *, add: Sequence[bytes], subtract: Sequence[bytes], start: int) -> None:
    """Adds the masks' words from number `start` on to `target`."""
    first_byte = start * target.itemsize
    last_byte = first_byte + target.nbytes
    signed_keys = [(np.add, key) for key in add] + [(np.subtract, key) for key in subtract]
    for first_key in range(0, len(signed_keys), _KEYS_AT_ONCE):
        signs, keys = zip(*signed_keys[first_key : first_key + _KEYS_AT_ONCE], strict=True)
        streams = open_keystreams(suite, keys, start=first_byte, stop=last_byte)
        _expand_into(target, list(zip(signs, streams, strict=True)))


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


def _map_in_order(executor: Executor, tasks: Iterable[MaskTask]) -> Iterator[Words]:
    """Yields `sum_masks` of each task in order, with few of them handed out at a time."""
    outstanding: deque[tuple[MaskTask, Future[Words]]] = deque()
    patience_s = PATIENCE_S

    def first() -> Words:
        """A task that no worker has begun for a while is done here, and so are those behind it.

        This thread may itself be one of the executor's, and all the others may be waiting as it would.
        """
        nonlocal patience_s
        task, future = outstanding.popleft()
        if not wait([future], patience_s).done and future.cancel():
            patience_s = 0.0
            return sum_masks(task)
        patience_s = PATIENCE_S
        return _result(task, future)

    try:
        for task in tasks:
            if len(outstanding) == OUTSTANDING_SHARDS:
                yield first()
            outstanding.append((task, executor.submit(sum_masks, task)))
        while outstanding:
            yield first()
    finally:
        for _, future in outstanding:
            future.cancel()


def _result(task: MaskTask, future: Future[Words]) -> Words:
    """Waits for a task and checks the form of what came back, which may have come from another machine."""
    result: object = future.result()
    expected = f"{len(task.coordinates)} words of {task.dtype}"
    # No subclass: it could bring additions of its own.
    if type(result) is not np.ndarray:
        raise TaskResultError(f"a value of type {type(result).__name__}", expected)
    if result.dtype != task.dtype or result.shape != (len(task.coordinates),):
        raise TaskResultError(f"an array of {result.dtype}, shape {result.shape}", expected)
    return result
