"""A server in a process of its own: no client shares its memory, and its time is taken around its own calls alone.

What crosses the pipe is what would cross a network. The parent waits for every answer, so that client and server
never run at the same time and neither slows the other down.

The process's memory is what the kernel says it grew by (the high-water mark of resident memory over what was
resident before the session began), the message in transit included. That is more than the library allocates: pages
that the allocator keeps count too. Linux only; elsewhere there is no figure.
"""

import gc
import multiprocessing
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from secagg import AdversaryModel, Result, SecAggError, ServerSession, SessionParams, simulate

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"

Expected = TypeVar("Expected")


@dataclass(frozen=True)
class Account:
    """What the server took: CPU seconds by stage, its last `close_stage`, and its memory."""

    cpu_s: dict[str, float]
    last_close_wall_s: float
    last_close_cpu_s: float
    peak_bytes: int | None


@dataclass(frozen=True)
class Answered:
    """What `close_stage` led to: whom to send to next at which stage, or the end."""

    stage: str
    receivers: tuple[int, ...]
    result: Result | None = None
    account: Account | None = None


class ServerProcess:
    """The parent's end. Leaving the context ends the process.

    Args:
        params: the session's parameters; clients are 0 to cohort_size - 1.
        identities: their public keys; empty for HONEST_BUT_CURIOUS.
        session_id: 16 bytes; two servers with the same one take the same messages.
        threads: workers of the executor; 1 is none.
    """

    def __init__(self, params: SessionParams, identities: Mapping[int, bytes], session_id: bytes, threads: int) -> None:
        methods = multiprocessing.get_all_start_methods()
        # A fork server has the imports behind it and nothing else: each server starts equal, and soon.
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if context.get_start_method() == "forkserver":
            context.set_forkserver_preload([__name__])
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, params, dict(identities), session_id, threads), daemon=True
        )
        self._process.start()
        theirs.close()
        self.invitation: bytes = self._pipe.recv_bytes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.terminate()

    def message_to(self, client: int) -> bytes:
        self._pipe.send(("message", client))
        return self._answer(bytes)

    def receive(self, client: int, data: bytes) -> None:
        self._pipe.send(("receive", client))
        self._pipe.send_bytes(data)
        self._answer(type(None))

    def close_stage(self) -> Answered:
        self._pipe.send(("close", 0))
        return self._answer(Answered)

    def _answer(self, expected: type[Expected]) -> Expected:
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, expected)
        return answer


class _Host:
    """The child's end: a server session whose every call is timed."""

    def __init__(
        self, params: SessionParams, identities: Mapping[int, bytes], session_id: bytes, executor: Executor | None
    ) -> None:
        self._before_bytes = _memory_bytes("VmRSS") if _reset_peak() else None
        self.server = ServerSession(
            params, range(params.cohort_size), identities or None, session_id=session_id, executor=executor
        )
        self._outbound: Mapping[int, bytes] = {}
        self._stage = self.server.stage
        self._cpu_s: dict[str, float] = defaultdict(float)

    def message_to(self, client: int) -> bytes:
        """Makes a message: part of the stage whose end called for it, which nobody has answered yet."""
        with self._timed():
            return self._outbound[client]

    def receive(self, client: int, data: bytes) -> None:
        self._stage = self.server.stage
        with self._timed():
            self.server.receive(client, data)

    def close_stage(self) -> Answered:
        # What was to be sent has been: a host that has sent it drops it.
        self._outbound = {}
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        with self._timed():
            closed = self.server.close_stage()
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
        if not isinstance(closed, Result):
            self._outbound = closed
            return Answered(self.server.stage, tuple(closed))
        peak = None if self._before_bytes is None else (_memory_bytes("VmHWM") or 0) - self._before_bytes
        return Answered(self._stage, (), closed, Account(dict(self._cpu_s), wall_s, cpu_s, peak))

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.process_time()
        try:
            yield
        finally:
            self._cpu_s[self._stage] += time.process_time() - started


def _serve(
    pipe: Connection, params: SessionParams, identities: Mapping[int, bytes], session_id: bytes, threads: int
) -> None:
    with ExitStack() as stack:
        _warm_up(params.adversary)
        # Its threads start with its first task, at the end of the session: those that have waited in a pool wake up
        # where the caller runs, and on two processors stay there.
        executor = stack.enter_context(ThreadPoolExecutor(threads)) if threads > 1 else None
        host = _Host(params, identities, session_id, executor)
        pipe.send_bytes(host.server.invitation)
        calls: dict[str, Callable[[int], object]] = {
            "message": host.message_to,
            "receive": lambda client: host.receive(client, pipe.recv_bytes()),
            "close": lambda _: host.close_stage(),
        }
        # The parent closes its end when it has what it wants.
        stack.enter_context(suppress(EOFError, ConnectionError))
        while True:
            kind, client = pipe.recv()
            answer: object
            try:
                answer = calls[kind](client)
            except SecAggError as error:
                answer = error
            pipe.send(answer)


def _warm_up(adversary: AdversaryModel) -> None:
    """Runs a tiny session, so that what libraries set up at their first call is no part of the figures."""
    params = SessionParams.for_cohort(cohort_size=5, vector_length=64, modulus_bits=32, adversary=adversary)
    simulate({client: np.ones(64, np.uint32) for client in range(5)}, params)
    gc.collect()


def _reset_peak() -> bool:
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return _STATUS.exists()
    return True


def _memory_bytes(field: str) -> int | None:
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else 1024 * int(found[1])
