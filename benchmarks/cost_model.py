"""How long a cell will take: the counts of the protocol times unit costs measured a moment before.

A prediction decides only whether a cell is run, and how far the progress bar moves; no figure of a report comes from
it. What was predicted stands next to what was measured, so that anybody can see how good it is.
"""

import multiprocessing
import secrets
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.cells import Cell, word_dtype
from secagg import (
    SERVER,
    AdversaryModel,
    ClientPolicy,
    ClientSession,
    Identity,
    Result,
    ServerSession,
    SessionParams,
    Suite,
)
from secagg.primitives import KeyPair, add_packed, apply_masks, pack, reconstruct_rows, verify
from secagg.protocol.roster import Roster, RosterEntry, decode_roster

_STAGES_WITH_ROSTER = 5
_EXCHANGES = 4
"""Under HONEST_BUT_CURIOUS; ACTIVE has one more."""

_SMALL, _LARGE = 8, 40


@dataclass(frozen=True)
class UnitCosts:
    """Seconds for one of each, on this machine in this minute.

    Args:
        mask_byte_s: a keystream byte expanded and added, one thread.
        vector_byte_s: a byte of a vector made, checked, copied and packed by a client.
        added_byte_s: a byte of a packed vector added on the server.
        carried_byte_s: a byte that crosses to a server.
        exchange_s: an X25519 exchange.
        verify_s: an Ed25519 signature verified.
        pair_s: what else a client does for one neighbour: keys derived, shares sealed, opened and committed to.
        entry_s: one roster entry decoded and hashed.
        share_s: one share checked on the server.
        weight_s: one term of the Lagrange weights that rebuild a secret; a secret needs t squared in a sparse graph.
        message_s: what else the server does for one message.
        client_s: what else a client does in a whole session, and its messages on their way.
    """

    mask_byte_s: float
    vector_byte_s: float
    added_byte_s: float
    carried_byte_s: float
    exchange_s: float
    verify_s: float
    pair_s: float
    entry_s: float
    share_s: float
    weight_s: float
    message_s: float
    client_s: float

    def as_json(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Prediction:
    """Seconds: one client, the server with one thread, and the whole session with every client one after the other."""

    client_s: float
    server_s: float
    wall_s: float


def predict(cell: Cell, costs: UnitCosts, servers: int = 2) -> Prediction:
    """Returns how long one session takes.

    Args:
        cell: its size.
        costs: of this machine.
        servers: how many take the clients' messages: one for each number of threads that is timed.
    """
    params = cell.params
    clients, neighbours, dropped = cell.clients, params.neighbours, len(cell.dropped)
    survivors = clients - dropped
    vector_bytes = cell.length * word_dtype(cell).itemsize
    visible = params.visible_among(clients)
    verified = clients + survivors if params.active else 0

    client_s = (
        neighbours * (2 * costs.exchange_s + costs.pair_s)
        + (neighbours + 1) * vector_bytes * costs.mask_byte_s
        + vector_bytes * costs.vector_byte_s
        + visible * _STAGES_WITH_ROSTER * costs.entry_s
        + verified * costs.verify_s
    )
    pairs_cut = dropped * neighbours * survivors / clients
    # A complete graph's secrets share one row of weights.
    weights = clients * params.threshold * (params.threshold if params.sparse else 1)
    server_s = (
        survivors * (neighbours * costs.share_s + vector_bytes * costs.added_byte_s)
        + (survivors + pairs_cut) * vector_bytes * costs.mask_byte_s
        + pairs_cut * costs.exchange_s
        + weights * costs.weight_s
        + clients * (_EXCHANGES + params.active) * costs.message_s
        + verified * costs.verify_s
    )
    carried_s = servers * survivors * params.packed_vector_bytes * costs.carried_byte_s
    wall_s = clients * (client_s + costs.client_s) + servers * server_s + carried_s
    return Prediction(client_s, server_s, wall_s)


def calibrate() -> UnitCosts:
    """Measures every unit cost; about two seconds."""
    rng = np.random.default_rng(0)
    words = np.zeros(250_000, np.uint32)
    keys = [rng.bytes(32) for _ in range(16)]
    mask_s = _seconds(lambda: apply_masks(words, add=keys, subtract=(), suite=Suite.AES_128_CTR)) / (
        len(keys) * words.nbytes
    )

    def prepare() -> bytes:
        vector = np.roll(words, 1)
        assert int(vector.min()) >= 0
        assert int(vector.max()) >> 32 == 0
        return pack(vector.copy(), 32)

    vector_s = _seconds(prepare) / words.nbytes
    packed = bytes(words)
    added_s = _seconds(lambda: add_packed(words, packed, 32)) / words.nbytes
    pair, other = KeyPair(secrets.token_bytes(32)), KeyPair(secrets.token_bytes(32))
    exchange_s = _seconds(lambda: pair.shared_secret(other.public, SERVER))
    identity, digest = Identity.generate(), bytes(32)
    signature = identity.sign(digest)
    verify_s = _seconds(
        lambda: verify(identity.public_key, digest=digest, signature=signature, signer=SERVER, what="nothing")
    )
    entry_s = _entry_s()
    weight_s = _weight_s()
    small, large = _tiny_session(_SMALL), _tiny_session(_LARGE)
    slope = (large.client_s - small.client_s) / (_LARGE - _SMALL)
    return UnitCosts(
        mask_byte_s=mask_s,
        vector_byte_s=vector_s,
        added_byte_s=added_s,
        carried_byte_s=_carried_s(),
        exchange_s=exchange_s,
        verify_s=verify_s,
        pair_s=max(0.0, slope - 2 * exchange_s),
        entry_s=entry_s,
        share_s=large.last_stage_s / (_LARGE * (_LARGE - 1)),
        weight_s=weight_s,
        message_s=small.server_s / (_EXCHANGES * _SMALL),
        # A few hundred microseconds for messages that wake up another process, five times each.
        client_s=max(0.0, small.client_s - _SMALL * slope) + 0.001,
    )


def _seconds(call: Callable[[], object], at_least_s: float = 0.1) -> float:
    """Returns the median CPU time of five timings, each of as many calls as fill a part of the time.

    CPU, because what else the machine does in this tenth of a second says nothing about the next ten minutes.
    """
    call()
    started = time.process_time()
    call()
    calls = max(1, int(at_least_s / 5 / max(time.process_time() - started, 1e-7)))
    timings = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(calls):
            call()
        timings.append((time.process_time() - started) / calls)
    return statistics.median(timings)


def _carried_s() -> float:
    data = bytes(1 << 20)
    here, there = multiprocessing.Pipe()
    with here, there, ThreadPoolExecutor(1) as pool:

        def carry() -> None:
            received = pool.submit(there.recv_bytes)
            here.send_bytes(data)
            assert len(received.result()) == len(data)

        return _seconds(carry) / len(data)


def _entry_s() -> float:
    size = 200
    params = SessionParams.for_cohort(cohort_size=size, vector_length=1, modulus_bits=32)
    entries = [RosterEntry(client, bytes(32), bytes(32), bytes(64)) for client in range(size)]
    data = Roster(entries).encode()

    def decode() -> None:
        roster = decode_roster(data, params)
        roster.digest(params, bytes(32))
        assert len(roster.index) == size

    return _seconds(decode) / size


def _weight_s() -> float:
    dealers, holders, threshold = 64, 52, 28
    shares = np.ones((dealers, holders, 9), np.uint32)
    points = np.tile(np.arange(1, holders + 1), (dealers, 1))
    available = np.ones((dealers, holders), np.bool_)
    return _seconds(lambda: reconstruct_rows(shares, points, available, threshold)) / (dealers * threshold**2)


@dataclass(frozen=True)
class _Tiny:
    client_s: float
    server_s: float
    last_stage_s: float


def _tiny_session(size: int) -> _Tiny:
    """Runs a session without vectors to speak of; returns the median client and the server."""
    params = SessionParams.for_cohort(
        cohort_size=size, vector_length=1, modulus_bits=32, adversary=AdversaryModel.HONEST_BUT_CURIOUS
    )
    policy = ClientPolicy(adversary=params.adversary, corrupt_fraction=0.0)
    server = ServerSession(params, range(size))
    clients = {client: ClientSession(client, policy) for client in range(size)}
    vector = np.ones(1, np.uint32)
    taken, server_s, last_stage_s = dict.fromkeys(clients, 0.0), 0.0, 0.0
    outbound = dict.fromkeys(clients, server.invitation)
    while True:
        last_stage_s = 0.0
        for client, session in clients.items():
            message = outbound[client]
            started = time.process_time()
            reply = session.receive(message, vector=vector if session.wants_input else None)
            answered = time.process_time()
            assert reply is not None
            server.receive(client, reply)
            taken[client] += answered - started
            last_stage_s += time.process_time() - answered
        server_s += last_stage_s
        closed = server.close_stage()
        if isinstance(closed, Result):
            assert int(closed.sum[0]) == size
            return _Tiny(statistics.median(taken.values()), server_s, last_stage_s)
        outbound = dict(closed)
