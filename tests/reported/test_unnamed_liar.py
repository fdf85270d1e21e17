"""A dealer of garbage that makes its peers leave at the minimum of survivors is named, and the server sees it come."""

import msgspec
import numpy as np
import pytest

from secagg import RemoteError, Result, SessionParams, TooFewClientsError
from secagg.primitives.bitmap import encode_bitmap
from secagg.protocol.messages import ShareKeys
from secagg.protocol.wire import decode, encode
from tests.kit.sessions import MODEL, Live, at_stage, models
from tests.vectors.live import IDS

LIAR = IDS[4]
RECORD, SEALED = 152, 120


def spoilt(live: Live, data: bytes, targets: int) -> bytes:
    """The liar's shares, of which the first so many peers cannot open theirs."""
    message = decode(data, LIAR, live.params, session_id=live.server.session_id)
    assert isinstance(message, ShareKeys)
    table = bytearray(message.table)
    for place in range(targets):
        table[place * RECORD : place * RECORD + SEALED] = bytes(SEALED)
    changed = ShareKeys(bytes(table), message.self_mask_commitment)
    return encode(changed, live.params.suite, live.server.session_id)


def run(live: Live, *, targets: int, gone: int | None, then_silent: bool) -> Result:
    """The liar spoils some seals, one honest client vanishes, and the liar goes silent once the survivors are fixed."""
    while live.result is None:
        for client, message in live.outbound.items():
            if client == gone and live.server.stage == "masked_input":
                continue
            if client == LIAR and then_silent and live.server.stage in ("consistency", "unmask"):
                continue
            try:
                reply = live.answer(client, message)
            except RemoteError:
                continue
            if client == LIAR and live.server.stage == "share_keys":
                reply = spoilt(live, reply, targets)
            live.server.receive(client, reply)
        live.close()
    return live.result


def a_session(adversary, minimum: int) -> Live:
    return Live(
        SessionParams(
            cohort_size=8,
            threshold=5,
            vector_length=3,
            modulus_bits=20,
            adversary=adversary,
            min_survivors=minimum,
        )
    )


@models
def test_where_more_survive_than_must_nobody_leaves_and_the_sum_is_right(adversary):
    live = a_session(adversary, 7)
    live.check(run(live, targets=1, gone=None, then_silent=False))


@models
@pytest.mark.parametrize("targets", [1, 2, 3])
def test_a_session_that_dies_of_it_has_a_name(adversary, targets: int):
    live = a_session(adversary, 7)
    with pytest.raises(TooFewClientsError):
        run(live, targets=targets, gone=IDS[7], then_silent=True)
    assert set(live.server.faults) == {LIAR}
    assert live.server.faults[LIAR].error == "DisputedShares"
    assert f"{targets} of 7 peers" in live.server.faults[LIAR].detail


@models
def test_the_server_waits_while_those_who_would_stay_are_too_few(adversary):
    """Two of seven survivors will leave: four peers of each are left of five. One more input, and all of them stay."""
    live = a_session(adversary, 7)
    while live.server.stage != "masked_input":
        for client, message in live.outbound.items():
            reply = live.answer(client, message)
            live.server.receive(
                client, spoilt(live, reply, 2) if live.server.stage == "share_keys" and client == LIAR else reply
            )
        live.close()
    last = IDS[7]
    for client in live.outbound.keys() - {last}:
        live.server.receive(client, live.answer(client, live.outbound[client]))
    assert not live.server.can_close
    with pytest.raises(TooFewClientsError):
        live.server.close_stage(MODEL)
    assert set(live.server.faults) == {LIAR}
    live.server.receive(last, live.answer(last, live.outbound[last]))
    live.close()
    live.check(live.run())


def reporting(live: Live, client: int, count: int) -> None:
    """Everybody sends its input but the last client, and one of them falsely reports so many of its peers."""
    last = IDS[7]
    for sender in live.outbound.keys() - {last}:
        reply = live.answer(sender, live.outbound[sender])
        if sender == client:
            roster = sorted(live.clients)
            among = [other for other in roster if other not in (client, last)][:count]
            message = decode(reply, client, live.params, session_id=live.server.session_id)
            bitmap = encode_bitmap(np.isin(np.arange(8), [roster.index(other) for other in among]))
            message = msgspec.structs.replace(message, unopened=bitmap)
            reply = encode(message, live.params.suite, live.server.session_id)
        live.server.receive(sender, reply)


@models
@pytest.mark.parametrize("count", [3, 4, 6])
def test_who_reports_more_than_half_of_its_peers_is_noted_and_they_are_not(adversary, count: int):
    live = at_stage(a_session(adversary, 7), "masked_input")
    slanderer = IDS[0]
    reporting(live, slanderer, count)
    try:
        live.close()
    except TooFewClientsError:
        assert live.server.stage == "masked_input"
    noted = set(live.server.faults)
    assert {fault.error for fault in live.server.faults.values()} == {"DisputedShares"}
    if count > 3:
        assert noted == {slanderer}
        assert f"{count} of 7 peers" in live.server.faults[slanderer].detail
    else:
        assert len(noted) == 3
        assert slanderer not in noted


@models
def test_a_dealer_that_vanished_is_not_noted_for_the_seals_that_nobody_needs(adversary):
    live = a_session(adversary, 7)
    while live.server.stage != "masked_input":
        for client, message in live.outbound.items():
            reply = live.answer(client, message)
            lies = live.server.stage == "share_keys" and client == LIAR
            live.server.receive(client, spoilt(live, reply, 2) if lies else reply)
        live.close()
    live.collect(silent=[LIAR])
    live.close()
    assert not live.server.faults
    live.check(live.run())
