"""Stage 1 on the client: a checked roster, and shares of both secrets for every neighbour."""

import pytest

from secagg import InconsistentServerError, MalformedMessageError, StateSpentError
from secagg.client.held import Shared
from secagg.client.states import MaskingInput
from secagg.protocol.messages import SHARE_RECORD_BYTES, KeyRoster
from tests.kit.sessions import A, Live, at_stage, given, make_params, models


@models
def test_a_record_for_each_neighbour_is_sent_and_the_seal_key_is_gone(adversary):
    live = at_stage(Live(make_params(adversary)), "share_keys")
    state = live.clients[A]._state
    seal_private = state._peek().seal_private
    following, message = state.share_keys(given(live))
    assert type(following) is MaskingInput
    assert len(message.table) == 4 * SHARE_RECORD_BYTES
    held = following._peek()
    assert type(held) is Shared
    assert len(held.opening_keys) == 4 * 32
    assert seal_private not in (held.mask_private, held.self_mask_seed)
    assert not hasattr(held, "seal_private")
    with pytest.raises(StateSpentError):
        state.share_keys(given(live))


@models
def test_wrong_lengths_cost_nothing_and_a_wrong_roster_costs_the_secrets(adversary):
    live = at_stage(Live(make_params(adversary)), "share_keys")
    state, genuine = live.clients[A]._state, given(live)
    for entries in (b"", genuine.entries[:-1], genuine.entries * 2):
        with pytest.raises(MalformedMessageError):
            state.share_keys(KeyRoster(entries, genuine.total))
        assert not state.spent
    with pytest.raises(InconsistentServerError):
        state.share_keys(KeyRoster(genuine.entries, genuine.total - 1))
    assert state.spent


@models
def test_what_is_dealt_is_drawn_afresh(adversary):
    live = at_stage(Live(make_params(adversary)), "share_keys")
    following = [live.clients[client]._state.share_keys(given(live, client))[0] for client in live.clients]
    assert len({state._peek().self_mask_seed for state in following}) == len(following)
