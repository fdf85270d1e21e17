"""How many of an invited cohort may be corrupt, when so many of a population are.

Who invites chooses the cohort. A server that colludes with 4 of 40 clients can invite these 4 and one other: a tenth
of the cohort is no bound of what it gets. So all the corrupt clients of the population count in every cohort of it, up
to its size, unless it is known that the cohort was drawn at random.
"""

import math
from typing import Final

from secagg.graph.hypergeometric import ROUNDING, Hypergeometric

__all__ = ["MAX_POPULATION", "corrupt_in_cohort"]

MAX_POPULATION: Final = 2**40
"""More than there are devices. The logarithms of factorials beyond err by more than a drawing's tail can bear."""

_LN2 = math.log(2)


def corrupt_in_cohort(cohort: int, *, population: int, corrupt: int, drawn_honestly: bool, security_bits: float) -> int:
    """Returns A, the most corrupt clients that a cohort has to be proof against.

    Args:
        cohort: how many are invited.
        population: of how many, at least as many, at most `MAX_POPULATION`.
        corrupt: how many of the population are corrupt.
        drawn_honestly: whether the cohort is a uniformly random part of the population, whatever the server wants.
            Then A is the smallest number that is exceeded with probability 2**-security_bits at most: of 1000 clients,
            100 of them corrupt, 50 drawn ones have more than 24 corrupt ones with 2**-40, though 5 on average.
        security_bits: as above; without effect otherwise.
    """
    most = min(cohort, corrupt)
    if not drawn_honestly:
        return most
    drawn = Hypergeometric(population, corrupt, cohort)
    # What rounding may do to nine logarithms of factorials, where the population is beyond what `ROUNDING` is for.
    allowed = -security_bits * _LN2 - max(ROUNDING, 2.0**-48 * math.lgamma(population + 1))
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if drawn.log_tail(middle + 1) <= allowed:
            high = middle
        else:
            low = middle + 1
    return low
