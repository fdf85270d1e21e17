"""A session recorded to files and replayed to a fresh server.

Everything that a server does follows from its session id and from what it receives, so a replay
measures the server's time and memory alone, with no client in the process.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from secagg import AdversaryModel, ClientPolicy, ClientSession, Identity, Result, ServerSession, SessionParams, Stage


@dataclass(frozen=True)
class Recording:
    """What the clients sent, by stage and client, with the median client's CPU seconds and the most bytes of one."""

    params: SessionParams
    session_id: bytes
    identities: Mapping[int, bytes]
    folder: Path
    senders: Mapping[str, list[int]]
    client_cpu_s: float
    most_up_bytes: int

    def replay(self) -> Result:
        """Feeds a fresh server; returns the result."""
        server = ServerSession(
            self.params,
            range(self.params.cohort_size),
            self.identities or None,
            session_id=self.session_id,
        )
        while True:
            for client in self.senders[server.stage]:
                server.receive(client, self._path(server.stage, client).read_bytes())
            closed = server.close_stage()
            if isinstance(closed, Result):
                return closed
            del closed

    def _path(self, stage: str, client: int) -> Path:
        return self.folder / f"{stage}-{client}"


def vectors(params: SessionParams) -> dict[int, npt.NDArray[np.unsignedinteger]]:
    """Returns an input for each client: cheap to make, every word of it in use."""
    dtype = np.min_scalar_type(2**params.modulus_bits - 1)
    base = np.random.default_rng(0).integers(0, 2**params.modulus_bits, params.vector_length, dtype=dtype)
    return {client: np.roll(base, client) for client in range(params.cohort_size)}


def plain_sum(params: SessionParams, clients: Collection[int]) -> npt.NDArray[np.unsignedinteger]:
    """Returns the sum of some clients' vectors modulo 2**modulus_bits."""
    inputs = vectors(params)
    total = np.zeros(params.vector_length, np.uint64)
    for client in clients:
        total += inputs[client]
    return total & np.uint64(2**params.modulus_bits - 1)


def record(
    params: SessionParams,
    folder: Path,
    dropped: Collection[int] = (),
    policy: Callable[[dict[int, bytes]], ClientPolicy] | None = None,
) -> Recording:
    """Runs a session; `dropped` clients vanish after sharing their keys.

    Args:
        params: the session's parameters.
        folder: for the files.
        dropped: who vanishes.
        policy: makes every client's terms from the identities; by default the most permissive ones.
    """
    keys = {client: Identity.generate() for client in range(params.cohort_size)} if params.active else {}
    public = {client: key.public_key for client, key in keys.items()}
    permissive = ClientPolicy(identities=public, adversary=params.adversary, corrupt_fraction=0.0)
    terms = permissive if policy is None else policy(public)
    inputs = vectors(params)
    session_id = bytes(16)
    server = ServerSession(params, range(params.cohort_size), public or None, session_id=session_id)
    clients = {client: ClientSession(client, terms, keys.get(client)) for client in inputs}
    cpu_s, up_bytes = defaultdict[int, float](float), defaultdict[int, int](int)
    senders: dict[str, list[int]] = {stage: [] for stage in Stage}
    outbound: Mapping[int, bytes] = dict.fromkeys(inputs, server.invitation)
    while True:
        stage = server.stage
        for client in outbound:
            if client in dropped and Stage(stage).number >= 2:
                continue
            message = outbound[client]
            started = time.process_time()
            reply = clients[client].receive(message, vector=inputs[client])
            cpu_s[client] += time.process_time() - started
            if reply is None:
                raise RuntimeError("an honest client answers every round")
            up_bytes[client] += len(reply)
            (folder / f"{stage}-{client}").write_bytes(reply)
            senders[stage].append(client)
            server.receive(client, reply)
        closed = server.close_stage()
        if isinstance(closed, Result):
            median_s = statistics.median(cpu_s[client] for client in closed.survivors)
            return Recording(params, session_id, public, folder, senders, median_s, max(up_bytes.values()))
        outbound = closed


def session_params(clients: int, length: int, bits: int, adversary: AdversaryModel) -> SessionParams:
    """Returns the default parameters of a cohort."""
    return SessionParams.for_cohort(cohort_size=clients, vector_length=length, modulus_bits=bits, adversary=adversary)
