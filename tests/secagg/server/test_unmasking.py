"""Stage 4 on the server: each share on its own, then the sum."""

import pytest

from secagg import InvalidShareError, MalformedMessageError, Result
from secagg.protocol.messages import UnmaskingShares
from secagg.protocol.wire import decode
from tests.kit.sessions import A, B, E, Live, at_stage, make_params, models


def answered(live: Live, client: int) -> UnmaskingShares:
    return decode(live.answer(client, live.outbound[client]), client, live.params, session_id=live.server.session_id)


@models
def test_one_wrong_share_refuses_the_whole_answer_and_names_the_responder(adversary):
    live = at_stage(Live(make_params(adversary)), "unmask")
    stage, good = live.server._current, answered(live, A)
    first_peer = min(client for client in live.clients if client != A)
    for place in (0, 4, 39):
        table = bytearray(good.table)
        table[place] ^= 1
        with pytest.raises(InvalidShareError) as caught:
            stage.receive(A, UnmaskingShares(bytes(table)))
        error = caught.value
        assert (error.culprit, error.role, error.dealer) == (A, "responder", first_peer)
        assert error.kind == "self-mask seed"
        assert not stage._available.any()
    with pytest.raises(MalformedMessageError, match="4 shares are awaited"):
        stage.receive(A, UnmaskingShares(good.table[:-40]))
    stage.receive(A, good)


@models
def test_the_result_is_the_survivors_sum_and_shows_no_entry(adversary):
    live = at_stage(Live(make_params(adversary, n=6)), "masked_input")
    result = live.run({"masked_input": [E], "unmask": [B]})
    assert type(result) is Result
    live.check(result)
    assert result.survivors == set(live.clients) - {E}
    assert "sum" not in repr(result)
    assert not result.culprits
