"""The server's view: it counts both kinds of share of one client, and so notices one that is exposed."""

import pytest

from secagg.protocol.messages import UnmaskingShares
from secagg.protocol.wire import decode
from secagg.testing.view import ServerView
from tests.kit.sessions import CURIOUS, A, E, Live, given, make_params, models


def watched(live: Live) -> ServerView:
    """Runs a session to its end but for the last answers, with every message noted."""
    view = None
    while live.server.stage != "unmask":
        live.collect()
        live.close()
        if view is None:
            view = ServerView(live.params, live.server.session_id, [given(live, client) for client in live.outbound])
        for client in live.outbound:
            message = given(live, client)
            if live.server.stage == "masked_input":
                view.delivered(client, message)
            elif hasattr(message, "survivors"):
                view.shown_survivors(client, message.survivors)
    assert view is not None
    for client in live.clients:
        view._unopened[client] = view.members(client, b"\x00")
    return view


@models
def test_an_honest_session_exposes_nobody(adversary):
    live = Live(make_params(adversary))
    view = watched(live)
    assert view.roster == tuple(sorted(live.clients))
    for client in live.clients:
        answer = decode(
            live.answer(client, live.outbound[client]), client, live.params, session_id=live.server.session_id
        )
        view.answered(client, answer)
    assert view.exposed() == frozenset()


def test_answers_by_two_survivor_sets_expose_the_client_between_them():
    live = Live(make_params(CURIOUS))
    view = watched(live)
    pairs = {client: live.clients[client]._state._peek().shares for client in live.clients}
    ids = sorted(live.clients)
    without_e = bytes([0x1F ^ (1 << ids.index(E))])
    for survivors, kept in ((b"\x1f", 40), (without_e, 0)):
        for client in (one for one in ids if one != E):
            view.shown_survivors(client, survivors)
            peers = [peer for peer in ids if peer != client]
            table = b"".join(
                pairs[client][80 * at + (kept if peer == E else 40) :][:40] for at, peer in enumerate(peers)
            )
            view.answered(client, UnmaskingShares(table))
    assert view.exposed() == {E}


def test_bitmaps_and_tables_that_do_not_fit_are_an_error_of_the_test():
    view = watched(Live(make_params(CURIOUS)))
    with pytest.raises(ValueError, match="bitmap"):
        view.members(A, b"")
    with pytest.raises(ValueError, match="one share for each peer"):
        view.answered(A, UnmaskingShares(bytes(40)))
