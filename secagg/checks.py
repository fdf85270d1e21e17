"""What a client refuses: the predicates of docs/protocol.md over what the server says.

Pure functions over public data; each raises the one error that its rule names. The server runs the
same checks on receipt where a peer, not the server, can be at fault (`check_advertisement`).
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from secagg.agreement import check_public_key
from secagg.errors import (
    SERVER,
    AuthenticationError,
    ClientId,
    Culprit,
    InconsistentServerError,
    PolicyViolationError,
)
from secagg.graph import CompleteGraph
from secagg.params import SessionParams
from secagg.policy import ClientPolicy
from secagg.roster import Roster, RosterEntry
from secagg.signing import verify
from secagg.transcript import advertisement_digest


def check_advertisement(
    params: SessionParams,
    session_ctx: bytes,
    entry: RosterEntry,
    identities: Mapping[ClientId, bytes],
    culprit: Culprit,
) -> None:
    """Checks one client's keys: canonical, not of low order, and in the ACTIVE model signed by its identity.

    Args:
        params: the session's parameters.
        session_ctx: the context that the signature covers.
        entry: the client's entry.
        identities: the identity keys that the *checking* party trusts, never ones from the message.
        culprit: who is named if a check fails.

    Raises:
        AuthenticationError: a key or the signature does not hold.
    """
    check_public_key(entry.seal_key, culprit)
    check_public_key(entry.mask_key, culprit)
    if params.active:
        identity = identities.get(entry.client)
        if identity is None:
            raise AuthenticationError(culprit, f"no identity key is known for client {entry.client}")
        digest = advertisement_digest(params.suite, session_ctx, entry.client, entry.seal_key, entry.mask_key)
        verify(identity, digest, entry.signature, culprit, f"the keys of client {entry.client}")


def check_roster(
    params: SessionParams,
    session_ctx: bytes,
    roster: Roster,
    indices: list[int],
    own: RosterEntry,
    policy: ClientPolicy,
) -> None:
    """Checks the whole roster (round 0).

    Raises:
        InconsistentServerError: order, own entry, indices, or a key that appears twice.
        PolicyViolationError: fewer clients than the policy or the threshold needs.
        AuthenticationError: a key, signature or identity does not hold.
    """
    entries = roster.entries
    if any(one.client >= other.client for one, other in pairwise(entries)):
        raise InconsistentServerError("roster_order", "ids are not strictly ascending")
    if indices != list(range(len(entries))):
        raise InconsistentServerError("roster_index", "an entry's index is not its rank")
    position = roster.index.get(own.client)
    if position is None or entries[position] != own:
        raise InconsistentServerError("own_entry", "this client's own entry is missing or altered")
    if len(entries) < policy.min_cohort:
        raise PolicyViolationError("cohort_size", len(entries), f"at least {policy.min_cohort} in the roster")
    if len(entries) <= params.threshold:
        raise InconsistentServerError(
            "roster_size", f"{len(entries) - 1} peers cannot hold {params.threshold} shares of a secret"
        )
    keys = {key for entry in entries for key in (entry.seal_key, entry.mask_key)}
    if len(keys) != 2 * len(entries):
        raise InconsistentServerError("distinct_keys", "a public key appears twice in the roster")
    if params.active:
        known = [policy.identities[entry.client] for entry in entries if entry.client in policy.identities]
        if len(set(known)) != len(known):
            raise AuthenticationError(SERVER, "one identity key stands for two clients of the roster")
    for entry in entries:
        # A peer's bad key or signature is checked by an honest server on receipt: here the server is at fault.
        check_advertisement(params, session_ctx, entry, policy.identities, SERVER)


def check_senders(senders: npt.NDArray[np.bool_], neighbours: npt.NDArray[np.intp], threshold: int) -> None:
    """Checks whose shares were delivered (round 1).

    Raises:
        InconsistentServerError: a sender is no neighbour, or there are fewer than the threshold.
    """
    inside = np.count_nonzero(senders[neighbours])
    if np.count_nonzero(senders) != inside:
        raise InconsistentServerError("senders", "a share was delivered from someone who is no neighbour")
    if inside < threshold:
        raise InconsistentServerError("senders", f"shares of {inside} peers were delivered, {threshold} are needed")


def check_survivors(
    survivors: npt.NDArray[np.bool_],
    total: int,
    index: int,
    neighbours: npt.NDArray[np.intp],
    senders: npt.NDArray[np.bool_],
    held: npt.NDArray[np.bool_],
    threshold: int,
    required_survivors: int,
) -> None:
    """Checks the survivor set U3 before it is fixed, and in the ACTIVE model signed.

    Only peers whose seal opened count towards the required survivors. A seal is bound to this client's fresh key
    through the roster, so it proves that its sender takes part now. An advertisement does not: a server
    that chooses an old session id can replay one of a client whose mask key it has rebuilt before.

    Args:
        survivors: U3, bool, shape (roster size,), as is every set here.
        total: its size, as the server states it.
        index: this client's roster index.
        neighbours: roster indices of its neighbours.
        senders: V_u.
        held: whose seal opened.
        threshold: t.
        required_survivors: the fewest survivors, this client among them, that it helps to release a sum of.

    Raises:
        InconsistentServerError: the set contradicts what this client saw.
        PolicyViolationError: fewer survivors than this client requires.
    """
    if not survivors[index]:
        raise InconsistentServerError("survivors", "this client is missing from the survivor set")
    if total != np.count_nonzero(survivors):
        raise InconsistentServerError("survivors", "the stated number of survivors is not that of the set")
    present = survivors[neighbours]
    if np.any(present & ~senders[neighbours]):
        raise InconsistentServerError("survivors", "a survivor's shares were never delivered to this client")
    if np.count_nonzero(present) < threshold:
        raise InconsistentServerError("survivors", f"{np.count_nonzero(present)} peers survive, {threshold} are needed")
    present_for_certain = int(np.count_nonzero(survivors & held)) + 1
    if present_for_certain < required_survivors:
        raise PolicyViolationError("min_survivors", present_for_certain, f"at least {required_survivors}")


def check_quorum(
    signers: npt.NDArray[np.bool_],
    survivors: npt.NDArray[np.bool_],
    involved: npt.NDArray[np.intp],
    graph: CompleteGraph,
    threshold: int,
) -> None:
    """Checks that every involved client's neighbourhood signed (round 4, ACTIVE).

    Args:
        signers: who signed, bool, shape (roster size,); the signatures have been verified.
        survivors: U3, bool, shape (roster size,).
        involved: roster indices of V_u and u itself.
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
