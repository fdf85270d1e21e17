"""Labels keep the uses of a hash apart: none is another's, under any suite."""

from secagg.primitives.prg import Suite
from secagg.protocol import labels
from secagg.protocol.labels import WIRE_VERSION, label

USES = [value for value in vars(labels).values() if type(value) is bytes]


def test_a_label_names_version_suite_and_use():
    assert label(Suite.AES_128_CTR, labels.ROSTER) == b"secagg/2/suite-1/roster"
    assert label(Suite.CHACHA20, labels.PAIRWISE_MASK) == b"secagg/2/suite-2/pairwise-mask"
    assert WIRE_VERSION == 2


def test_no_two_uses_have_one_label():
    assert len(USES) == 14
    assert len({label(suite, use) for suite in Suite for use in USES}) == len(USES) * len(Suite)
