"""Dealing shares of a client's two secrets to its neighbours, and opening what they dealt.

Bonawitz et al. 2017, figure 4, round 1: every client shares out its mask key (rebuilt by the server
if the client vanishes) and its self-mask seed (rebuilt if it survives).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from secagg.errors import SERVER
from secagg.primitives.agreement import KeyPair
from secagg.primitives.shamir import SHARE_BYTES, decode_shares, encode_shares, split
from secagg.protocol.cohort import Cohort
from secagg.protocol.messages import SEALED_BYTES, SHARE_RECORD_BYTES
from secagg.protocol.sealing import NONCE_BYTES
from secagg.protocol.transcript import COMMITMENT_BYTES

KIND_MASK_KEY: Final = 1
KIND_SELF_MASK_SEED: Final = 2
KIND_NAMES: Final = {KIND_MASK_KEY: "mask key", KIND_SELF_MASK_SEED: "self-mask seed"}

SEED_BYTES: Final = 32
PAIR_BYTES: Final = 2 * SHARE_BYTES

Present = npt.NDArray[np.bool_]


def dealing_rand_bytes(neighbours: int) -> int:
    """Returns the random bytes that one dealing uses: seed, two polynomial seeds, a nonce for each neighbour."""
    return 3 * SEED_BYTES + neighbours * NONCE_BYTES


def deal(cohort: Cohort, index: int, *, seal: KeyPair, mask_private: bytes, rand: bytes) -> tuple[bytes, bytes]:
    """Splits both secrets and seals each neighbour's pair of shares.

    Args:
        cohort: the session.
        index: the dealer's place in the roster.
        seal: its seal key pair.
        mask_private: its mask private key, 32 bytes.
        rand: `dealing_rand_bytes` random bytes; the first 32 are the self-mask seed.

    Returns:
        The table of records, and the keys that open what each neighbour seals to this client.
    """
    params = cohort.params
    neighbours = cohort.graph.neighbours(index)
    seed, first, second = (rand[at : at + SEED_BYTES] for at in range(0, 3 * SEED_BYTES, SEED_BYTES))
    points = cohort.roster.points[neighbours]
    mask_key_shares = encode_shares(
        points, split([mask_private], params.threshold, points, first, suite=params.suite)[0]
    )
    seed_shares = encode_shares(points, split([seed], params.threshold, points, second, suite=params.suite)[0])

    table, opening_keys = bytearray(), bytearray()
    for position, peer in enumerate(neighbours.tolist()):
        shared_secret = seal.shared_secret(cohort.roster.entries[peer].seal_key, SERVER)
        outward, inward = cohort.seal_context(index, receiver=peer), cohort.seal_context(peer, receiver=index)
        nonce = rand[3 * SEED_BYTES + position * NONCE_BYTES :][:NONCE_BYTES]
        at = position * SHARE_BYTES
        pair = mask_key_shares[at : at + SHARE_BYTES], seed_shares[at : at + SHARE_BYTES]
        table += outward.seal(outward.derive_key(shared_secret), nonce=nonce, plaintext=b"".join(pair))
        table += cohort.share_commitment(index, holder=peer, kind=KIND_MASK_KEY, share=pair[0])
        table += cohort.share_commitment(index, holder=peer, kind=KIND_SELF_MASK_SEED, share=pair[1])
        opening_keys += inward.derive_key(shared_secret)
    return bytes(table), bytes(opening_keys)


def count_records(cohort: Cohort, index: int, dealers: Present) -> int:
    """Returns how many records a client is delivered: one from each neighbour that dealt."""
    return int(np.count_nonzero(dealers[cohort.graph.neighbours(index)]))


def open_delivery(
    cohort: Cohort, index: int, *, dealers: Present, opening_keys: bytes, table: bytes
) -> tuple[Present, bytes]:
    """Opens what the neighbours dealt to a client.

    A record that does not open, or whose shares are not what was committed to, is left out and
    nothing else happens: one malicious dealer must not be able to end every session.

    Args:
        cohort: the session.
        index: the holder's place in the roster.
        dealers: U2, bool, shape (roster size,).
        opening_keys: a 32-byte key for each neighbour, ascending.
        table: `count_records` records, of the neighbours that dealt, ascending.

    Returns:
        Whose shares are held, bool, shape (roster size,), and their pairs, 80 bytes each, ascending.
    """
    held = np.zeros(len(dealers), np.bool_)
    pairs = bytearray()
    at = 0
    for position, dealer in enumerate(cohort.graph.neighbours(index).tolist()):
        if not dealers[dealer]:
            continue
        record = table[at : at + SHARE_RECORD_BYTES]
        at += SHARE_RECORD_BYTES
        key = opening_keys[32 * position : 32 * (position + 1)]
        pair = cohort.seal_context(dealer, receiver=index).unseal(key, sealed=record[:SEALED_BYTES])
        if pair is not None and _as_committed(
            cohort, dealer=dealer, holder=index, pair=pair, commitments=record[SEALED_BYTES:]
        ):
            held[dealer] = True
            pairs += pair
    return held, bytes(pairs)


def select_answer(held: Present, *, survivors: Present, pairs: bytes) -> bytes:
    """Returns for each held pair its one share that the survivor set asks for.

    Args:
        held: whose pairs `pairs` has, bool, shape (roster size,).
        survivors: U3, bool, shape (roster size,).
        pairs: 80 bytes for each held dealer, ascending.
    """
    table = np.frombuffer(pairs, np.uint8).reshape(-1, 2, SHARE_BYTES)
    # A survivor's self-mask seed, everybody else's mask key: never both.
    wanted = np.where(survivors[held], KIND_SELF_MASK_SEED - 1, KIND_MASK_KEY - 1)
    return table[np.arange(len(table)), wanted].tobytes()


def _as_committed(cohort: Cohort, *, dealer: int, holder: int, pair: bytes, commitments: bytes) -> bool:
    if len(pair) != PAIR_BYTES:
        return False
    points, _, canonical = decode_shares(pair)
    if not canonical.all() or (points != cohort.roster.points[holder]).any():
        return False
    expected = cohort.share_commitment(dealer, holder=holder, kind=KIND_MASK_KEY, share=pair[:SHARE_BYTES])
    expected += cohort.share_commitment(dealer, holder=holder, kind=KIND_SELF_MASK_SEED, share=pair[SHARE_BYTES:])
    return expected == commitments[: 2 * COMMITMENT_BYTES]
