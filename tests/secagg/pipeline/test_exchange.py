"""secagg.pipeline.exchange: what is sent at once, and what a layer above has to offer for a session."""

from secagg import ServerSession, Stage
from secagg.pipeline import Exchange, ServedSession
from tests.kit.sessions import CURIOUS, IDS, make_params


def test_an_exchange_says_whom_it_asks_for_what():
    sent = Exchange({1: b"a", 2: b"b"}, frozenset({1}), (Stage.MASKED_INPUT, Stage.ADVERTISE_KEYS))
    assert repr(sent) == "<Exchange of masked_input and advertise_keys with 2>"
    assert sent.trains == {1}


def test_a_servers_session_is_a_served_session():
    session = ServerSession(make_params(CURIOUS), IDS[:5])
    for name in vars(ServedSession):
        if not name.startswith("_"):
            assert hasattr(session, name), name
