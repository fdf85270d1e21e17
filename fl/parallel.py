"""Threads for the masks, where they pay.

A client that masks a large model, or a server that takes many masks off, gets almost twice as fast on two
processors. A short vector gets slower: opening a keystream and handing the interpreter's lock over cost more
than the cipher takes.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import cryptography

from secagg.primitives import word_dtype

FIRST_PARALLEL_CRYPTOGRAPHY: Final = 50
"""The release of `cryptography` whose ciphers let go of the interpreter's lock. Up to 49 threads wait for each
other: there, use a `ProcessPoolExecutor`, or upgrade."""

LEAST_VECTOR_BYTES: Final = 256 << 10
"""Below it the lock changes hands too often. Two threads against one, by bytes of the vector: 20 kB 0.97 to 1.1,
40 kB 0.98 to 1.2, 400 kB 1.7, 1.2 MB 1.7 to 1.8, 4 MB 1.9."""

LEAST_KEYSTREAM_BYTES: Final = 64 << 20
"""About 9 ms on one thread. Two threads start in 0.2 ms, but a machine with other work to do may take
milliseconds to give them two processors."""

MOST_THREADS: Final = 8
"""Each thread opens all keystreams, 4.3 microseconds a key and one thread at a time: with 8 threads and a vector
of 4 MB that is half of the time that the cipher takes, with 16 all of it."""


def threads_for(words: int, *, keys: int, modulus_bits: int) -> int:
    """Returns how many threads are best for a sum of masks, 1 where more do not pay.

    Args:
        words: length of the vector.
        keys: how many masks: a client has one for each neighbour and one more; a server one for each
            survivor, and one for each pair of a dropped client and a surviving neighbour.
        modulus_bits: of the session.

    Raises:
        InvalidParameterError: `modulus_bits` is not 1 to 64.
    """
    vector_bytes = words * word_dtype(modulus_bits).itemsize
    if int(cryptography.__version__.split(".")[0]) < FIRST_PARALLEL_CRYPTOGRAPHY:
        return 1
    if vector_bytes < LEAST_VECTOR_BYTES or keys * vector_bytes < LEAST_KEYSTREAM_BYTES:
        return 1
    return min(_processors(), MOST_THREADS)


@contextmanager
def thread_pool(words: int, keys: int, modulus_bits: int) -> Iterator[ThreadPoolExecutor | None]:
    """Opens a pool of threads for sums of masks where it pays, and yields None where it does not.

    Open it for one session, not for the life of the program: its threads start with its first task, and the
    system then spreads them over idle processors. Threads that have waited in a pool wake up where the
    caller runs, and on a machine of two processors stay there for some 20 ms: two gained nothing on 16 ms
    of work, where fresh ones took 0.59 of the time.

    Args:
        words: as `threads_for`.
        keys: as `threads_for`.
        modulus_bits: as `threads_for`.

    Yields:
        An executor for `ClientSession`, `ServerSession` or `simulate`.

    Raises:
        InvalidParameterError: `modulus_bits` is not 1 to 64.
    """
    threads = threads_for(words, keys=keys, modulus_bits=modulus_bits)
    if threads == 1:
        yield None
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="masks") as pool:
        yield pool


def _processors() -> int:
    """Returns how many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
