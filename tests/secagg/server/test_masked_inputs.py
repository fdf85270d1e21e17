"""Stage 2 on the server: one running sum, to which an input is added whole or not at all."""

import numpy as np
import pytest

from secagg import AuthenticationError, MalformedMessageError
from secagg.primitives.packing import add_packed
from secagg.protocol.messages import MaskedInput
from secagg.protocol.wire import decode
from tests.kit.sessions import A, E, Live, at_stage, given, make_params, models


def answered(live: Live, client: int) -> MaskedInput:
    return decode(live.answer(client, live.outbound[client]), client, live.params, session_id=live.server.session_id)


@models
def test_the_running_sum_is_that_of_the_inputs_as_they_came(adversary):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    stage, expected = live.server._current, live.server._current._sum.copy()
    for client in live.clients:
        message = answered(live, client)
        add_packed(expected, message.vector, live.params.modulus_bits)
        stage.receive(client, message)
        assert np.array_equal(stage._sum, expected)


@models
def test_what_is_refused_is_not_added(adversary):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    stage, good = live.server._current, answered(live, A)
    own = 1 << sorted(live.clients).index(A)
    for wrong, error in (
        (MaskedInput(good.vector[1:], good.unopened, good.task_digest), MalformedMessageError),
        (MaskedInput(good.vector, bytes([own]), good.task_digest), MalformedMessageError),
        (MaskedInput(good.vector, b"\xff", good.task_digest), MalformedMessageError),
        (MaskedInput(good.vector, good.unopened, bytes(32)), AuthenticationError),
    ):
        with pytest.raises(error) as caught:
            stage.receive(A, wrong)
        assert caught.value.culprit == A
        assert not stage._sum.any()
        assert not stage.received
    stage.receive(A, good)
    assert stage.received == {A}


@models
def test_the_survivors_are_told_who_they_are(adversary):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    live.collect(silent=[E])
    live.close()
    assert set(live.outbound) == set(live.clients) - {E}
    assert given(live).total == 4
    assert given(live).survivors == bytes([0x1F ^ (1 << sorted(live.clients).index(E))])
