"""secagg.client.invitation: an offer is read without being accepted, and garbage is refused with a typed error."""

import pytest

from secagg import AdversaryModel, InvalidInputError, MalformedMessageError, read_invitation
from tests.vectors.live import IDS, Live, make_params


@pytest.mark.parametrize("adversary", AdversaryModel, ids=lambda model: model.name)
def test_an_invitation_says_what_the_session_is(adversary: AdversaryModel):
    live = Live(make_params(adversary, round_number=7, application=b"for this"))
    for data in (live.server.invitation, bytearray(live.server.invitation), memoryview(live.server.invitation)):
        assert read_invitation(data) == (live.server.params, live.server.session_id)
    # Reading accepts nothing: the session begins with the same bytes.
    assert live.clients[IDS[0]].params is None
    assert live.clients[IDS[0]].receive(live.server.invitation) is not None


def test_anything_else_is_malformed():
    live = Live(make_params())
    genuine = live.server.invitation
    for garbage in (b"", b"SAGG", genuine[:-1], genuine + b"\x00", b"\x00" + genuine, bytes(10**6)):
        with pytest.raises(MalformedMessageError):
            read_invitation(garbage)
    live.collect()
    live.close()
    with pytest.raises(MalformedMessageError, match="Invitation"):
        read_invitation(bytes(live.outbound[IDS[0]][:200]))


def test_what_is_not_bytes_is_the_callers_fault():
    with pytest.raises(InvalidInputError, match="data"):
        read_invitation("SAGG")  # type: ignore[arg-type]
