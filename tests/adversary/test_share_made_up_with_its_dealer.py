"""A dealer and a holder collude: they commit to a share that no dealing gives, and the holder returns it.

The commitment matches, so the server has to look at the share itself: its point and its limbs.
"""

import numpy as np
import pytest

from secagg.errors import InvalidShareError
from secagg.params import AdversaryModel
from secagg.primitives.field import PRIME
from secagg.primitives.shamir import LIMBS, SHARE_BYTES
from secagg.protocol.dealing import KIND_SELF_MASK_SEED
from secagg.protocol.messages import SEALED_BYTES
from tests.kit.attack_scene import LIAR, PEER, THRESHOLD, Scene, both_models, records

HOLDER = PEER
"""A neighbour of the dealer in either graph."""


@both_models
@pytest.mark.parametrize("lie", ["point", "zero", "limb"])
def test_the_holder_is_named_and_the_sum_is_exact(model: AdversaryModel, lie: str):
    scene = Scene(model).until("share_keys")
    cohort = scene.public()
    dealer, holder = cohort.roster.index[LIAR], cohort.roster.index[HOLDER]
    point, limb = {"point": (holder + 2, 7), "zero": (0, 7), "limb": (holder + 1, PRIME)}[lie]
    share = np.array([point, *[limb] * LIMBS], "<u4").tobytes()
    replies = scene.answers()
    table = records(scene.read(replies[LIAR]).table)
    place = scene.neighbours(LIAR).index(HOLDER)
    commitment = cohort.share_commitment(dealer, holder=holder, kind=KIND_SELF_MASK_SEED, share=share)
    table[place] = table[place][:SEALED_BYTES] + bytes(16) + commitment
    replies[LIAR] = scene.altered(replies[LIAR], table=b"".join(table))
    scene.upload(replies)
    scene.close()

    replies = scene.answers()
    assert scene.read(replies[HOLDER]).unopened == scene.bitmap(HOLDER, [LIAR])
    replies[HOLDER] = scene.altered(replies[HOLDER], unopened=scene.bitmap(HOLDER, []))
    scene.upload(replies)
    scene.close()

    replies = scene.until("unmask").answers()
    shares = records(scene.read(replies[HOLDER]).table, SHARE_BYTES)
    shares.insert(scene.neighbours(HOLDER).index(LIAR), share)
    error = scene.accused(HOLDER, scene.altered(replies.pop(HOLDER), table=b"".join(shares)), InvalidShareError)
    assert (error.role, error.dealer) == ("responder", LIAR)
    assert len(replies) > THRESHOLD
    scene.upload(replies)
    scene.assert_exact(scene.close())
