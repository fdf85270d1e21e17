"""What the server notes about a client that broke a rule: its first fault, and no secret."""

from typing import Final

import msgspec

from secagg.stages import Stage

DISPUTED: Final = "DisputedShares"
"""In place of an error's name where a client and its peers contradict each other on what opens: either may lie."""


class Fault(msgspec.Struct, frozen=True):
    """A client's first fault: the stage, the error's name or DISPUTED, and a text that holds nothing secret."""

    stage: Stage
    error: str
    detail: str


def disputed(stage: Stage, *, reports: int, peers: int) -> Fault:
    """Returns the note on a dealer whose shares are missing because peers say that they do not open."""
    return Fault(
        stage, DISPUTED, f"{reports} of {peers} peers report that what it dealt does not open: it lies, or they do"
    )


def disputing(stage: Stage, *, reports: int, peers: int) -> Fault:
    """Returns the note on a client that reports more of its peers than can be corrupt."""
    return Fault(
        stage, DISPUTED, f"it reports that what {reports} of {peers} peers dealt does not open: it lies, or they do"
    )
