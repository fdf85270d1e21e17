"""The survivor set on the client: fixed once, it decides which single share of each peer is kept for the answer.

A request for both shares of one client cannot be expressed: after `fix` one of them is gone.
"""

from secagg.client.checks import check_survivors
from secagg.client.held import Fixed, Masked, Membership
from secagg.errors import SERVER
from secagg.primitives.bitmap import encode_bitmap
from secagg.protocol.cohort import Cohort
from secagg.protocol.dealing import select_answer
from secagg.protocol.messages import SurvivorSet, UnmaskingRequest
from secagg.protocol.transcript import consistency_digest


def require_lengths(message: SurvivorSet | UnmaskingRequest, membership: Membership) -> None:
    """Checks a message's lengths against the roster that this client sees.

    Raises:
        MalformedMessageError: a length is wrong; no state is spent on it.
    """
    message.require_lengths(SERVER, membership.params, membership.size)


def fix(masked: Masked, message: SurvivorSet) -> tuple[Fixed, Cohort]:
    """Checks the survivor set and keeps, of every pair of shares, the one that it asks for.

    Raises:
        InconsistentServerError, PolicyViolationError: the set is refused.
    """
    membership = masked.membership
    place = membership.place()
    survivors, held = place.members(message.survivors), place.members(masked.held)
    check_survivors(
        survivors,
        total=message.total,
        index=place.index,
        neighbours=place.neighbours,
        dealers=place.members(masked.dealers),
        held=held,
        roster_total=membership.roster_total,
        threshold=membership.params.threshold,
        required_survivors=membership.required_survivors,
    )
    fixed = Fixed(
        membership=membership,
        task_ctx=masked.task_ctx,
        dealers=masked.dealers,
        held=masked.held,
        survivors=encode_bitmap(survivors),
        total=message.total,
        answer=select_answer(held, survivors=survivors, pairs=masked.shares),
    )
    return fixed, place.cohort


def consistency_digest_of(fixed: Fixed, cohort: Cohort) -> bytes:
    """Returns what this client signs, and what the others must have signed."""
    return consistency_digest(
        cohort.params.suite,
        fixed.task_ctx,
        roster_hash=cohort.roster_hash,
        survivors=fixed.survivors,
        total=fixed.total,
    )
