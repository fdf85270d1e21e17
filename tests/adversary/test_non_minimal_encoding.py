"""Somebody re-encodes genuine messages in longer MessagePack.

They are accepted, and all parties still agree: what is signed or hashed is our own re-encoding of the decoded values.
"""

import struct

import msgspec
import pytest

from secagg.messages import HEADER_BYTES, SurvivorSet
from secagg.params import AdversaryModel
from tests.adversary.scene import IDS, VICTIM, Scene, bitmap, both_models


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
@pytest.mark.parametrize("inflated", [list(IDS), [VICTIM]], ids=["all", "one"])
def test_longer_encodings_either_way_change_nothing(model: AdversaryModel, inflated: list[int]):
    scene = Scene(model)
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
    assert scene.read(longest(data)) == scene.read(data) == SurvivorSet(bitmap(IDS), len(IDS))


@both_models
@pytest.mark.parametrize(
    "body",
    [
        [7, "text", 9],
        [7, b"\xff\x01"],
        [7, b"\xff\x01", 9, 0],
        [7, b"\xff\x01", 9.5],
        [7, b"\xff\x01", None],
        [7, None, 9],
        {"survivors": b"\xff\x01", "total": 9},
        [7, [255, 1], 9],
        7,
    ],
    ids=str,
)
def test_another_shape_is_garbage(model: AdversaryModel, body: object):
    scene = Scene(model).until_survivors()
    scene.ignored(VICTIM, scene.outbound[VICTIM][:HEADER_BYTES] + msgspec.msgpack.encode(body))
    scene.assert_exact(scene.finish())
