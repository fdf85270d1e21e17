"""The sum from every kind of executor and every way to cut it equals the serial one, or the vector stays as it was."""

import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import TaskResultError
from secagg.primitives import masking
from secagg.primitives.masking import MaskTask, apply_masks, sum_masks, word_dtype
from secagg.primitives.prg import Suite, keystream

LENGTHS = (0, 1, 63, 64, 65, 1000)
Words = npt.NDArray[np.unsignedinteger]


def some_keys(count: int) -> list[bytes]:
    return [bytes([number]) * 32 for number in range(count)]


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
    apply_masks(serial, add=keys[:1], subtract=keys[1:], suite=suite)
    apply_masks(sharded, add=keys[:1], subtract=keys[1:], suite=suite, executor=pool)
    assert np.array_equal(serial, sharded)


class InlineExecutor(Executor):
    """Runs each task at once, in this thread, and remembers it; `change` turns its result into what is returned."""

    def __init__(self, change: Callable[[Words], object] = lambda words: words) -> None:
        self.tasks: list[MaskTask] = []
        self.returned: list = []
        self._change = change

    def submit(self, function, task, /):
        assert function is sum_masks
        self.tasks.append(task)
        self.returned.append(self._change(function(task)))
        future: Future = Future()
        future.set_result(self.returned[-1])
        return future


@given(
    length=st.integers(1, 700),
    added=st.integers(0, 7),
    subtracted=st.integers(0, 7),
    ranges=st.integers(1, 12),
    groups=st.integers(1, 7),
    modulus_bits=st.sampled_from([8, 16, 32, 64]),
)
def test_every_plan_gives_the_same_words(
    length: int, added: int, subtracted: int, ranges: int, groups: int, modulus_bits: int
):
    keys = some_keys(added + subtracted)
    serial = np.arange(length).astype(word_dtype(modulus_bits))
    planned = serial.copy()
    apply_masks(serial, add=keys[:added], subtract=keys[added:], suite=Suite.AES_128_CTR)
    executor = InlineExecutor()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masking, "_plan", lambda *_: (ranges, groups))
        apply_masks(planned, add=keys[:added], subtract=keys[added:], suite=Suite.AES_128_CTR, executor=executor)
    assert np.array_equal(serial, planned)
    assert len(executor.tasks) <= ranges * groups


@given(st.integers(1, 1 << 33), st.integers(1, 1 << 18), st.integers(1, 200))
def test_plans_keep_their_bounds(size: int, keys: int, workers: int):
    ranges, groups = masking._plan(size, keys, workers)
    assert ranges >= 1
    assert 1 <= groups <= keys
    assert ranges * masking.SHARD_BYTES >= size
    enough_for = keys * (size + masking._OPENING_BYTES) // masking._LEAST_TASK_BYTES
    assert ranges * groups <= max(enough_for, workers + size / masking.SHARD_BYTES)


@pytest.mark.parametrize(
    ("size", "keys", "workers", "plan"),
    [
        # Long vectors are cut along the coordinates, one range for each worker.
        (4_000_000, 100, 2, (2, 1)),
        (4_000_000, 100, 16, (16, 1)),
        # No task returns more than SHARD_BYTES, and all workers have the same to do.
        (40_000_000, 100, 2, (6, 1)),
        # Many keys with short vectors are dealt out: every range would open all of them again.
        (20_000, 10_000, 2, (1, 2)),
        (400_000, 1_000, 16, (1, 16)),
        (4_000_000, 1_000, 16, (4, 4)),
        # Little work is one task.
        (20_000, 99, 16, (1, 1)),
        (0, 1, 16, (1, 1)),
        # With more than seconds of work for everyone, the tasks are of about one second.
        (4_000_000, 200_000, 2, (1, 93)),
    ],
)
def test_a_sum_is_cut_where_it_costs_least(size: int, keys: int, workers: int, plan: tuple[int, int]):
    assert masking._plan(size, keys, workers) == plan


def test_a_task_holds_stream_keys_and_a_range_and_every_key_meets_every_coordinate_once(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(masking, "_plan", lambda *_: (3, 2))
    keys = some_keys(7)
    executor = InlineExecutor()
    apply_masks(np.zeros(300, np.uint16), add=keys[:4], subtract=keys[4:], suite=Suite.AES_128_CTR, executor=executor)
    met = []
    for task in executor.tasks:
        added, subtracted = task.add, task.subtract
        assert (task.suite, task.dtype, type(task.coordinates)) == (Suite.AES_128_CTR, np.uint16, range)
        assert set(added) <= set(keys[:4])
        assert set(subtracted) <= set(keys[4:])
        met += [(key, coordinate) for key in (*added, *subtracted) for coordinate in task.coordinates]
    assert sorted(met) == sorted((key, coordinate) for key in keys for coordinate in range(300))
    # What crosses to another process: seven keys of 32 bytes for each of three ranges, and a few names.
    assert len(pickle.dumps(executor.tasks)) < 3 * 7 * 32 + 1000


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 8))
def test_keys_are_dealt_out_evenly(added: int, subtracted: int, groups: int):
    keys = some_keys(added + subtracted)
    grouped = masking._grouped(keys[:added], keys[added:], groups)
    sizes = [len(add) + len(subtract) for add, subtract in grouped]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(key for add, _ in grouped for key in add) == sorted(keys[:added])
    assert sorted(key for _, subtract in grouped for key in subtract) == sorted(keys[added:])


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_results_may_be_read_only_and_stay_as_they_are(groups: int, monkeypatch: pytest.MonkeyPatch):
    def frozen(words: Words) -> Words:
        words.flags.writeable = False
        return words

    monkeypatch.setattr(masking, "_plan", lambda *_: (2, groups))
    # The same key everywhere: an executor that remembers results may hand out one array several times.
    remembered: dict = {}
    executor = InlineExecutor(lambda words: remembered.setdefault(words.tobytes(), frozen(words)))
    words, expected = np.ones(64, np.uint16), np.ones(64, np.uint16)
    apply_masks(words, add=some_keys(1) * 6, subtract=[], suite=Suite.AES_128_CTR, executor=executor)
    apply_masks(expected, add=some_keys(1) * 6, subtract=[], suite=Suite.AES_128_CTR)
    assert np.array_equal(words, expected)
    assert all(key == value.tobytes() for key, value in remembered.items())


@pytest.mark.slow
def test_processes_give_the_same_words(monkeypatch: pytest.MonkeyPatch):
    keys = some_keys(6)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        for plan in ((4, 1), (1, 3), (2, 2)):
            monkeypatch.setattr(masking, "_plan", lambda *_, plan=plan: plan)
            for dtype in (np.uint8, np.uint64):
                serial, sharded = np.ones(1000, dtype), np.ones(1000, dtype)
                apply_masks(serial, add=keys[:2], subtract=keys[2:], suite=Suite.AES_128_CTR)
                apply_masks(sharded, add=keys[:2], subtract=keys[2:], suite=Suite.AES_128_CTR, executor=executor)
                assert np.array_equal(serial, sharded)


class BackwardExecutor(Executor):
    """Begins when it has all tasks, takes its time over each, and the last one comes first."""

    def __init__(self, tasks: int) -> None:
        self.finished: list[range] = []
        self._tasks = tasks
        self._waiting: list[tuple[Future, MaskTask]] = []

    def submit(self, _function, task, /):
        future: Future = Future()
        self._waiting.append((future, task))
        if len(self._waiting) == self._tasks:
            self._thread = threading.Thread(target=self._run)
            self._thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._thread.join()

    def _run(self) -> None:
        for future, task in reversed(self._waiting):
            time.sleep(0.002)
            self.finished.append(task.coordinates)
            future.set_result(sum_masks(task))


@pytest.mark.parametrize("plan", [(6, 1), (1, 6), (2, 3)])
def test_slow_tasks_that_finish_in_another_order_give_the_same_words(
    plan: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(masking, "_plan", lambda *_: plan)
    keys = some_keys(6)
    serial, sharded = np.ones(6 * 64, np.uint8), np.ones(6 * 64, np.uint8)
    apply_masks(serial, add=keys[:2], subtract=keys[2:], suite=Suite.CHACHA20)
    with BackwardExecutor(6) as executor:
        apply_masks(sharded, add=keys[:2], subtract=keys[2:], suite=Suite.CHACHA20, executor=executor)
    assert executor.finished[0].stop == len(sharded)
    assert np.array_equal(serial, sharded)


@pytest.mark.parametrize("plan", [(3, 1), (1, 3)])
@pytest.mark.parametrize(
    ("change", "returned"),
    [
        (lambda words: words[:-1], "an array of uint16"),
        (lambda words: words[:1], "an array of uint16"),
        (lambda words: np.append(words, words[:1]), "an array of uint16"),
        (lambda words: words[np.newaxis], "an array of uint16"),
        (lambda words: words[0, np.newaxis], "an array of uint16"),
        (lambda words: words.astype(np.uint8), "an array of uint8"),
        (lambda words: words.astype(np.int16), "an array of int16"),
        (lambda words: words.astype(">u2"), "an array of >u2"),
        (lambda words: words.astype(object), "an array of object"),
        (lambda words: words.tolist(), "a value of type list"),
        (lambda words: words.tobytes(), "a value of type bytes"),
        (lambda _: 0, "a value of type int"),
        (lambda _: None, "a value of type NoneType"),
    ],
)
def test_a_result_of_another_form_is_refused_and_leaves_the_vector_as_it_was(
    change: Callable[[Words], object], returned: str, plan: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(masking, "_plan", lambda *_: plan)
    words = np.arange(96, dtype=np.uint16)
    with pytest.raises(TaskResultError) as caught:
        apply_masks(words, add=some_keys(3), subtract=[], suite=Suite.AES_128_CTR, executor=InlineExecutor(change))
    assert caught.value.returned.startswith(returned)
    assert caught.value.expected == f"{32 if plan[0] == 3 else 96} words of uint16"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert words.tolist() == list(range(96))


def test_how_many_workers_an_executor_has_is_a_guess_that_only_plans():
    processors = os.cpu_count() or 1
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(999) as many:
        assert masking._workers(one) == 1
        assert masking._workers(many) == processors
    assert masking._workers(InlineExecutor()) == masking.OUTSTANDING_SHARDS
    for told, believed in ((3, 3), (0, 0), (None, masking.OUTSTANDING_SHARDS), ("2", masking.OUTSTANDING_SHARDS)):
        executor = InlineExecutor()
        executor._max_workers = told  # type: ignore[attr-defined]
        assert masking._workers(executor) == believed
        words = np.zeros(10, np.uint8)
        apply_masks(words, add=some_keys(1), subtract=[], suite=Suite.CHACHA20, executor=executor)
        assert words.tolist() == list(keystream(Suite.CHACHA20, some_keys(1)[0], length=10))


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
        apply_masks(words, add=some_keys(2), subtract=[], suite=Suite.AES_128_CTR, executor=executor)
    assert words.tolist() == list(range(16 * 16))


class IdleExecutor(Executor):
    """Takes tasks and never starts them, but for the first, which fails if an error is given."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.futures: list[Future] = []
        self._error = error

    def submit(self, _function, /, *_arguments):
        future: Future = Future()
        if not self.futures and self._error is not None:
            future.set_exception(self._error)
        self.futures.append(future)
        return future


def test_few_tasks_are_outstanding_and_a_failure_cancels_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "SHARD_BYTES", 64)
    executor = IdleExecutor(TimeoutError())
    with pytest.raises(TimeoutError):
        apply_masks(
            np.zeros(16 * 1000, np.uint32), add=some_keys(1), subtract=[], suite=Suite.AES_128_CTR, executor=executor
        )
    assert len(executor.futures) == masking.OUTSTANDING_SHARDS
    assert all(future.cancelled() for future in executor.futures[1:])


def test_what_no_worker_begins_is_done_by_the_thread_that_needs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "SHARD_BYTES", 64)
    monkeypatch.setattr(masking, "PATIENCE_S", 0.01)
    executor, keys = IdleExecutor(), some_keys(3)
    words, expected = (np.zeros(16 * 40, np.uint32) for _ in range(2))
    apply_masks(words, add=keys[:2], subtract=keys[2:], suite=Suite.AES_128_CTR, executor=executor)
    apply_masks(expected, add=keys[:2], subtract=keys[2:], suite=Suite.AES_128_CTR)
    assert np.array_equal(words, expected)
    assert all(future.cancelled() for future in executor.futures)


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_of_the_executor_may_call_with_the_executor(workers: int, monkeypatch: pytest.MonkeyPatch):
    """All workers wait for tasks that are queued behind themselves."""
    monkeypatch.setattr(masking, "SHARD_BYTES", 64)
    monkeypatch.setattr(masking, "PATIENCE_S", 0.05)
    keys, together = some_keys(2), threading.Barrier(workers)
    expected = np.zeros(16 * 20, np.uint32)
    apply_masks(expected, add=keys, subtract=[], suite=Suite.AES_128_CTR)

    def masked() -> np.ndarray:
        together.wait()
        words = np.zeros(16 * 20, np.uint32)
        apply_masks(words, add=keys, subtract=[], suite=Suite.AES_128_CTR, executor=pool)
        return words

    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(masked) for _ in range(workers)]:
            assert np.array_equal(future.result(), expected)


def test_the_shard_size_keeps_shards_seekable():
    assert masking.SHARD_BYTES % 64 == 0
    assert masking._CHUNK_BYTES % 64 == 0
