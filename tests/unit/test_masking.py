"""Sums of masks against a loop over plain integers, and the same sum from every kind of executor."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import masking
from secagg.errors import InvalidInputError, InvalidParameterError
from secagg.masking import apply_masks, reduce_to_modulus, sum_masks, word_dtype
from secagg.prg import CHACHA20_STREAM_BYTES, Suite, keystream

LENGTHS = (0, 1, 63, 64, 65, 1000)
Words = npt.NDArray[np.unsignedinteger]


def some_keys(count: int) -> list[bytes]:
    return [bytes([number % 256, number // 256]) * 16 for number in range(count)]


def naive(start: list[int], item_bytes: int, add: list[bytes], subtract: list[bytes], suite: Suite) -> list[int]:
    total = list(start)
    for sign, keys in ((1, add), (-1, subtract)):
        for key in keys:
            stream = keystream(suite, key, len(start) * item_bytes)
            for i in range(len(start)):
                total[i] += sign * int.from_bytes(stream[i * item_bytes : (i + 1) * item_bytes], "little")
    return [value % 2 ** (8 * item_bytes) for value in total]


def some_words(length: int, dtype: np.dtype) -> Words:
    return np.random.default_rng(length).integers(0, 2**64 - 1, length, np.uint64, endpoint=True).astype(dtype)


@pytest.mark.parametrize("suite", list(Suite))
@pytest.mark.parametrize("modulus_bits", [8, 16, 32, 64])
@pytest.mark.parametrize("length", LENGTHS)
def test_masks_are_added_and_subtracted_word_by_word(suite: Suite, modulus_bits: int, length: int):
    dtype = word_dtype(modulus_bits)
    keys = some_keys(5)
    words = some_words(length, dtype)
    expected = naive(words.tolist(), dtype.itemsize, keys[:3], keys[3:], suite)
    apply_masks(words, keys[:3], keys[3:], suite)
    assert words.tolist() == expected


def test_vectors_longer_than_a_chunk_and_more_keys_than_are_opened_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "_CHUNK_BYTES", 128)
    monkeypatch.setattr(masking, "_KEYS_AT_ONCE", 2)
    keys = some_keys(5)
    words = some_words(100, np.dtype("<u4"))
    expected = naive(words.tolist(), 4, keys[:3], keys[3:], Suite.AES_128_CTR)
    apply_masks(words, keys[:3], keys[3:], Suite.AES_128_CTR)
    assert words.tolist() == expected


@given(st.integers(0, 300), st.integers(0, 4), st.integers(0, 4))
def test_subtracting_what_was_added_restores_the_vector(length: int, added: int, subtracted: int):
    keys = some_keys(added + subtracted)
    start = some_words(length, np.dtype("<u2"))
    words = start.copy()
    apply_masks(words, keys[:added], keys[added:], Suite.CHACHA20)
    assert added + subtracted == 0 or length < 8 or not np.array_equal(words, start)
    apply_masks(words, keys[added:], keys[:added], Suite.CHACHA20)
    assert np.array_equal(words, start)


def test_no_masks_change_nothing():
    words = np.arange(10, dtype=np.uint32)
    apply_masks(words, [], [], Suite.AES_128_CTR)
    assert words.tolist() == list(range(10))


@pytest.mark.parametrize("suite", list(Suite))
@pytest.mark.parametrize("start", [0, 32, 160])
def test_a_range_of_the_sum_is_a_slice_of_the_sum(suite: Suite, start: int):
    keys = some_keys(4)
    whole = sum_masks(suite, np.dtype("<u2"), keys[:2], keys[2:], range(300))
    part = sum_masks(suite, np.dtype("<u2"), keys[:2], keys[2:], range(start, 297))
    assert np.array_equal(part, whole[start:297])
    assert naive([0] * 300, 2, keys[:2], keys[2:], suite) == whole.tolist()


@pytest.fixture(params=["one thread", "three threads"])
def pool(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with ThreadPoolExecutor(1 if request.param == "one thread" else 3) as executor:
        yield executor


@pytest.mark.parametrize("suite", list(Suite))
@pytest.mark.parametrize("length", [*LENGTHS, 16 * 64])
def test_threads_give_the_same_words(suite: Suite, length: int, pool: Executor, monkeypatch: pytest.MonkeyPatch):
    # 16 words of 32 bits in a shard, and more shards than may be outstanding.
    monkeypatch.setattr(masking, "SHARD_BYTES", 64)
    keys = some_keys(6)
    serial, sharded = np.ones(length, np.uint32), np.ones(length, np.uint32)
    apply_masks(serial, keys[:1], keys[1:], suite)
    apply_masks(sharded, keys[:1], keys[1:], suite, pool)
    assert np.array_equal(serial, sharded)


def test_processes_give_the_same_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "SHARD_BYTES", 1024)
    keys = some_keys(6)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        for dtype in (np.uint8, np.uint64):
            serial, sharded = np.ones(1000, dtype), np.ones(1000, dtype)
            apply_masks(serial, keys[:2], keys[2:], Suite.AES_128_CTR)
            apply_masks(sharded, keys[:2], keys[2:], Suite.AES_128_CTR, executor)
            assert np.array_equal(serial, sharded)


class FailingExecutor(Executor):
    """A thread whose task of one number fails."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.futures: list[Future] = []
        self._fails_at = fails_at
        self._pool = ThreadPoolExecutor(1)

    def submit(self, function, /, *arguments):
        if len(self.futures) == self._fails_at:
            future = self._pool.submit(self._fail)
        else:
            future = self._pool.submit(function, *arguments)
        self.futures.append(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _fail(self):
        raise ConnectionError("a worker is gone")


@pytest.mark.parametrize("fails_at", [0, 3, 15])
def test_a_failed_task_propagates_and_leaves_the_vector_as_it_was(fails_at: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "SHARD_BYTES", 64)
    words = np.arange(16 * 16, dtype=np.uint32)
    with FailingExecutor(fails_at) as executor, pytest.raises(ConnectionError):
        apply_masks(words, some_keys(2), [], Suite.AES_128_CTR, executor)
    assert words.tolist() == list(range(16 * 16))


class IdleExecutor(Executor):
    """Takes tasks and never starts them; asking for the first result is refused."""

    def __init__(self) -> None:
        self.futures: list[Future] = []

    def submit(self, _function, /, *_arguments):
        future: Future = Future()
        if not self.futures:
            future.result = self._refuse  # type: ignore[method-assign]
        self.futures.append(future)
        return future

    def _refuse(self):
        raise TimeoutError


def test_few_tasks_are_outstanding_and_a_failure_cancels_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "SHARD_BYTES", 64)
    executor = IdleExecutor()
    with pytest.raises(TimeoutError):
        apply_masks(np.zeros(16 * 1000, np.uint32), some_keys(1), [], Suite.AES_128_CTR, executor)
    assert len(executor.futures) == masking.OUTSTANDING_SHARDS
    assert all(future.cancelled() for future in executor.futures[1:])


def test_the_shard_size_keeps_shards_seekable():
    assert masking.SHARD_BYTES % 64 == 0
    assert masking._CHUNK_BYTES % 64 == 0


@pytest.mark.parametrize(
    "accumulator",
    [
        np.zeros(4, np.int32),
        np.zeros(4, np.float32),
        np.zeros(4, ">u4"),
        np.zeros((2, 2), np.uint32),
        np.zeros(8, np.uint32)[::2],
    ],
)
def test_an_accumulator_of_another_form_is_refused(accumulator: Words):
    with pytest.raises(InvalidInputError, match="accumulator"):
        apply_masks(accumulator, some_keys(1), [], Suite.AES_128_CTR)


def test_a_read_only_accumulator_is_refused():
    accumulator = np.zeros(4, np.uint32)
    accumulator.flags.writeable = False
    with pytest.raises(InvalidInputError, match="accumulator"):
        apply_masks(accumulator, some_keys(1), [], Suite.AES_128_CTR)


def test_a_bad_key_is_refused_before_anything_is_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "_KEYS_AT_ONCE", 1)
    words = np.zeros(100, np.uint32)
    for add, subtract in (([*some_keys(2), b"hidden"], []), (some_keys(2), [b"hidden"])):
        with pytest.raises(InvalidParameterError) as caught:
            apply_masks(words, add, subtract, Suite.AES_128_CTR)
        assert "hidden" not in str(caught.value)
        assert not words.any()


def test_an_unknown_suite_and_a_range_past_the_stream_are_refused():
    with pytest.raises(InvalidParameterError, match="suite"):
        apply_masks(np.zeros(1, np.uint8), some_keys(1), [], 7)  # type: ignore[arg-type]
    end = CHACHA20_STREAM_BYTES
    with pytest.raises(InvalidParameterError, match="ChaCha20"):
        sum_masks(Suite.CHACHA20, np.dtype("<u1"), some_keys(1), [], range(end - 64, end + 1))


@given(st.integers(1, 64))
def test_reducing_keeps_the_low_bits(modulus_bits: int):
    words = some_words(50, word_dtype(modulus_bits))
    expected = [word % 2**modulus_bits for word in words.tolist()]
    reduce_to_modulus(words, modulus_bits)
    assert words.tolist() == expected


def test_reducing_refuses_another_dtype_or_modulus():
    with pytest.raises(InvalidInputError, match="words"):
        reduce_to_modulus(np.zeros(1, np.uint64), 32)
    with pytest.raises(InvalidParameterError, match="modulus_bits"):
        reduce_to_modulus(np.zeros(1, np.uint64), 65)
