"""What states hold: fewer secrets from state to state, and where a client stands in its roster."""

import pytest

from secagg import MalformedMessageError
from secagg.client.held import Advertised, Fixed, Invited, Masked, Shared
from tests.kit.sessions import ACTIVE, A, Live, at_stage, make_params, models, stages_of

SECRETS = {
    Invited: set(),
    Advertised: {"seal_private", "mask_private"},
    Shared: {"mask_private", "self_mask_seed", "opening_keys"},
    Masked: {"shares"},
    Fixed: {"answer"},
}
PUBLIC = {"invited", "signature", "membership", "task_ctx", "dealers", "held", "survivors", "total"}


def test_each_has_the_secrets_that_it_still_needs_and_no_identity():
    for held, secrets in SECRETS.items():
        if held is not Invited:
            assert set(held.__struct_fields__) - PUBLIC == secrets
        assert not {name for name in held.__struct_fields__ if "identity" in name}


@models
def test_nothing_that_is_held_is_shown(adversary):
    live = Live(make_params(adversary))
    for stage in stages_of(adversary)[1:]:
        held = at_stage(live, stage).clients[A]._state._peek()
        assert repr(held) == f"<{type(held).__name__}>"


@models
def test_a_client_knows_its_place_and_reads_bitmaps_over_what_it_sees(adversary):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    place = live.clients[A]._state._peek().membership.place()
    ids = sorted(live.clients)
    assert (place.index, place.size) == (ids.index(A), len(ids))
    assert place.neighbours.tolist() == [at for at, client in enumerate(ids) if client != A]
    assert place.members(b"\x05").tolist() == [True, False, True, False, False]
    for wrong in (b"", b"\x20", b"\x00\x00"):
        with pytest.raises(MalformedMessageError, match="5 clients"):
            place.members(wrong)
    assert bool(live.clients[A]._state._peek().membership.identity_keys) is (adversary is ACTIVE)
