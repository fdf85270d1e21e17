"""How many of an invited cohort may be corrupt, when so many of a population are.

Who invites chooses the cohort. A server that colludes with 4 of 40 clients can invite these 4 and one other: a tenth
of the cohort is no bound of what it gets. So all the corrupt clients of the population count in every cohort of it, up
to its size, unless it is known that the cohort was drawn at random.
"""

import math

from secagg.graph.hypergeometric import Hypergeometric

_LN2 = math.log(2)


def corrupt_in_cohort(cohort: int, *, population: int, corrupt: int, drawn_honestly: bool, security_bits: float) -> int:
    """Returns A, the most corrupt clients that a cohort has to be proof against.

    Args:
        cohort: how many are invited.
        population: of how many, at least as many.
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
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if drawn.log_tail(middle + 1) <= -security_bits * _LN2:
            high = middle
        else:
            low = middle + 1
    return low
