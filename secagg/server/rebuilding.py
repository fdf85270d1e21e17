"""From returned shares to the sum: rebuild the secrets, check them, take the masks off.

Bonawitz et al. 2017, figure 4, round 4, server side.
"""

from collections.abc import Iterator
from concurrent.futures import Executor

import numpy as np
import numpy.typing as npt

from secagg.errors import InvalidShareError
from secagg.primitives.agreement import KeyPair
from secagg.primitives.masking import apply_masks, reduce_to_modulus
from secagg.primitives.shamir import limbs_to_secret, reconstruct
from secagg.primitives.sparse_shamir import reconstruct_rows
from secagg.protocol.cohort import Cohort
from secagg.protocol.dealing import KIND_MASK_KEY, KIND_NAMES, KIND_SELF_MASK_SEED

Present = npt.NDArray[np.bool_]


def rebuild_secrets(
    cohort: Cohort,
    *,
    dealers: Present,
    survivors: Present,
    seed_commitments: npt.NDArray[np.uint8],
    limbs: npt.NDArray[np.uint32],
    available: Present,
) -> tuple[dict[int, bytes | KeyPair], list[InvalidShareError]]:
    """Rebuilds each dealer's one secret and checks it against what is known of it in public.

    Args:
        cohort: the session.
        dealers: U2, shape (size,).
        survivors: U3, shape (size,): their self-mask seed is rebuilt, everybody else's mask key.
        seed_commitments: shape (size, 32).
        limbs: the returned shares, shape (size, k, limbs), by dealer and place among its neighbours.
        available: which of them are there, shape (size, k).

    Returns:
        By roster index a survivor's self-mask seed or another dealer's mask key pair, and an error for every dealer
        whose shares are as dealt and wrong.
    """
    chosen = np.flatnonzero(dealers)
    values = _reconstruct(cohort, chosen, limbs, available)
    secrets: dict[int, bytes | KeyPair] = {}
    errors = []
    for dealer, row in zip(chosen.tolist(), values, strict=True):
        kind = KIND_SELF_MASK_SEED if survivors[dealer] else KIND_MASK_KEY
        encoded = limbs_to_secret(row)
        secret: bytes | KeyPair | None = encoded
        if encoded is not None and kind == KIND_MASK_KEY:
            secret = KeyPair(encoded)
        if secret is not None and _is_right(cohort, dealer, secret, seed_commitments[dealer].tobytes()):
            secrets[dealer] = secret
        else:
            errors.append(InvalidShareError(cohort.client(dealer), "dealer", cohort.client(dealer), KIND_NAMES[kind]))
    return secrets, errors


def _reconstruct(
    cohort: Cohort, chosen: npt.NDArray[np.intp], limbs: npt.NDArray[np.uint32], available: Present
) -> npt.NDArray[np.uint32]:
    """Rebuilds the limbs of the chosen dealers' secrets, shape (chosen, limbs)."""
    graph, points, threshold = cohort.graph, cohort.roster.points, cohort.params.threshold
    if not graph.complete:
        return reconstruct_rows(limbs[chosen], points[graph.table[chosen]], available[chosen], threshold)
    # Everyone holds everyone's shares: by responder instead of by place, one row of weights serves all dealers.
    rows = np.arange(len(chosen))[:, np.newaxis]
    by_responder = np.zeros((len(chosen), len(points), limbs.shape[2]), np.uint32)
    by_responder[rows, graph.table[chosen]] = limbs[chosen]
    answered = np.zeros((len(chosen), len(points)), np.bool_)
    answered[rows, graph.table[chosen]] = available[chosen]
    return reconstruct(
        by_responder, points=points, available=answered, dealer_points=points[chosen], threshold=threshold
    )


def remove_masks(
    cohort: Cohort,
    secrets: dict[int, bytes | KeyPair],
    *,
    survivors: Present,
    task_ctx: bytes,
    masked_sum: npt.NDArray[np.unsignedinteger],
    executor: Executor | None,
) -> None:
    """Takes every remaining mask off the sum, in place, and reduces it to the modulus.

    Args:
        cohort: the session.
        secrets: for each survivor its self-mask seed, for each other dealer its mask key pair.
        survivors: U3, shape (size,).
        task_ctx: the context of the masks.
        masked_sum: words, shape (vector_length,).
        executor: runs the mask generation in tasks of some coordinates or masks each; None is serial.
    """
    add: list[bytes] = []
    subtract: list[bytes] = []
    for index, secret in secrets.items():
        if isinstance(secret, bytes):
            subtract.append(cohort.self_mask(index, seed=secret, task_ctx=task_ctx))
        else:
            for survivor, mask in _masks_with_survivors(
                cohort, index, key=secret, survivors=survivors, task_ctx=task_ctx
            ):
                # The survivor added this mask if its own index is the smaller one, else it subtracted it.
                (subtract if survivor < index else add).append(mask)
    apply_masks(masked_sum, add=add, subtract=subtract, suite=cohort.params.suite, executor=executor)
    reduce_to_modulus(masked_sum, cohort.params.modulus_bits)


def _masks_with_survivors(
    cohort: Cohort, index: int, *, key: KeyPair, survivors: Present, task_ctx: bytes
) -> Iterator[tuple[int, bytes]]:
    neighbours = cohort.graph.neighbours(index)
    for peer in neighbours[survivors[neighbours]].tolist():
        yield peer, cohort.pairwise_mask(index, key, peer=peer, task_ctx=task_ctx)


def _is_right(cohort: Cohort, dealer: int, secret: bytes | KeyPair, seed_commitment: bytes) -> bool:
    if isinstance(secret, KeyPair):
        return secret.public == cohort.roster.entries[dealer].mask_key
    return cohort.self_mask_commitment(dealer, secret) == seed_commitment
