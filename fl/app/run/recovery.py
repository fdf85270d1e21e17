"""What a crash left to be done: a round that was begun, and whose result is lost, counts."""

from dataclasses import replace

from fl.app.run.checkpoint import Checkpoint
from fl.app.run.journal import RoundRecord
from fl.app.run.opening import OpenedRun

__all__ = ["recovered"]


def recovered(run: OpenedRun) -> Checkpoint:
    """Returns the run's checkpoint; if a round's result is lost, the one in which that round counts."""
    checkpoint, number = run.checkpoint, run.journal.begun
    if number == checkpoint.round_number:
        return checkpoint
    detail, epsilon, head = "it was begun, and its result is lost", None, None
    if run.privacy is not None:
        reserved = number in run.privacy.tail.reserved
        detail += "; it was reserved, and counts in full" if reserved else "; it was not reserved, and cost nothing"
        epsilon, head = run.privacy.ledger.spent, run.privacy.ledger.head
    record = RoundRecord(
        round=number,
        outcome="lost",
        detail=detail,
        invited=len(run.clients),
        clip=checkpoint.clip,
        epsilon=epsilon,
    )
    return replace(checkpoint, round_number=number, head=head, record=record)
