"""Stage 4 on the client (HONEST_BUT_CURIOUS): the survivor set is checked and answered in one step."""

import pytest

from secagg import InconsistentServerError, MalformedMessageError, StateSpentError
from secagg.protocol.messages import SurvivorSet
from tests.kit.sessions import CURIOUS, A, E, Live, at_stage, given, make_params


def test_one_share_of_each_peer_is_released_by_whether_it_survived():
    live = at_stage(Live(make_params(CURIOUS, n=6)), "masked_input")
    live.collect(silent=[E])
    live.close()
    state = live.clients[A]._state
    pairs = state._peek().shares
    peers = [client for client in sorted(live.clients) if client != A]
    answer = state.unmask(given(live)).table
    for at, peer in enumerate(peers):
        kept = 80 * at + (0 if peer == E else 40)
        assert answer[40 * at :][:40] == pairs[kept : kept + 40]
    assert len(answer) == 40 * len(peers)
    with pytest.raises(StateSpentError):
        state.unmask(given(live))


def test_wrong_lengths_cost_nothing_and_a_set_without_this_client_costs_the_secrets():
    live = at_stage(Live(make_params(CURIOUS)), "unmask")
    state = live.clients[A]._state
    for survivors in (b"", b"\x00\x00", b"\xff"):
        with pytest.raises(MalformedMessageError):
            state.unmask(SurvivorSet(survivors, 5))
        assert not state.spent
    with pytest.raises(InconsistentServerError):
        state.unmask(SurvivorSet(b"\x00", 0))
    assert state.spent
