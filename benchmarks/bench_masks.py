"""Masks of 99 keys over a million words, as a share of what the cipher alone can do in the same run.

Only the ratios mean anything: both sides see the same machine in the same minute.
"""

import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from secagg.masking import apply_masks, word_dtype
from secagg.prg import Suite, keystream, open_keystream

KEYS = [number.to_bytes(2, "big") * 16 for number in range(99)]
ADD, SUBTRACT = KEYS[:50], KEYS[50:]
BUFFER_SIZES = (1 << 16, 1 << 17, 1 << 18)


def update_into_rate() -> float:
    """Bytes per second of AES-128-CTR through `cryptography` over a warm buffer, best size."""
    rates = []
    for size in BUFFER_SIZES:
        plain, out = bytes(size), bytearray(size)
        update_into = open_keystream(Suite.AES_128_CTR, KEYS[0], 0, 1 << 60)
        for _ in range(5):
            calls = (1 << 27) // size
            started = time.perf_counter()
            for _ in range(calls):
                update_into(plain, out)
            rates.append(calls * size / (time.perf_counter() - started))
    return max(rates)


def openssl_rate() -> float | None:
    """Bytes per second that `openssl speed` reports for one core, or None without the program."""
    program = shutil.which("openssl")
    if program is None:
        return None
    arguments = ["speed", "-evp", "aes-128-ctr", "-bytes", "65536", "-seconds", "1"]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"^AES-128-CTR\s+([\d.]+)k", done.stdout, re.MULTILINE | re.IGNORECASE)
    return 1000 * float(found[1]) if found else None


def expected_words(dtype: np.dtype, places: list[int]) -> list[int]:
    """The signed sum of masks at a few coordinates, one keystream block at a time."""
    words = []
    for place in places:
        first = place * dtype.itemsize
        total = 0
        for key in KEYS:
            block = keystream(Suite.AES_128_CTR, key, 64, first // 64 * 64)
            word = int.from_bytes(block[first % 64 :][: dtype.itemsize], "little")
            total += word if key in ADD else -word
        words.append(total % 2 ** (8 * dtype.itemsize))
    return words


def report(name: str, rate: float, threads: int) -> None:
    cipher, program = update_into_rate(), openssl_rate()
    line = f"\n{name}: {rate / 1e9:.2f} GB/s = {rate / cipher:.2f} of update_into ({cipher / 1e9:.2f} GB/s, one thread)"
    if program is not None:
        line += f", {rate / program:.2f} of openssl speed ({program / 1e9:.2f} GB/s, one core)"
    print(f"{line}; {threads} thread{'s' * (threads > 1)}")


def measure(benchmark, apply: Callable[[np.ndarray], None], length: int, dtype: np.dtype) -> float:
    results = []

    def fresh():
        # Written once, as a caller's vector is: pages that come into being are no part of the work.
        return (np.full(length, 1, dtype),), {}

    def run(words: np.ndarray) -> None:
        started = time.perf_counter()
        apply(words)
        results.append((time.perf_counter() - started, words))

    benchmark.pedantic(run, setup=fresh, rounds=15, warmup_rounds=1)
    places = [0, 1, length // 2, length - 1]
    assert (results[-1][1][places] - dtype.type(1)).tolist() == expected_words(dtype, places)
    return len(KEYS) * length * dtype.itemsize / statistics.median(seconds for seconds, _ in results)


@pytest.mark.parametrize("modulus_bits", [16, 32])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("length", [10**6, 10**4])
def test_masks_of_99_keys(benchmark, modulus_bits: int, threads: int, length: int):
    dtype = word_dtype(modulus_bits)
    if threads == 1:
        rate = measure(benchmark, lambda words: apply_masks(words, ADD, SUBTRACT, Suite.AES_128_CTR), length, dtype)
    else:
        with ThreadPoolExecutor(threads) as pool:
            rate = measure(
                benchmark, lambda words: apply_masks(words, ADD, SUBTRACT, Suite.AES_128_CTR, pool), length, dtype
            )
    report(f"d = {length}, m = {modulus_bits}", rate, threads)
