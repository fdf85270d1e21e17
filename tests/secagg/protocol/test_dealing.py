"""What one client deals its neighbours open, hold to the commitments, and answer with one share of two."""

import numpy as np

from secagg.primitives.shamir import SHARE_BYTES, decode_shares, limbs_to_secret, reconstruct
from secagg.protocol.cohort import Cohort
from secagg.protocol.dealing import PAIR_BYTES, count_records, deal, dealing_rand_bytes, open_delivery, select_answer
from secagg.protocol.messages import SHARE_RECORD_BYTES
from tests.kit.sessions import CURIOUS, make_params
from tests.secagg.protocol.test_cohort import IDS, SESSION, pair, roster

COHORT = Cohort(make_params(CURIOUS, n=7), SESSION, roster())
EVERYONE = np.ones(7, np.bool_)


def dealt(index: int) -> tuple[bytes, bytes]:
    rand = bytes(number % 251 for number in range(index, index + dealing_rand_bytes(6)))
    return deal(COHORT, index, seal=pair(IDS[index], 1), mask_private=pair(IDS[index], 2).private_bytes(), rand=rand)


TABLES, OPENING_KEYS = zip(*map(dealt, range(7)), strict=True)


def delivery(holder: int) -> bytes:
    """Returns the records that everyone else dealt to one client."""
    records = []
    for dealer in range(7):
        if dealer != holder:
            at = COHORT.graph.neighbours(dealer).tolist().index(holder) * SHARE_RECORD_BYTES
            records.append(TABLES[dealer][at : at + SHARE_RECORD_BYTES])
    return b"".join(records)


def test_everyone_opens_what_everyone_dealt_and_a_threshold_rebuilds_both_secrets():
    opened = {}
    for holder in range(7):
        held, pairs = open_delivery(
            COHORT, holder, dealers=EVERYONE, opening_keys=OPENING_KEYS[holder], table=delivery(holder)
        )
        dealers = [dealer for dealer in range(7) if dealer != holder]
        assert np.flatnonzero(held).tolist() == dealers
        assert len(pairs) == 6 * PAIR_BYTES
        opened |= {(dealer, holder): pairs[at * PAIR_BYTES :][:PAIR_BYTES] for at, dealer in enumerate(dealers)}
    threshold = COHORT.params.threshold
    for dealer in range(7):
        holders = [holder for holder in range(7) if holder != dealer][-threshold:]
        for kind, secret in ((0, pair(IDS[dealer], 2).private_bytes()), (1, bytes(range(dealer, dealer + 32)))):
            shares = b"".join(opened[dealer, holder][kind * SHARE_BYTES :][:SHARE_BYTES] for holder in holders)
            points, limbs, canonical = decode_shares(shares)
            assert canonical.all()
            assert points.tolist() == [holder + 1 for holder in holders]
            rebuilt = reconstruct(
                limbs[np.newaxis],
                points=points,
                available=np.ones((1, threshold), np.bool_),
                dealer_points=np.array([dealer + 1]),
                threshold=threshold,
            )
            assert limbs_to_secret(rebuilt[0]) == secret


def test_a_record_that_does_not_open_or_match_is_left_out_and_costs_nobody_else():
    good = delivery(0)
    for place in (0, 50, 119, 120, 136, 151):
        table = bytearray(good)
        table[2 * SHARE_RECORD_BYTES + place] ^= 1
        held, pairs = open_delivery(COHORT, 0, dealers=EVERYONE, opening_keys=OPENING_KEYS[0], table=bytes(table))
        assert np.flatnonzero(held).tolist() == [1, 2, 4, 5, 6]
        assert len(pairs) == 5 * PAIR_BYTES


def test_records_come_from_those_who_dealt():
    some = np.array([True, False, True, True, False, True, True])
    assert count_records(COHORT, 0, some) == 4
    kept = [at for at, dealer in enumerate(range(1, 7)) if some[dealer]]
    table = b"".join(delivery(0)[at * SHARE_RECORD_BYTES :][:SHARE_RECORD_BYTES] for at in kept)
    held, _ = open_delivery(COHORT, 0, dealers=some, opening_keys=OPENING_KEYS[0], table=table)
    assert np.flatnonzero(held).tolist() == [2, 3, 5, 6]


def test_an_answer_is_one_share_of_each_pair_by_the_survivor_set():
    held = np.array([False, True, True, False, True, False, False])
    survivors = np.array([True, True, False, True, True, True, True])
    pairs = b"".join(bytes([dealer]) * SHARE_BYTES + bytes([16 + dealer]) * SHARE_BYTES for dealer in (1, 2, 4))
    answer = select_answer(held, survivors=survivors, pairs=pairs)
    # A survivor's self-mask seed comes second in its pair, the mask key of one that vanished first.
    assert answer == b"".join(bytes([value]) * SHARE_BYTES for value in (17, 2, 20))
