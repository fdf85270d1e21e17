"""What is settled when each stage begins: it holds no vector of a client, and no secret that opens one."""

import pytest

from secagg import InvalidStateError
from secagg.server.facts import Dealt, Enrolled, Invitees, Signed, Summed, members
from tests.kit.sessions import ACTIVE, Live, at_stage, make_params, models, stages_of

FACTS = {
    "advertise_keys": Invitees,
    "share_keys": Enrolled,
    "masked_input": Dealt,
    "consistency": Summed,
    "unmask": Signed,
}


@models
def test_every_stage_begins_with_its_facts(adversary):
    live = Live(make_params(adversary))
    for stage in stages_of(adversary):
        assert type(at_stage(live, stage).server._current.facts) is FACTS[stage]


@models
def test_the_last_facts_hold_all_earlier_ones(adversary):
    live = at_stage(Live(make_params(adversary, n=6)), "unmask")
    signed = live.server._current.facts
    summed = signed.summed
    dealt = summed.dealt
    assert dealt.enrolled.invitees.clients == set(live.clients)
    assert bool(dealt.enrolled.invitees.identities) is (adversary is ACTIVE)
    assert dealt.share_commitments.shape == (6, 5, 2, 16)
    assert dealt.seed_commitments.shape == (6, 32)
    assert summed.unopened.shape == (6, 5)
    assert summed.masked_sum.shape == (live.params.vector_length,)
    assert dealt.enrolled.cohort().roster_hash == live.server.roster_hash


def test_a_bitmap_of_a_wrong_size_is_no_fact():
    assert members(b"\x05", 3).tolist() == [True, False, True]
    for wrong in (b"", b"\x08", b"\x05\x00"):
        with pytest.raises(InvalidStateError):
            members(wrong, 3)
