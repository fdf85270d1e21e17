"""A whole private round in one process: every message as bytes, every client with its own counter, anybody may vanish.

For demonstrations, benchmarks and tests. In a deployment the same two objects talk over your own transport.
"""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from dp import Ledger, RoundCounter
from fl.private.client_round import ClientRound
from fl.private.contribution import Contribution
from fl.private.ledger_notes import LedgerNotes
from fl.private.plan import PrivatePlan
from fl.private.private_sum import PrivateSum
from fl.private.server_round import ServerRound
from secagg import NO_MODEL, ClientId, Identity, InvalidParameterError, Stage

__all__ = ["SimulatedRound", "simulate_round"]

_NO_NOTES: Final = LedgerNotes()


@dataclass(frozen=True, slots=True)
class SimulatedRound:
    """What came of it.

    Attributes:
        released: the noisy sum.
        survivors: whose contributions are in it.
        bytes_up: sent by each client that took part.
        bytes_down: received by each client.
    """

    released: PrivateSum
    survivors: frozenset[ClientId]
    bytes_up: Mapping[ClientId, int]
    bytes_down: Mapping[ClientId, int]


def simulate_round(
    plan: PrivatePlan,
    ledger: Ledger,
    round_number: int,
    counters: Mapping[ClientId, RoundCounter],
    *,
    contribute: Callable[[ClientId], Contribution],
    identities: Mapping[ClientId, Identity] | None = None,
    clip: float | None = None,
    dropouts: Mapping[str, Collection[ClientId]] | None = None,
    model_digest: bytes = NO_MODEL,
    executor: Executor | None = None,
    notes: LedgerNotes = _NO_NOTES,
) -> SimulatedRound:
    """Runs one round.

    Args:
        plan: the training's.
        ledger: the server's, open for writing.
        round_number: from 1.
        counters: each client's own.
        contribute: returns what a client hands in, when it is asked for it.
        identities: each client's long-term key; where the plan defends against a lying server.
        clip: the round's clip norm; None is the plan's.
        dropouts: which clients vanish before they answer a stage, by the stage's name, as in `secagg.simulate`.
        model_digest: of what the clients were given.
        executor: runs masks and unmasking; None is serial.
        notes: what the ledger says of the round beside its privacy.

    Raises:
        TooFewClientsError: too many vanished; the round counts if its reserve was written.
        BudgetExceededError: the round would spend more than the budget.
        InvalidParameterError: `dropouts` names no stage.
    """
    gone = _stages(dropouts or {})
    keys = {client: identity.public_key for client, identity in (identities or {}).items()}
    server = ServerRound(
        plan,
        ledger,
        round_number,
        tuple(counters),
        identities=keys or None,
        clip=clip,
        executor=executor,
        notes=notes,
    )
    clients = {
        client: ClientRound(
            plan, client, counter, (identities or {}).get(client), identities=keys or None, executor=executor
        )
        for client, counter in counters.items()
    }
    up, down = dict.fromkeys(clients, 0), dict.fromkeys(clients, 0)
    outbound: Mapping[ClientId, bytes] = {
        client: server.offer(counters[client].head) for client in clients if client not in gone.get(server.stage, ())
    }
    vanished: set[ClientId] = set()
    while True:
        vanished |= gone.get(server.stage, frozenset())
        for client, message in outbound.items():
            if client in vanished:
                continue
            down[client] += len(message)
            session = clients[client]
            if session.wants_input:
                reply = session.receive(message, contribute(client), model_digest=model_digest)
            else:
                reply = session.receive(message)
            if reply is not None:
                up[client] += len(reply)
                server.receive(client, reply)
        closed = server.close_stage(model_digest)
        if isinstance(closed, PrivateSum):
            return SimulatedRound(closed, server.survivors, up, down)
        outbound = closed


def _stages(dropouts: Mapping[str, Collection[ClientId]]) -> dict[str, frozenset[ClientId]]:
    unknown = set(dropouts) - set(Stage)
    if unknown:
        raise InvalidParameterError("dropouts", min(unknown), f"stages: {', '.join(Stage)}")
    return {stage: frozenset(clients) for stage, clients in dropouts.items()}
