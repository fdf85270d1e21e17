"""The stages of a session: one name each, for clients, server, errors and simulation.

A *stage* is one exchange of a session. A *round* is one of training, and holds a whole session.
"""

import enum
from typing import Final

__all__ = ["Stage"]


class Stage(enum.StrEnum):
    """What a client answers; the numbers are those of docs/protocol.md and of Bonawitz et al. 2017, figure 4."""

    ADVERTISE_KEYS = "advertise_keys"
    """Stage 0: public keys."""

    SHARE_KEYS = "share_keys"
    """Stage 1: sealed shares of both secrets, for every neighbour."""

    MASKED_INPUT = "masked_input"
    """Stage 2: the masked vector."""

    CONSISTENCY = "consistency"
    """Stage 3, ACTIVE only: a signature over the survivor set."""

    UNMASK = "unmask"
    """Stage 4: one share of each peer."""

    @property
    def number(self) -> int:
        """The stage's number, 0 to 4."""
        return _ORDER.index(self)


_ORDER: Final = tuple(Stage)
