"""A client returns a share that it was not dealt: it is named, and the others' shares are enough."""

from collections.abc import Collection

import pytest

from secagg.errors import InvalidShareError, MalformedMessageError
from secagg.params import AdversaryModel
from secagg.primitives.shamir import SHARE_BYTES
from secagg.protocol.dealing import KIND_MASK_KEY, KIND_NAMES, KIND_SELF_MASK_SEED
from tests.kit.attack_scene import (
    LIAR,
    NEIGHBOURS,
    PEER,
    SPARE,
    VICTIM,
    Scene,
    both_models,
    flipped,
    records,
    sparse_only,
)


def place(scene: Scene, dealer: int, holder: int = LIAR) -> int:
    """Where a holder's answer has the share of a dealer: everyone dealt, and every seal opened."""
    return scene.neighbours(holder).index(dealer)


def refuse(
    scene: Scene,
    replies: dict[int, bytes],
    shares: list[bytes],
    dealer: int,
    kind: int,
    missing: Collection[int] = (),
) -> None:
    lie = scene.altered(replies.pop(LIAR), table=b"".join(shares))
    error = scene.accused(LIAR, lie, InvalidShareError)
    assert (error.role, error.dealer, error.kind) == ("responder", dealer, KIND_NAMES[kind])
    scene.upload(replies)
    result = scene.close()
    # The liar's own vector was added long before.
    scene.assert_exact(result, missing)
    assert result.culprits[LIAR].error == "InvalidShareError"
    assert set(result.culprits) == {LIAR}


def answered(
    model: AdversaryModel, silent: frozenset[int] = frozenset()
) -> tuple[Scene, dict[int, bytes], list[bytes]]:
    scene = Scene(model).until("masked_input").until_survivors(silent).until("unmask")
    replies = scene.answers()
    return scene, replies, records(scene.read(replies[LIAR]).table, SHARE_BYTES)


def of_a_stranger(scene: Scene, replies: dict[int, bytes]) -> bytes:
    """A share of one of the liar's strangers that somebody else holds: the liar itself was dealt none."""
    stranger = scene.strangers(LIAR)[0]
    holder = scene.neighbours(stranger)[0]
    return records(scene.read(replies[holder]).table, SHARE_BYTES)[place(scene, stranger, holder)]


# x is the first word of a share, its nine limbs follow; 2**31 - 1 is the prime itself.
SPOILT = {
    "first_limb": lambda share: flipped(share, 4),
    "last_limb": lambda share: flipped(share, 36),
    "point": lambda share: flipped(share, 0),
    "point_zero": lambda share: bytes(4) + share[4:],
    "zeros": lambda share: share[:4] + bytes(36),
    "not_canonical": lambda share: share[:4] + (2**31 - 1).to_bytes(4, "little") + share[8:],
    "top_bit": lambda share: flipped(share[:7] + bytes([share[7] ^ 0x80]) + share[8:], 8),
}


@both_models
@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_spoilt_share_of_a_survivors_seed_names_its_sender(model: AdversaryModel, spoilt: str):
    scene, replies, shares = answered(model)
    position = place(scene, PEER)
    shares[position] = SPOILT[spoilt](shares[position])
    refuse(scene, replies, shares, PEER, KIND_SELF_MASK_SEED)


@both_models
@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_spoilt_share_of_a_dropped_clients_key_names_its_sender(model: AdversaryModel, spoilt: str):
    scene, replies, shares = answered(model, frozenset({SPARE}))
    position = place(scene, SPARE)
    shares[position] = SPOILT[spoilt](shares[position])
    refuse(scene, replies, shares, SPARE, KIND_MASK_KEY, missing={SPARE})


@both_models
def test_shares_of_two_dealers_exchanged_name_their_sender(model: AdversaryModel):
    scene, replies, shares = answered(model)
    one, other = place(scene, VICTIM), place(scene, PEER)
    shares[one], shares[other] = shares[other], shares[one]
    refuse(scene, replies, shares, VICTIM, KIND_SELF_MASK_SEED)


@both_models
def test_another_holders_share_names_its_sender(model: AdversaryModel):
    scene, replies, shares = answered(model)
    theirs = records(scene.read(replies[VICTIM]).table, SHARE_BYTES)
    shares[place(scene, PEER)] = theirs[place(scene, PEER, holder=VICTIM)]
    refuse(scene, replies, shares, PEER, KIND_SELF_MASK_SEED)


@both_models
@sparse_only
def test_a_share_of_a_stranger_in_a_peers_place_names_its_sender(model: AdversaryModel):
    scene, replies, shares = answered(model)
    shares[place(scene, PEER)] = of_a_stranger(scene, replies)
    refuse(scene, replies, shares, PEER, KIND_SELF_MASK_SEED)


@both_models
@sparse_only
def test_a_share_of_a_stranger_besides_the_peers_is_refused(model: AdversaryModel):
    scene, replies, shares = answered(model)
    lie = scene.altered(replies.pop(LIAR), table=b"".join([*shares, of_a_stranger(scene, replies)]))
    scene.accused(LIAR, lie, MalformedMessageError)
    scene.upload(replies)
    result = scene.close()
    scene.assert_exact(result)
    assert set(result.culprits) == {LIAR}


@both_models
def test_the_share_of_the_other_kind_names_its_sender(model: AdversaryModel):
    scene = Scene(model).until_survivors()
    pairs = records(scene.clients[LIAR]._state._peek().shares, 2 * SHARE_BYTES)
    scene.until("unmask")
    replies = scene.answers()
    shares = records(scene.read(replies[LIAR]).table, SHARE_BYTES)
    position = place(scene, PEER)
    assert shares[position] == pairs[position][SHARE_BYTES:]
    shares[position] = pairs[position][:SHARE_BYTES]
    refuse(scene, replies, shares, PEER, KIND_SELF_MASK_SEED)


@both_models
@pytest.mark.parametrize("shares", [0, 1, NEIGHBOURS - 1])
def test_fewer_shares_than_it_said_to_hold_are_refused(model: AdversaryModel, shares: int):
    scene = Scene(model).until("unmask")
    replies = scene.answers()
    table = scene.read(replies[LIAR]).table[: shares * SHARE_BYTES]
    error = scene.accused(LIAR, scene.altered(replies.pop(LIAR), table=table), MalformedMessageError)
    assert error.reason == f"UnmaskingShares: {NEIGHBOURS} shares are awaited"
    scene.upload(replies)
    result = scene.close()
    scene.assert_exact(result)
    assert set(result.culprits) == {LIAR}


@both_models
def test_two_liars_among_eight_neighbours_do_not_stop_the_sum(model: AdversaryModel):
    scene = Scene(model).until("unmask")
    replies = scene.answers()
    for liar in (LIAR, PEER):
        table = scene.read(replies[liar]).table
        scene.accused(liar, scene.altered(replies.pop(liar), table=flipped(table, 5)), InvalidShareError)
    scene.upload(replies)
    result = scene.close()
    scene.assert_exact(result)
    assert set(result.culprits) == {LIAR, PEER}
