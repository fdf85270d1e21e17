"""One cell measured: a whole session over real bytes, every client real, the sum compared with the plain one.

What is counted, and how:

* A client is its `ClientSession`. CPU is process time around each `receive`, and the figure is the median over
  all clients that stayed to the end. Making its identity and its input is not counted; nor is the policy, which a
  client makes once and keeps.
* The server runs in a process of its own (`benchmarks.server_process`). Its CPU is process time around `receive`,
  `close_stage` and the making of what it sends, by stage; the transport is not counted.
* "After the last message" is the wall time of the last `close_stage`, which rebuilds the secrets and takes the masks
  off: once with one thread, once with two. A second server with two threads takes the same messages for that.
* Clients run one after the other and hand their input over at once, so that a session whose inputs together are
  gigabytes needs neither that memory nor that disk. Nothing runs at the same time as what is measured, except what
  else the machine does.
"""

import secrets
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.cells import Cell, Inputs
from benchmarks.server_process import Account, Answered, ServerProcess
from secagg import ClientSession, Identity, Stage

REPEAT_UNTIL_S = 1.0
MOST_REPEATS = 5


@dataclass(frozen=True)
class Measurement:
    """The figures of one cell; CPU by stage, bytes of one client, all medians.

    Args:
        client_cpu_s: by stage.
        client_total_s: of the whole session; not the sum of the medians by stage.
        all_clients_cpu_s: every client together.
        server_cpu_s: by stage.
        unmask_wall_s: the server's last `close_stage`, by number of threads.
        unmask_cpu_s: the same in CPU. Where one thread's wall time is much larger, the machine had other work.
        up_bytes: what a client sent.
        down_bytes: what a client was sent.
        server_peak_bytes: what the server's process grew by at most; None where the kernel does not tell.
        wall_s: the whole session: every client, server and transport.
        repeats: how many sessions these are medians of.
    """

    client_cpu_s: dict[str, float]
    client_total_s: float
    all_clients_cpu_s: float
    server_cpu_s: dict[str, float]
    unmask_wall_s: dict[str, float]
    unmask_cpu_s: dict[str, float]
    up_bytes: int
    down_bytes: int
    server_peak_bytes: int | None
    wall_s: float
    repeats: int

    @property
    def server_total_s(self) -> float:
        return sum(self.server_cpu_s.values())

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"server_total_s": self.server_total_s}


def measure(
    cell: Cell,
    *,
    threads: tuple[int, ...] = (1, 2),
    on_client: Callable[[float], None] = lambda _: None,
) -> Measurement:
    """Runs sessions of one cell: one, or up to five while they are short.

    Args:
        cell: the size.
        threads: how many of the server to time after the last message; the first has to be 1.
        on_client: called with the part of the session that is done.

    Raises:
        AssertionError: the sum, its survivors or the bytes that a client sent are not what they have to be.
    """
    measured = [_measure_once(cell, threads, on_client)]
    while len(measured) < MOST_REPEATS and sum(one.wall_s for one in measured) < REPEAT_UNTIL_S:
        measured.append(_measure_once(cell, threads, on_client))
    return _medians(measured)


class _Session:
    """One session, with what every client took and sent."""

    def __init__(self, cell: Cell, on_client: Callable[[float], None]) -> None:
        self._cell = cell
        self._inputs = Inputs(cell)
        self._on_client = on_client
        self._identities = {client: Identity.generate() for client in range(cell.clients)} if cell.params.active else {}
        self.public_keys = {client: identity.public_key for client, identity in self._identities.items()}
        policy = cell.policy(self.public_keys)
        self._clients = {
            client: ClientSession(client, policy, self._identities.get(client)) for client in range(cell.clients)
        }
        self._asked = 0
        self.expected = np.zeros_like(self._inputs.of(0))
        """The sum of the inputs handed over so far."""
        self.cpu_s: dict[int, dict[str, float]] = defaultdict(dict)
        self.up, self.down = defaultdict[int, int](int), defaultdict[int, int](int)

    def run(self, servers: Sequence[ServerProcess]) -> list[Answered]:
        """Returns what the last `close_stage` of each server gave."""
        answered = [Answered(Stage.ADVERTISE_KEYS, tuple(self._clients))] * len(servers)
        while answered[0].result is None:
            stage, receivers = answered[0].stage, answered[0].receivers
            assert all(one.receivers == receivers for one in answered), "the servers disagree"
            for client in receivers:
                message = servers[0].invitation if stage == Stage.ADVERTISE_KEYS else servers[0].message_to(client)
                reply = self._reply(client, stage, message)
                if reply is not None:
                    for server in servers:
                        server.receive(client, reply)
            answered = [server.close_stage() for server in servers]
        return answered

    def _reply(self, client: int, stage: str, message: bytes) -> bytes | None:
        self._asked += 1
        self._on_client(self._asked / (self._cell.clients * (len(Stage) - (not self._cell.params.active))))
        self.down[client] += len(message)
        if client in self._cell.dropped and Stage(stage).number >= 2:
            return None
        session = self._clients[client]
        vector = None
        if session.wants_input:
            vector = self._inputs.of(client)
            self.expected += vector
        started = time.process_time()
        reply = session.receive(message, vector=vector)
        self.cpu_s[client][stage] = time.process_time() - started
        assert reply is not None, "an honest client answers every round"
        self.up[client] += len(reply)
        if session.over:
            # What a client keeps after its last word is no part of anyone's cost.
            del self._clients[client]
        return reply


def _measure_once(cell: Cell, threads: tuple[int, ...], on_client: Callable[[float], None]) -> Measurement:
    session = _Session(cell, on_client)
    session_id = secrets.token_bytes(16)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ServerProcess(cell.params, session.public_keys, session_id, number))
            for number in threads
        ]
        begun = time.perf_counter()
        answered = session.run(servers)
        wall_s = time.perf_counter() - begun
    _check(cell, session, answered)
    accounts = [one.account for one in answered if one.account is not None]
    return _figures(cell, session, dict(zip(map(str, threads), accounts, strict=True)), wall_s)


def _check(cell: Cell, session: _Session, answered: Sequence[Answered]) -> None:
    survivors = frozenset(range(cell.clients)) - frozenset(cell.dropped)
    expected = session.expected & session.expected.dtype.type(2**cell.modulus_bits - 1)
    for one in answered:
        assert one.result is not None
        assert one.result.survivors == survivors, "the survivors are others"
        assert np.array_equal(one.result.sum, expected), "the sum is wrong"
    most = max(session.up.values())
    assert most <= cell.upload_allowed_bytes, f"{most} bytes up, {cell.upload_allowed_bytes} are allowed"


def _figures(cell: Cell, session: _Session, accounts: dict[str, Account], wall_s: float) -> Measurement:
    stayed = [client for client in range(cell.clients) if client not in cell.dropped]
    first = next(iter(accounts.values()))
    stages = [stage for stage in Stage if stage in first.cpu_s]
    cpu_s = session.cpu_s
    return Measurement(
        client_cpu_s={stage: statistics.median(cpu_s[client][stage] for client in stayed) for stage in stages},
        client_total_s=statistics.median(sum(cpu_s[client].values()) for client in stayed),
        all_clients_cpu_s=sum(sum(one.values()) for one in cpu_s.values()),
        server_cpu_s=first.cpu_s,
        unmask_wall_s={number: account.last_close_wall_s for number, account in accounts.items()},
        unmask_cpu_s={number: account.last_close_cpu_s for number, account in accounts.items()},
        up_bytes=int(statistics.median(session.up[client] for client in stayed)),
        down_bytes=int(statistics.median(session.down[client] for client in stayed)),
        server_peak_bytes=first.peak_bytes,
        wall_s=wall_s,
        repeats=1,
    )


def _medians(measured: list[Measurement]) -> Measurement:
    def median(of: Callable[[Measurement], float]) -> float:
        return statistics.median(of(one) for one in measured)

    def by_key(of: Callable[[Measurement], dict[str, float]]) -> dict[str, float]:
        return {key: statistics.median(of(one)[key] for one in measured) for key in of(measured[0])}

    peaks = [one.server_peak_bytes for one in measured if one.server_peak_bytes is not None]
    return Measurement(
        client_cpu_s=by_key(lambda one: one.client_cpu_s),
        client_total_s=median(lambda one: one.client_total_s),
        all_clients_cpu_s=median(lambda one: one.all_clients_cpu_s),
        server_cpu_s=by_key(lambda one: one.server_cpu_s),
        unmask_wall_s=by_key(lambda one: one.unmask_wall_s),
        unmask_cpu_s=by_key(lambda one: one.unmask_cpu_s),
        # Equal in all sessions of one cell.
        up_bytes=measured[0].up_bytes,
        down_bytes=measured[0].down_bytes,
        server_peak_bytes=int(statistics.median(peaks)) if peaks else None,
        wall_s=median(lambda one: one.wall_s),
        repeats=len(measured),
    )
