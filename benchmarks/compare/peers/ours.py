"""This library: every client and the server of one session, the server timed on a replay of what the clients sent."""

import argparse
import statistics
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version

import contest
import numpy as np

import fl
from secagg import AdversaryModel, ClientPolicy, ClientSession, Identity, Result, ServerSession, SessionParams

MODELS = {"curious": AdversaryModel.HONEST_BUT_CURIOUS, "active": AdversaryModel.ACTIVE}
STAGES_BEFORE_VANISHING = 2
REPLAYS = 3


def compare(cell: contest.Cell, adversary: AdversaryModel, modulus_bits: int) -> contest.Outcome:
    schema = fl.ArraySchema.of([cell.vector(0)])
    codec = fl.WeightedMean(schema, contest.CLIP, modulus_bits, clients=cell.clients, weight_cap=1)
    params = codec.session_params(adversary=adversary)
    if params.threshold != cell.threshold:
        params = replace(params, threshold=cell.threshold, min_survivors=0)
    session = _Session(cell, codec, params)
    session.run()

    watches, mean = [], np.empty(0)
    for _ in range(REPLAYS):
        watch = contest.Stopwatch()
        with watch.on("protocol"):
            result = session.replay()
        with watch.on("mean from words"):
            (mean,), _ = codec.decode(result.sum, len(result.survivors))
        assert result.survivors == set(cell.survivors)
        watches.append(watch)
    server = min(watches, key=lambda watch: abs(watch.total() - statistics.median(w.total() for w in watches)))
    parts = [session.watches[client].seconds for client in cell.survivors]
    client_parts = {name: statistics.median(part[name] for part in parts) for name in ("quantise", "protocol")}
    return contest.Outcome(
        client_cpu_s=statistics.median(sum(part.values()) for part in parts),
        server_cpu_s=server.total(),
        upload_bytes=int(statistics.median(session.up[client] for client in cell.survivors)),
        download_bytes=int(statistics.median(session.down[client] for client in cell.survivors)),
        measured="whole",
        error=contest.largest_error(mean, cell),
        error_allowed=codec.quantizer.error_bound(len(cell.survivors), len(cell.survivors)) + _FLOAT32_ROUNDING,
        clients_run=len(cell.survivors),
        client_parts=client_parts,
        server_parts=server.seconds,
        checked="the mean of the whole session",
        note=f"m = {modulus_bits}; the server's figure is the median of {REPLAYS} replays",
    )


_FLOAT32_ROUNDING = 2.0**-23
"""The mean comes back as float32, like the vectors."""


class _Session:
    """One session in this process, over real bytes, with what the clients sent kept for a replay."""

    def __init__(self, cell: contest.Cell, codec: fl.WeightedMean, params: SessionParams) -> None:
        self.cell, self.codec, self.params = cell, codec, params
        everyone = range(cell.clients)
        keys = {client: Identity.generate() for client in everyone} if params.active else {}
        self.public = {client: key.public_key for client, key in keys.items()}
        policy = ClientPolicy(identities=self.public, adversary=params.adversary, corrupt_fraction=0.0)
        self.session_id = bytes(16)
        self.clients = {client: ClientSession(client, policy, keys.get(client)) for client in everyone}
        self.watches = {client: contest.Stopwatch() for client in everyone}
        self.up, self.down = dict.fromkeys(everyone, 0), dict.fromkeys(everyone, 0)
        self.sent: list[dict[int, bytes]] = []

    def server(self) -> ServerSession:
        return ServerSession(self.params, range(self.cell.clients), self.public or None, session_id=self.session_id)

    def run(self) -> None:
        server = self.server()
        outbound: Mapping[int, bytes] = dict.fromkeys(self.clients, server.invitation)
        while True:
            replies = {client: self._answer(client, message) for client, message in outbound.items()}
            self.sent.append({client: reply for client, reply in replies.items() if reply is not None})
            for client, reply in self.sent[-1].items():
                server.receive(client, reply)
            closed = server.close_stage()
            if isinstance(closed, Result):
                return
            outbound = closed

    def _answer(self, client: int, message: bytes) -> bytes | None:
        if len(self.sent) >= STAGES_BEFORE_VANISHING and client in self.cell.dropped:
            return None
        session, watch = self.clients[client], self.watches[client]
        vector = None
        if session.wants_input:
            array = self.cell.vector(client)
            with watch.on("quantise"):
                vector = self.codec.encode([array], 1)
        with watch.on("protocol"):
            reply = session.receive(message, vector=vector)
        assert reply is not None
        self.down[client] += len(message)
        self.up[client] += len(reply)
        return reply

    def replay(self) -> Result:
        """Returns what a fresh server makes of the same messages."""
        server = self.server()
        for replies in self.sent:
            for client, reply in replies.items():
                server.receive(client, reply)
            closed = server.close_stage()
        assert isinstance(closed, Result)
        return closed


def main() -> None:
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--adversary", choices=MODELS, default="active")
    own.add_argument("--modulus-bits", type=int, default=32)
    options, sys.argv[1:] = own.parse_known_args()
    active = options.adversary == "active"
    identity = contest.Identity(
        library="secagg",
        version=version("secagg"),
        scheme=f"{options.adversary}, complete graph, m = {options.modulus_bits}",
        dropouts="at every stage, while threshold + 1 are left",
        server="may lie: signed keys, a consistency exchange" if active else "follows the protocol",
        counts="quantisation, messages to bytes and back, mean",
    )
    contest.main(identity, lambda cell, _: compare(cell, MODELS[options.adversary], options.modulus_bits), __doc__)


if __name__ == "__main__":
    main()
