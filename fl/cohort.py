"""What plans say of their clients in a session's terms: how many are assumed corrupt, and how many shares suffice."""

import math
from fractions import Fraction

from secagg import AdversaryModel, default_threshold

__all__ = ["corrupt_fraction", "threshold"]


def corrupt_fraction(colluders: int, *, clients: int) -> float:
    """Returns `ClientPolicy.corrupt_fraction` for a number of colluders.

    A policy reads the float as the shortest decimal that stands for it, and rounds that times `clients` up. The result
    is `colluders`, no more.
    """
    near = colluders / clients
    while math.ceil(Fraction(str(near)) * clients) > colluders:
        near = math.nextafter(near, 0.0)
    return near


def threshold(*, clients: int, max_dropouts: int, colluders: int, adversary: AdversaryModel) -> int:
    """Returns the usual threshold of the complete graph, or the nearest that dropouts and colluders allow."""
    peers = clients - 1
    # More than half of all peers; and what each client's own policy demands, see `secagg.ClientPolicy`.
    corrupt = (peers + colluders) // 2 if adversary is AdversaryModel.ACTIVE else colluders
    lowest = max(peers // 2, corrupt) + 1
    return max(lowest, min(default_threshold(clients), peers - max_dropouts))
