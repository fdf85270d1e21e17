"""What plans say of their clients in a session's terms: how many are assumed corrupt, and how many shares suffice."""

import math
from typing import Final

from secagg import AdversaryModel, ClientPolicy, default_threshold, smallest_threshold

__all__ = ["SAMPLE_IDENTITY", "corrupt_fraction", "threshold"]

SAMPLE_IDENTITY: Final = bytes([0x58]) + bytes([0x66]) * 31
"""Ed25519's base point: with it a plan's policy can be tried before anybody's key is known."""


def corrupt_fraction(colluders: int, *, clients: int) -> float:
    """Returns `ClientPolicy.corrupt_fraction` for a number of colluders; its `corrupt_clients` says the same directly.

    A policy reads the float as the shortest decimal that stands for it, and rounds that times `clients` up. The result
    is `colluders`, no more.

    Args:
        colluders: how many of `clients` may work with the server, fewer than half.
        clients: the population: everybody who may ever be invited.
    """

    def assumed(part: float) -> int:
        policy = ClientPolicy(adversary=AdversaryModel.HONEST_BUT_CURIOUS, corrupt_fraction=part)
        return policy.assumed_corrupt(clients)

    near = colluders / clients
    while assumed(near) > colluders:
        near = math.nextafter(near, 0.0)
    return near


def threshold(*, clients: int, max_dropouts: int, colluders: int, adversary: AdversaryModel) -> int:
    """Returns the usual threshold of the complete graph, or the nearest that dropouts and colluders allow."""
    peers = clients - 1
    lowest = smallest_threshold(peers, corrupt_clients=colluders, adversary=adversary)
    return max(lowest, min(default_threshold(clients), peers - max_dropouts))
