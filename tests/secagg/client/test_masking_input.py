"""Stage 2 on the client: the vector goes out masked, and with it go the secrets that the mask came from."""

import numpy as np
import pytest

from secagg import InconsistentServerError, MalformedMessageError
from secagg.client.held import Masked
from secagg.client.states import AwaitingSurvivors, CheckingConsistency
from secagg.primitives.packing import pack
from secagg.protocol.messages import SHARE_RECORD_BYTES, ShareDelivery
from tests.kit.sessions import ACTIVE, MODEL, A, Live, at_stage, given, make_params, models


@models
def test_the_vector_is_masked_and_neither_secret_stays(adversary):
    live = at_stage(Live(make_params(adversary, vector_length=40)), "masked_input")
    state = live.clients[A]._state
    held = state._peek()
    following, message = state.mask_input(given(live), live.vectors[A], MODEL)
    assert type(following) is (CheckingConsistency if adversary is ACTIVE else AwaitingSurvivors)
    plain = pack(live.vectors[A], live.params.modulus_bits)
    assert len(message.vector) == len(plain)
    assert bytes(message.vector) != bytes(plain)
    assert message.unopened == b"\x00"
    kept = following._peek()
    assert type(kept) is Masked
    assert held.mask_private not in kept.shares
    assert held.self_mask_seed not in kept.shares
    assert not hasattr(kept, "mask_private")
    assert not hasattr(kept, "self_mask_seed")


@models
def test_a_seal_that_does_not_open_is_reported_and_still_masked_with(adversary):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    genuine = given(live)
    damaged = bytearray(genuine.table)
    damaged[SHARE_RECORD_BYTES] ^= 1
    following, message = live.clients[A]._state.mask_input(
        ShareDelivery(genuine.dealers, bytes(damaged)), live.vectors[A], MODEL
    )
    ids = sorted(live.clients)
    peers = [client for client in ids if client != A]
    assert message.unopened == bytes([1 << ids.index(peers[1])])
    assert len(following._peek().shares) == 3 * 80


@models
def test_wrong_lengths_cost_nothing_and_too_few_dealers_cost_the_secrets(adversary):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    state, genuine = live.clients[A]._state, given(live)
    for dealers, table in (
        (b"", genuine.table),
        (genuine.dealers, genuine.table[:-1]),
        (genuine.dealers, genuine.table[SHARE_RECORD_BYTES:]),
    ):
        with pytest.raises(MalformedMessageError):
            state.mask_input(ShareDelivery(dealers, table), live.vectors[A], MODEL)
        assert not state.spent
    place = sorted(live.clients).index(A)
    with pytest.raises(InconsistentServerError, match="dealers"):
        state.mask_input(ShareDelivery(bytes([1 << place]), b""), live.vectors[A], MODEL)
    assert state.spent


@models
def test_the_vector_itself_is_not_changed(adversary):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    before = live.vectors[A].copy()
    live.clients[A]._state.mask_input(given(live), live.vectors[A], MODEL)
    assert np.array_equal(before, live.vectors[A])
