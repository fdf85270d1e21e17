"""Stage 1 on the server: each record reaches the one peer that it was sealed for."""

import pytest

from secagg import InvalidInputError, MalformedMessageError
from secagg.protocol.messages import SHARE_RECORD_BYTES, ShareKeys
from secagg.protocol.wire import decode
from tests.kit.sessions import MODEL, A, E, Live, at_stage, given, make_params, models


@models
def test_each_record_is_delivered_to_the_peer_it_was_made_for(adversary):
    live = at_stage(Live(make_params(adversary)), "share_keys")
    ids = sorted(live.clients)
    tables = {}
    for client in ids:
        reply = live.answer(client, live.outbound[client])
        tables[client] = decode(reply, client, live.params, session_id=live.server.session_id).table
        live.server.receive(client, reply)
    live.close()
    for holder in ids:
        delivered = given(live, holder)
        dealers = [dealer for dealer in ids if dealer != holder]
        for at, dealer in enumerate(dealers):
            place = [peer for peer in ids if peer != dealer].index(holder) * SHARE_RECORD_BYTES
            record = delivered.table[at * SHARE_RECORD_BYTES :][:SHARE_RECORD_BYTES]
            assert record == tables[dealer][place : place + SHARE_RECORD_BYTES]


@models
def test_who_did_not_deal_is_not_among_the_dealers(adversary):
    live = at_stage(Live(make_params(adversary)), "share_keys")
    live.collect(silent=[E])
    live.close()
    ids = sorted(live.clients)
    assert given(live).dealers == bytes([0x1F ^ (1 << ids.index(E))])
    assert len(given(live).table) == 3 * SHARE_RECORD_BYTES
    assert E not in live.outbound


@models
def test_a_wrong_length_and_a_wrong_digest_change_nothing(adversary):
    live = at_stage(Live(make_params(adversary)), "share_keys")
    stage = live.server._current
    for table, commitment in ((b"", bytes(32)), (bytes(4 * SHARE_RECORD_BYTES), bytes(31))):
        with pytest.raises(MalformedMessageError):
            stage.receive(A, ShareKeys(table, commitment))
    live.collect()
    with pytest.raises(InvalidInputError, match="model_digest"):
        stage.close(MODEL[1:])
    live.close()
    live.check(live.run())
