"""What a client refuses: the predicates of docs/protocol.md over what the server says.

Pure functions over public data; each raises the one error that its rule names. What a peer can be at fault for, the
server checks too, on receipt: see `secagg.protocol.roster.check_advertisement`.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from secagg.errors import (
    SERVER,
    AuthenticationError,
    InconsistentServerError,
    PolicyViolationError,
)
from secagg.graph.ring import Graph
from secagg.params import SessionParams
from secagg.policy import ClientPolicy
from secagg.protocol.roster import Roster, RosterEntry, check_advertisement


def check_roster(
    params: SessionParams,
    session_ctx: bytes,
    *,
    roster: Roster,
    total: int,
    own: RosterEntry,
    policy: ClientPolicy,
) -> None:
    """Checks the roster (stage 0), all of it or what this client sees of it.

    Args:
        params: the session's parameters.
        session_ctx: the context of the signatures.
        roster: what was received.
        total: how many clients the whole roster has, as the server states it.
        own: this client's entry as it was advertised.
        policy: this client's terms.

    Raises:
        InconsistentServerError: order, own entry, ranks, or a key that appears twice.
        PolicyViolationError: too few clients for the policy, or a graph over them that it does not accept.
        AuthenticationError: a key, signature or identity does not hold.
    """
    entries = roster.entries
    if any(one.client >= other.client for one, other in pairwise(entries)):
        raise InconsistentServerError("roster_order", "ids are not strictly ascending")
    if not 2 <= total <= params.cohort_size or len(entries) != params.visible_among(total):
        raise InconsistentServerError(
            "roster_size", f"{len(entries)} entries of a roster of {total} are not what this client should see"
        )
    _check_ranks(params, roster.ranks, total)
    position = roster.index.get(own.client)
    if position is None or entries[position] != own:
        raise InconsistentServerError("own_entry", "this client's own entry is missing or altered")
    if total < policy.smallest_roster:
        raise PolicyViolationError("cohort_size", total, f"at least {policy.smallest_roster} in the roster")
    if params.neighbours_among(total) < params.threshold:
        raise InconsistentServerError(
            "roster_size",
            f"{params.neighbours_among(total)} peers cannot hold {params.threshold} shares of a secret",
        )
    policy.check_graph(params, total)
    keys = {key for entry in entries for key in (entry.seal_key, entry.mask_key)}
    if len(keys) != 2 * len(entries):
        raise InconsistentServerError("distinct_keys", "a public key appears twice in the roster")
    if params.active:
        known = [policy.identities[entry.client] for entry in entries if entry.client in policy.identities]
        if len(set(known)) != len(known):
            raise AuthenticationError(SERVER, "one identity key stands for two clients of the roster")
    for entry in entries:
        # A peer's bad key or signature is checked by an honest server on receipt: here the server is at fault.
        check_advertisement(params, session_ctx, entry=entry, identities=policy.identities, culprit=SERVER)


def _check_ranks(params: SessionParams, ranks: Sequence[int], total: int) -> None:
    if params.shows_roster:
        if list(ranks) != list(range(total)):
            raise InconsistentServerError("roster_index", "an entry's index is not its rank")
    elif any(one >= other for one, other in pairwise((*ranks, total))):
        raise InconsistentServerError("roster_index", "ranks do not ascend strictly, or one lies beyond the roster")


def check_dealers(
    dealers: npt.NDArray[np.bool_], *, index: int, neighbours: npt.NDArray[np.intp], threshold: int
) -> None:
    """Checks who is said to have dealt (U2, stage 1).

    Args:
        dealers: U2 as far as this client sees, bool, shape (roster size,).
        index: this client's own place.
        neighbours: those of its neighbours.
        threshold: t.

    Raises:
        InconsistentServerError: this client is missing, or fewer neighbours than the threshold dealt.
    """
    if not dealers[index]:
        raise InconsistentServerError("dealers", "this client is missing from those who dealt")
    inside = np.count_nonzero(dealers[neighbours])
    if inside < threshold:
        raise InconsistentServerError("dealers", f"shares of {inside} peers were delivered, {threshold} are needed")


def check_survivors(
    survivors: npt.NDArray[np.bool_],
    *,
    total: int,
    index: int,
    neighbours: npt.NDArray[np.intp],
    dealers: npt.NDArray[np.bool_],
    held: npt.NDArray[np.bool_],
    roster_total: int,
    threshold: int,
    required_survivors: int,
) -> None:
    """Checks the survivor set U3 before it is fixed, and in the ACTIVE model signed.

    Only peers whose seal opened count towards the required survivors. A seal is bound to this client's fresh key
    through the roster, so it proves that its sender takes part now. An advertisement does not: a server
    that chooses an old session id can replay one of a client whose mask key it has rebuilt before. Who is no
    neighbour never sealed anything to this client: `check_quorum` asks those for a signature.

    Args:
        survivors: U3 as far as this client sees, bool, shape (roster size,), as is every set here.
        total: the size of the whole of it, as the server states it.
        index: this client's own place.
        neighbours: those of its neighbours.
        dealers: U2.
        held: whose seal opened.
        roster_total: the size of the whole roster.
        threshold: t.
        required_survivors: the fewest survivors, this client among them, that it helps to release a sum of.

    Raises:
        InconsistentServerError: the set contradicts what this client saw.
        PolicyViolationError: fewer survivors than this client requires.
    """
    if not survivors[index]:
        raise InconsistentServerError("survivors", "this client is missing from the survivor set")
    unseen = roster_total - len(survivors)
    seen = int(np.count_nonzero(survivors))
    if not seen <= total <= seen + unseen:
        raise InconsistentServerError("survivors", "the stated number of survivors is not that of the set")
    if np.any(survivors & ~dealers):
        raise InconsistentServerError("survivors", "a survivor never dealt, by what this client was told")
    present = survivors[neighbours]
    if np.count_nonzero(present) < threshold:
        raise InconsistentServerError("survivors", f"{np.count_nonzero(present)} peers survive, {threshold} are needed")
    not_for_certain = int(np.count_nonzero(present & ~held[neighbours]))
    if total - not_for_certain < required_survivors:
        raise PolicyViolationError("min_survivors", total - not_for_certain, f"at least {required_survivors}")


def check_quorum(
    signers: npt.NDArray[np.bool_],
    *,
    survivors: npt.NDArray[np.bool_],
    involved: npt.NDArray[np.intp],
    graph: Graph,
    threshold: int,
) -> None:
    """Checks that every involved client's neighbourhood signed (stage 4, ACTIVE).

    Args:
        signers: who signed, bool, shape (roster size,); the signatures have been verified.
        survivors: U3, bool, shape (roster size,).
        involved: V_u and u itself, by index.
        graph: says who is whose neighbour; nobody is its own.
        threshold: t.

    Raises:
        InconsistentServerError: a signer is no survivor, or a neighbourhood has fewer than t signers.
    """
    if np.any(signers & ~survivors):
        raise InconsistentServerError("quorum", "someone outside the survivor set is listed as a signer")
    counts = graph.members_present(signers)[involved]
    if np.any(counts < threshold):
        raise InconsistentServerError(
            "quorum", f"a neighbourhood has {int(counts.min())} signers, {threshold} are needed"
        )


def check_majority(
    signers: npt.NDArray[np.bool_],
    *,
    held: npt.NDArray[np.bool_],
    index: int,
    required_signatures: int,
    required_survivors: int,
) -> None:
    """Checks that enough of the whole roster signed (stage 4, ACTIVE).

    More than half of the roster and the corrupt clients together: two survivor sets cannot both have that many, for
    honest clients sign one each. And a signature proves presence as an opened seal does, see `check_survivors`.

    Args:
        signers: who signed, all of them survivors, bool, shape (roster size,); the signatures have been verified.
        held: whose seal opened and who survives.
        index: this client's own place; it signed.
        required_signatures: floor((roster size + A) / 2) + 1.
        required_survivors: as in `check_survivors`.

    Raises:
        InconsistentServerError: too few signatures.
        PolicyViolationError: fewer survivors than this client requires have shown that they take part.
    """
    signed = signers.copy()
    signed[index] = True
    if np.count_nonzero(signed) < required_signatures:
        raise InconsistentServerError(
            "quorum", f"{np.count_nonzero(signed)} clients signed, {required_signatures} of the roster are needed"
        )
    present_for_certain = int(np.count_nonzero(signed | held))
    if present_for_certain < required_survivors:
        raise PolicyViolationError("min_survivors", present_for_certain, f"at least {required_survivors}")
