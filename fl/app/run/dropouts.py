"""Who vanishes in a round: drawn for a simulation, as nobody vanishes from a single process by accident."""

import secrets
from collections.abc import Collection, Mapping, Sequence

from secagg import ClientId, Stage

__all__ = ["Dropouts", "asked_clients", "draw_dropouts", "gone_from_the_start"]

Dropouts = Mapping[str, frozenset[ClientId]]
"""Who vanishes, by the stage that it no longer answers."""

_BEFORE_INPUT = (Stage.ADVERTISE_KEYS, Stage.SHARE_KEYS, Stage.MASKED_INPUT)
"""A client that vanishes here is never asked for its contribution."""


def draw_dropouts(clients: Collection[ClientId], probability: float, stages: Sequence[Stage]) -> Dropouts:
    """Draws who vanishes in a round, each client by itself, at a stage drawn evenly.

    Args:
        clients: the ids.
        probability: with which a client vanishes, from 0 to below 1.
        stages: those of the round's session.
    """
    leaving: dict[str, set[ClientId]] = {stage: set() for stage in Stage}
    for client in clients:
        if secrets.randbelow(2**53) < probability * 2**53:
            leaving[secrets.choice(stages)].add(client)
    return {stage: frozenset(gone) for stage, gone in leaving.items()}


def asked_clients(clients: Collection[ClientId], dropouts: Dropouts) -> list[ClientId]:
    """Returns the clients that are still there when the contributions are asked for, in their order."""
    absent = frozenset[ClientId]().union(*(dropouts[stage] for stage in _BEFORE_INPUT))
    return [client for client in clients if client not in absent]


def gone_from_the_start(dropouts: Dropouts, failed: Collection[ClientId]) -> Dropouts:
    """Returns the dropouts with those who failed among them: they answer no stage."""
    gone = frozenset(failed)
    kept = {stage: clients - gone for stage, clients in dropouts.items()}
    return {**kept, Stage.ADVERTISE_KEYS: kept[Stage.ADVERTISE_KEYS] | gone}
