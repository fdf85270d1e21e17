"""What a client holds the server of a private round to: the plan's session, and a ledger that counts the round."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Final

from dp import BadRecordError, Header, Reserve, RoundRefusedError
from dp.ledger import decode, line_hash
from fl.errors import PlanMismatchError
from fl.private.plan import PrivatePlan
from secagg import SessionParams

__all__ = ["check_headers", "check_reserve", "check_terms", "unseen"]

_OF_A_ROUND: Final = ("round_number", "application")
"""Parameters that differ from round to round. The session's own policy checks these two."""


def check_terms(plan: PrivatePlan, offered: SessionParams) -> None:
    """Checks that an offered session is the plan's, in everything that all rounds have in common.

    Raises:
        PlanMismatchError: it has other parameters, the first of which is named.
    """
    ours = plan.session
    for field in fields(SessionParams):
        if field.name not in _OF_A_ROUND and getattr(offered, field.name) != getattr(ours, field.name):
            name, theirs = f"session ({field.name})", str(getattr(offered, field.name))
            raise PlanMismatchError(name, theirs, str(getattr(ours, field.name)))


def check_headers(plan: PrivatePlan, lines: Sequence[bytes]) -> None:
    """Checks that the ledger counts what the plan promises, where a file of it begins.

    Raises:
        PlanMismatchError: it is a ledger of another budget.
    """
    for place, line in enumerate(lines, 1):
        # The counter refuses what is no record, and says which.
        with suppress(BadRecordError):
            record, _ = decode(line, place)
            if isinstance(record, Header):
                plan.check_header(record)


def check_reserve(
    plan: PrivatePlan, reserve: Reserve, *, round_number: int, session_id: bytes, clip: float, context: bytes
) -> None:
    """Checks that the ledger accounts for the round as the plan says.

    Some fields are not compared. The claimed epsilon follows from the rest, and an audit compares it. The roster is the
    server's to say, and so are label, run and evidence: no epsilon depends on them.

    Raises:
        RoundRefusedError: a field differs; the first one is named.
    """
    expected = plan.reserve(round_number, session_id, clip=clip, context=context, roster=reserve.roster)
    expected = replace(
        expected, epsilon=reserve.epsilon, label=reserve.label, run=reserve.run, evidence=reserve.evidence
    )
    for field in fields(Reserve):
        offered, ours = getattr(reserve, field.name), getattr(expected, field.name)
        if offered != ours:
            raise RoundRefusedError("reserve", f"{field.name} {offered}", f"{field.name} {ours}")


def unseen(lines: Sequence[bytes], head: bytes | None) -> Sequence[bytes]:
    """Returns the lines after the one whose hash is `head`, or all of them if that is not among them."""
    if head is not None:
        for place, line in enumerate(lines, 1):
            if line_hash(line) == head:
                return lines[place:]
    return lines
