"""A dealer and a holder collude: they commit to a share that no dealing gives, and the holder returns it.

The commitment matches, so the server has to look at the share itself: its point and its limbs.
"""

import numpy as np
import pytest

from secagg.bitmap import encode_bitmap
from secagg.dealing import KIND_SELF_MASK_SEED
from secagg.errors import InvalidShareError
from secagg.field import PRIME
from secagg.messages import SEALED_BYTES
from secagg.shamir import LIMBS, SHARE_BYTES
from tests.adversary.scene import IDS, LIAR, THRESHOLD, Scene, both_models, records, without

HOLDER = without(IDS, LIAR)[0]


@both_models
@pytest.mark.parametrize(
    ("point", "limb"),
    [(IDS.index(HOLDER) + 2, 7), (0, 7), (IDS.index(HOLDER) + 1, PRIME)],
    ids=["point", "zero", "limb"],
)
def test_the_holder_is_named_and_the_sum_is_exact(model, point: int, limb: int):
    scene = Scene(model).until("share_keys")
    share = np.array([point, *[limb] * LIMBS], "<u4").tobytes()
    replies = scene.answers()
    table = records(scene.read(replies[LIAR]).table)
    place = without(IDS, LIAR).index(HOLDER)
    commitment = scene.cohort().share_commitment(IDS.index(LIAR), IDS.index(HOLDER), KIND_SELF_MASK_SEED, share)
    table[place] = table[place][:SEALED_BYTES] + bytes(16) + commitment
    replies[LIAR] = scene.altered(replies[LIAR], table=b"".join(table))
    scene.upload(replies)
    scene.close()

    replies = scene.answers()
    replies[HOLDER] = scene.altered(replies[HOLDER], unopened=encode_bitmap(np.zeros(len(IDS), np.bool_)))
    scene.upload(replies)
    scene.close()

    replies = scene.until("unmask").answers()
    shares = records(scene.read(replies[HOLDER]).table, SHARE_BYTES)
    shares.insert(without(IDS, HOLDER).index(LIAR), share)
    error = scene.accused(HOLDER, scene.altered(replies.pop(HOLDER), table=b"".join(shares)), InvalidShareError)
    assert (error.role, error.dealer) == ("responder", LIAR)
    assert len(replies) > THRESHOLD
    scene.upload(replies)
    scene.assert_exact(scene.close())
