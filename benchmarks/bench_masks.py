"""Sums of masks: as a share of what the cipher alone can do, and against the same sum on two workers.

Only the ratios mean anything: both sides see the same machine in the same minutes, taking turns. One thread is
compared by the processor time that it takes, as `openssl speed` counts; two workers by the clock, so on a machine
with something else to do their figure is too low.
"""

import multiprocessing
import re
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from secagg import Suite
from secagg.primitives import WordDtype, apply_masks, keystream, open_keystream, word_dtype

Words = npt.NDArray[np.unsignedinteger]
Executors = Callable[[], AbstractContextManager[Executor | None]]

ROUNDS = 21
BUFFER_BYTES = 1 << 17
CIPHER_BYTES = 1 << 27
PLACES = (0, 1, 12345)
"""Coordinates, modulo the length, at which sums are compared with integer arithmetic."""


@dataclass(frozen=True)
class Medians:
    """Seconds by what was done."""

    clock: dict[str, float]
    processor: dict[str, float]


def some_keys(count: int) -> list[bytes]:
    return [number.to_bytes(2, "big") * 16 for number in range(count)]


def cipher() -> None:
    """AES-128-CTR through `cryptography` over a warm buffer, nothing else."""
    plain, out = bytes(BUFFER_BYTES), bytearray(BUFFER_BYTES)
    update_into = open_keystream(Suite.AES_128_CTR, bytes(32), start=0, stop=CIPHER_BYTES)
    for _ in range(CIPHER_BYTES // BUFFER_BYTES):
        update_into(plain, out)


def two_threads() -> Executor:
    """Returns threads that start with the sum: those that wait in a pool may all be woken up on one core."""
    return ThreadPoolExecutor(2)


def two_ciphers() -> None:
    with two_threads() as pool:
        for future in [pool.submit(cipher), pool.submit(cipher)]:
            future.result()


def openssl_rate() -> float | None:
    """Bytes per second that `openssl speed` reports for one core, or None without the program."""
    program = shutil.which("openssl")
    if program is None:
        return None
    arguments = ["speed", "-evp", "aes-128-ctr", "-bytes", "65536", "-seconds", "1"]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"^AES-128-CTR\s+([\d.]+)k", done.stdout, re.MULTILINE | re.IGNORECASE)
    return 1000 * float(found[1]) if found else None


def expected_words(dtype: WordDtype, keys: list[bytes], places: list[int]) -> list[int]:
    """The signed sum of masks at a few coordinates, one keystream block at a time."""
    words = []
    for place in places:
        first = place * dtype.itemsize
        total = 0
        for number, key in enumerate(keys):
            block = keystream(Suite.AES_128_CTR, key, length=64, offset=first // 64 * 64)
            word = int.from_bytes(block[first % 64 :][: dtype.itemsize], "little")
            total += word if number < len(keys) // 2 else -word
        words.append(total % 2 ** (8 * dtype.itemsize))
    return words


def measure(
    benchmark: Any, keys: list[bytes], length: int, modulus_bits: int, executors: Mapping[str, Executors]
) -> Medians:
    """Measures the sum with every executor and the cipher alone, in turns, and compares all results."""
    dtype = word_dtype(modulus_bits)
    half = len(keys) // 2
    clock: dict[str, list[float]] = defaultdict(list)
    processor: dict[str, list[float]] = defaultdict(list)
    results: list[Words] = []

    def timed(name: str, call: Callable[[], None]) -> None:
        started, used = time.perf_counter(), time.process_time()
        call()
        clock[name].append(time.perf_counter() - started)
        processor[name].append(time.process_time() - used)

    def take_turns() -> None:
        results.clear()
        timed("cipher", cipher)
        timed("two ciphers", two_ciphers)
        for name, executor in executors.items():
            # Written once, as a caller's vector is: pages that come into being are no part of the work.
            words = np.full(length, 1, dtype)

            def apply(executor: Executors = executor, words: Words = words) -> None:
                with executor() as pool:
                    apply_masks(words, add=keys[:half], subtract=keys[half:], suite=Suite.AES_128_CTR, executor=pool)

            timed(name, apply)
            results.append(words)

    benchmark.pedantic(take_turns, rounds=ROUNDS, warmup_rounds=1)
    places = [place % length for place in PLACES]
    for words in results:
        assert np.array_equal(words, results[0])
    assert (results[0][places] - dtype.type(1)).tolist() == expected_words(dtype, keys, places)
    # The first is the warm-up.
    medians = Medians(*({name: median(taken[1:]) for name, taken in one.items()} for one in (clock, processor)))
    benchmark.extra_info.update(asdict(medians))
    return medians


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        # Their imports are no part of any sum.
        for future in [pool.submit(time.sleep, 1.0) for _ in range(2)]:
            future.result()
        yield pool


def report(name: str, volume: int, medians: Medians) -> None:
    program = openssl_rate()
    one, cipher_rate = volume / medians.processor["serial"], CIPHER_BYTES / medians.processor["cipher"]
    line = f"\n{name}: {one / 1e9:.2f} GB/s = {one / cipher_rate:.2f} of update_into ({cipher_rate / 1e9:.2f} GB/s)"
    if program is not None:
        line += f", {one / program:.2f} of openssl speed ({program / 1e9:.2f} GB/s)"
    for kind in ("threads", "processes"):
        if kind in medians.clock:
            line += f"; two {kind} {medians.clock['serial'] / medians.clock[kind]:.2f} times one"
    print(f"{line} (the cipher alone {2 * medians.clock['cipher'] / medians.clock['two ciphers']:.2f})")


@pytest.mark.parametrize("modulus_bits", [16, 32])
def test_masks_of_99_keys_over_a_million_words(benchmark: Any, modulus_bits: int) -> None:
    keys, length = some_keys(99), 10**6
    medians = measure(benchmark, keys, length, modulus_bits, {"serial": nullcontext, "threads": two_threads})
    report(f"d = {length}, m = {modulus_bits}", len(keys) * length * word_dtype(modulus_bits).itemsize, medians)


@pytest.mark.parametrize("modulus_bits", [16, 32])
@pytest.mark.parametrize("count", [99, 1000, 10_000])
def test_masks_of_many_keys_over_ten_thousand_words(
    benchmark: Any, modulus_bits: int, count: int, processes: Executor
) -> None:
    keys, length = some_keys(count), 10**4
    executors: dict[str, Executors] = {
        "serial": nullcontext,
        "threads": two_threads,
        "processes": lambda: nullcontext(processes),
    }
    medians = measure(benchmark, keys, length, modulus_bits, executors)
    volume = count * length * word_dtype(modulus_bits).itemsize
    report(f"d = {length}, m = {modulus_bits}, {count} keys", volume, medians)
