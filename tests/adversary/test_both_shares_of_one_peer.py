"""A server wants both shares of one peer, the self-mask seed's and the mask key's: together they unmask its vector.

A request for both cannot be expressed; the survivor set alone decides, and what it does not ask for is forgotten.
"""

from secagg.params import AdversaryModel
from secagg.primitives.shamir import SHARE_BYTES
from secagg.protocol.dealing import KIND_MASK_KEY, KIND_SELF_MASK_SEED
from secagg.protocol.messages import SEALED_BYTES
from tests.kit.attack_scene import NEIGHBOURS, SPARE, VICTIM, Scene, both_models, records


@both_models
def test_an_answer_has_one_share_of_each_peer_of_the_kind_that_its_survival_decides(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    delivered = records(scene.read(scene.outbound[VICTIM]).table)
    scene.exchange(silent={SPARE})
    held = scene.clients[VICTIM]._state._peek().shares
    if scene.params.active:
        scene.exchange()
    cohort, peers = scene.public(), scene.neighbours(VICTIM)
    place = cohort.roster.index
    answer = records(scene.read(scene.deliver(VICTIM)).table, SHARE_BYTES)
    assert len(answer) == len(peers) == NEIGHBOURS, "of a stranger it holds nothing"
    for peer, record, share in zip(peers, delivered, answer, strict=True):
        wanted, other = KIND_SELF_MASK_SEED, KIND_MASK_KEY
        if peer == SPARE:
            wanted, other = other, wanted
        commitments = dict(zip((KIND_MASK_KEY, KIND_SELF_MASK_SEED), records(record[SEALED_BYTES:], 16), strict=True))
        assert (
            cohort.share_commitment(place[peer], holder=place[VICTIM], kind=wanted, share=share) == commitments[wanted]
        )
        assert cohort.share_commitment(place[peer], holder=place[VICTIM], kind=other, share=share) != commitments[other]
    left = scene.clients[VICTIM].to_bytes()
    for share in records(held, SHARE_BYTES):
        assert (share in left) == (share in answer), "only the reply, kept for a redelivery, may still hold shares"


@both_models
def test_once_the_set_is_fixed_the_other_shares_are_gone(model: AdversaryModel):
    scene = Scene(model).until_survivors()
    held = records(scene.clients[VICTIM]._state._peek().shares, SHARE_BYTES)
    scene.deliver(VICTIM)
    left = scene.clients[VICTIM].to_bytes()
    mask_key_shares, seed_shares = held[::2], held[1::2]
    assert not [share for share in mask_key_shares if share in left]
    assert all(share in left for share in seed_shares)


@both_models
def test_after_masking_neither_mask_key_nor_self_mask_seed_are_left(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    state = scene.clients[VICTIM]._state._peek()
    scene.deliver(VICTIM)
    left = scene.clients[VICTIM].to_bytes()
    assert state.mask_private not in left
    assert state.self_mask_seed not in left
    assert not [key for key in records(state.opening_keys, 32) if key in left]
