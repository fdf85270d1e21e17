"""What the commands exit with: one table for all of them. A number never means two things."""

import enum

__all__ = ["ExitStatus"]


class ExitStatus(enum.IntEnum):
    """How a command ended. `docs/exit-status.md` is the same table in words."""

    FINE = 0
    """All is as it should be."""

    WRONG = 1
    """The command did its work, and the answer is no: a sum that is not exact, a budget that is exceeded, a figure that
    is wrong, parameters that do not hold, a round that failed."""

    UNUSABLE = 2
    """An option or a file cannot be used: it cannot be read, is no ledger, follows other rules, or takes too long."""

    BROKEN = 3
    """A ledger is not what was written: a record, a signature, or the expected head or key does not hold."""

    REFUSED = 4
    """What was required does not hold: a ledger is not anchored as required, or a folder is not as its run left it."""

    CONTRADICTED = 5
    """A ledger promises less than a lower bound shows. No command comes to this yet."""

    EXHAUSTED = 6
    """The privacy budget is exhausted before all rounds are over."""
