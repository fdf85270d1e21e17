"""Somebody re-encodes genuine messages in longer MessagePack.

They are accepted, and all parties still agree: what is signed or hashed is our own re-encoding of the decoded values.
"""

import struct

import msgspec
import pytest

from secagg.params import AdversaryModel
from secagg.protocol.messages import HEADER_BYTES, SurvivorSet
from tests.kit.attack_scene import VICTIM, Scene, both_models

# Of a survivor set, given its two fields.
SHAPES = {
    "text": lambda survivors, total: [7, "text", total],
    "one_field": lambda survivors, total: [7, survivors],
    "four_fields": lambda survivors, total: [7, survivors, total, 0],
    "float": lambda survivors, total: [7, survivors, total + 0.5],
    "no_total": lambda survivors, total: [7, survivors, None],
    "no_survivors": lambda survivors, total: [7, None, total],
    "map": lambda survivors, total: {"survivors": survivors, "total": total},
    "list": lambda survivors, total: [7, list(survivors), total],
    "integer": lambda survivors, total: 7,
}


def longest(data: bytes) -> bytes:
    """Every array, integer and byte string behind the longest prefix that MessagePack has."""
    fields = msgspec.msgpack.decode(data[HEADER_BYTES:])
    body = b"\xdd" + struct.pack(">I", len(fields))
    for field in fields:
        if isinstance(field, int):
            body += b"\xcf" + struct.pack(">Q", field)
        else:
            body += b"\xc6" + struct.pack(">I", len(field)) + field
    return data[:HEADER_BYTES] + body


@both_models
@pytest.mark.parametrize("everyone", [True, False], ids=["all", "one"])
def test_longer_encodings_either_way_change_nothing(model: AdversaryModel, everyone: bool):
    scene = Scene(model)
    inflated = scene.ids if everyone else (VICTIM,)
    while True:
        scene.outbound = {
            client: longest(data) if client in inflated else data for client, data in scene.outbound.items()
        }
        replies = scene.answers()
        assert all(len(longest(reply)) > len(reply) for reply in replies.values())
        scene.upload({client: longest(reply) if client in inflated else reply for client, reply in replies.items()})
        result = scene.close()
        if result is not None:
            break
    scene.assert_exact(result)
    assert not result.culprits


@both_models
def test_what_is_in_the_longer_encoding_is_the_same(model: AdversaryModel):
    scene = Scene(model).until_survivors()
    data = scene.outbound[VICTIM]
    assert longest(data) != data
    assert scene.read(longest(data)) == scene.read(data) == SurvivorSet(scene.bitmap(VICTIM, scene.ids), len(scene.ids))


@both_models
@pytest.mark.parametrize("shape", SHAPES)
def test_another_shape_is_garbage(model: AdversaryModel, shape: str):
    scene = Scene(model).until_survivors()
    genuine = scene.read(scene.outbound[VICTIM])
    header = scene.outbound[VICTIM][:HEADER_BYTES]
    assert scene.read(header + msgspec.msgpack.encode([7, genuine.survivors, genuine.total])) == genuine
    body = SHAPES[shape](genuine.survivors, genuine.total)
    scene.ignored(VICTIM, header + msgspec.msgpack.encode(body))
    scene.assert_exact(scene.finish())
