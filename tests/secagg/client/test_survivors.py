"""Once the survivor set is fixed, the other share of every pair is gone."""

import pytest

from secagg import MalformedMessageError
from secagg.client.survivors import consistency_digest_of, fix, require_lengths
from secagg.protocol.messages import SurvivorSet
from tests.kit.sessions import A, E, Live, at_stage, given, make_params, models, stages_of


@models
def test_the_answer_is_one_share_of_each_peer_and_the_other_is_gone(adversary):
    live = at_stage(Live(make_params(adversary, n=6)), "masked_input")
    live.collect(silent=[E])
    live.close()
    assert live.server.stage == stages_of(adversary)[3]
    masked = live.clients[A]._state._peek()
    fixed, cohort = fix(masked, given(live))
    peers = [client for client in sorted(live.clients) if client != A]
    for at, peer in enumerate(peers):
        first, second = masked.shares[80 * at :][:40], masked.shares[80 * at + 40 :][:40]
        kept, gone = (first, second) if peer == E else (second, first)
        assert fixed.answer[40 * at :][:40] == kept
        assert gone not in fixed.answer
    assert (fixed.survivors, fixed.total) == (given(live).survivors, 5)
    assert consistency_digest_of(fixed, cohort) == consistency_digest_of(fixed, fixed.membership.place().cohort)


@models
def test_lengths_are_those_of_the_roster_that_this_client_sees(adversary):
    live = at_stage(Live(make_params(adversary)), stages_of(adversary)[3])
    membership = live.clients[A]._state._peek().membership
    require_lengths(given(live), membership)
    for survivors in (b"", b"\x00\x00"):
        with pytest.raises(MalformedMessageError):
            require_lengths(SurvivorSet(survivors, 5), membership)
