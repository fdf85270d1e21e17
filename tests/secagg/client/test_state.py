"""Every state is single-use, and keeps the identity out of what it holds."""

from secagg.client.state import ClientState
from secagg.client.states import TRANSITIONS, AdvertisingKeys
from secagg.protocol.single_use import SingleUse
from tests.kit.sessions import A, Live, at_stage, make_params


def test_every_state_of_the_table_is_one():
    for state in (AdvertisingKeys, *(row.state for row in TRANSITIONS)):
        assert issubclass(state, ClientState)
        assert issubclass(state, SingleUse)
        assert not hasattr(state, "__dict__") or "__dict__" not in vars(state)


def test_the_identity_is_beside_what_is_held():
    live = at_stage(Live(make_params()), "consistency")
    state = live.clients[A]._state
    assert state._identity is live.identities[A]
    assert live.seeds[A] not in live.clients[A].to_bytes()
