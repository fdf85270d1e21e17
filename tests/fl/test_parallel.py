"""Threads are offered where they were measured to pay, and nowhere else."""

import os
import threading

import cryptography
import numpy as np
import pytest

from fl import parallel
from fl.parallel import thread_pool, threads_for
from secagg import InvalidParameterError, Suite
from secagg.primitives.masking import apply_masks

LARGE = {"words": 10**6, "keys": 100, "modulus_bits": 32}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_processors", lambda: 4)
    monkeypatch.setattr(cryptography, "__version__", "50.0.2")


@pytest.mark.parametrize(
    ("words", "keys", "modulus_bits", "threads"),
    [
        (10**6, 100, 32, 4),
        (10**6, 100, 16, 4),
        (10**5, 1000, 32, 4),
        # Short vectors never, however many keys there are.
        (10**4, 10**6, 32, 1),
        # Not for a few milliseconds of work.
        (10**6, 10, 32, 1),
        (10**5, 100, 32, 1),
        # A word of 17 bits takes 32, one of 8 bits takes 8.
        (10**6, 20, 17, 4),
        (10**6, 20, 8, 1),
        (0, 0, 1, 1),
    ],
)
def test_threads_are_offered_where_they_pay(words: int, keys: int, modulus_bits: int, threads: int) -> None:
    assert threads_for(words, keys=keys, modulus_bits=modulus_bits) == threads


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (2, 2), (8, 8), (64, 8)])
def test_threads_are_as_many_as_processors_and_few(
    processors: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_processors", lambda: processors)
    assert threads_for(**LARGE) == threads


@pytest.mark.parametrize(("version", "threads"), [("43.0.0", 1), ("49.0.0", 1), ("50.0.0", 4), ("51.0.0.dev1", 4)])
def test_an_older_cryptography_keeps_the_lock(version: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cryptography, "__version__", version)
    assert threads_for(**LARGE) == threads


def test_a_modulus_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="modulus_bits"), thread_pool(1, 1, 65):
        pass


def test_the_pool_computes_the_same_sum_and_ends_with_the_block() -> None:
    before = threading.active_count()
    keys = [bytes([number]) * 32 for number in range(60)]
    serial, threaded = np.ones(300_000, np.uint32), np.ones(300_000, np.uint32)
    apply_masks(serial, add=keys[:20], subtract=keys[20:], suite=Suite.AES_128_CTR)
    with thread_pool(300_000, 60, 32) as pool:
        assert pool is not None
        assert threading.active_count() == before
        apply_masks(threaded, add=keys[:20], subtract=keys[20:], suite=Suite.AES_128_CTR, executor=pool)
    assert np.array_equal(serial, threaded)
    assert threading.active_count() == before


def test_where_threads_do_not_pay_there_is_no_pool() -> None:
    with thread_pool(10, 10, 32) as pool:
        assert pool is None


def test_the_processors_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    if hasattr(os, "sched_getaffinity"):
        assert parallel._processors() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert parallel._processors() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert parallel._processors() == 1
