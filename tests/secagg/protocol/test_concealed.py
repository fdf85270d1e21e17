"""secagg.protocol.concealed: nothing prints what a structure holds; tests/adversary searches every one of them."""

import pprint

import msgspec
import rich.pretty

from secagg.protocol.concealed import Concealed


class Holding(Concealed, frozen=True):
    secret: bytes


def test_every_printer_shows_the_type_alone():
    holding = Holding(b"do not show me")
    assert repr(holding) == str(holding) == pprint.pformat(holding) == "<Holding>"
    assert rich.pretty.pretty_repr([holding]) == "[Holding()]"


def test_it_is_a_structure_all_the_same():
    holding = Holding(b"do not show me")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(holding), type=Holding) == holding
