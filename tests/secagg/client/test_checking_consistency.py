"""Stage 3 on the client (ACTIVE): one signature, over the one survivor set that it fixes."""

import pytest

from secagg import InconsistentServerError, InvalidStateError, MalformedMessageError, StateSpentError
from secagg.client.held import Fixed
from secagg.client.states import CheckingConsistency, Unmasking
from secagg.client.survivors import consistency_digest_of
from secagg.primitives.signing import verify
from secagg.protocol.messages import SurvivorSet
from tests.kit.sessions import A, Live, at_stage, given, make_params


def test_the_survivor_set_is_fixed_and_signed_once():
    live = at_stage(Live(make_params()), "consistency")
    state = live.clients[A]._state
    membership = state._peek().membership
    following, message = state.check_consistency(given(live))
    assert type(following) is Unmasking
    fixed = following._peek()
    assert type(fixed) is Fixed
    digest = consistency_digest_of(fixed, membership.place().cohort)
    verify(live.public_keys[A], digest=digest, signature=message.signature, signer=A, what="the survivor set")
    with pytest.raises(StateSpentError):
        state.check_consistency(given(live))


def test_of_every_pair_of_shares_one_is_left():
    live = at_stage(Live(make_params()), "consistency")
    state = live.clients[A]._state
    pairs = state._peek().shares
    following, _ = state.check_consistency(given(live))
    # Everyone survives: the second of each pair, of the self-mask seed.
    assert following._peek().answer == b"".join(pairs[at + 40 : at + 80] for at in range(0, len(pairs), 80))
    assert not hasattr(following._peek(), "shares")


def test_wrong_lengths_cost_nothing_and_a_set_without_this_client_costs_the_secrets():
    live = at_stage(Live(make_params()), "consistency")
    state = live.clients[A]._state
    for survivors in (b"", b"\x00\x00", b"\xff"):
        with pytest.raises(MalformedMessageError):
            state.check_consistency(SurvivorSet(survivors, 5))
        assert not state.spent
    place = sorted(live.clients).index(A)
    with pytest.raises(InconsistentServerError, match="missing"):
        state.check_consistency(SurvivorSet(bytes([0x1F ^ (1 << place)]), 4))
    assert state.spent


def test_without_an_identity_nothing_is_signed():
    live = at_stage(Live(make_params()), "consistency")
    state = CheckingConsistency(live.clients[A]._state._peek(), None)
    with pytest.raises(InvalidStateError, match="no identity"):
        state.check_consistency(given(live))
    assert not state.spent
