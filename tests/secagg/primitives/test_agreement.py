"""X25519: the vectors of RFC 7748, and no key that makes the secret zero."""

import pytest

from secagg.errors import AuthenticationError
from secagg.primitives.agreement import KEY_BYTES, KeyPair, check_public_key

PRIME = 2**255 - 19
LOW_ORDER = (
    0,
    1,
    PRIME - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)


def point(u: int) -> bytes:
    return u.to_bytes(KEY_BYTES, "little")


def test_the_secret_of_a_scalar_and_a_point_is_that_of_rfc_7748():
    # RFC 7748, section 5.2, the first vector.
    pair = KeyPair(bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"))
    public = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    assert pair.shared_secret(public, 1).hex() == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"


def test_both_ends_find_the_same_secret():
    one, other = KeyPair(bytes(range(32))), KeyPair(bytes(range(1, 33)))
    assert one.shared_secret(other.public, 1) == other.shared_secret(one.public, 2)
    assert one.public != other.public


def test_the_private_key_comes_back_as_it_was_drawn_and_is_not_shown():
    pair = KeyPair(bytes(range(32)))
    assert pair.private_bytes() == bytes(range(32))
    assert repr(pair) == "<KeyPair>"


@pytest.mark.parametrize("u", LOW_ORDER)
def test_a_point_of_low_order_is_refused_and_its_owner_is_named(u: int):
    with pytest.raises(AuthenticationError, match="low order") as caught:
        check_public_key(point(u), 7)
    assert caught.value.culprit == 7
    with pytest.raises(AuthenticationError, match="zero secret") as caught:
        KeyPair(bytes(range(32))).shared_secret(point(u), 8)
    assert caught.value.culprit == 8


@pytest.mark.parametrize(
    "public", [b"", bytes(31), bytes(33), point(PRIME), point(PRIME + 1), point(2**255 + 9), b"\xff" * 32]
)
def test_a_key_that_is_not_canonical_is_refused(public: bytes):
    with pytest.raises(AuthenticationError, match="canonical"):
        check_public_key(public, 7)


def test_an_honest_key_is_taken():
    check_public_key(KeyPair(bytes(range(32))).public, 7)
    check_public_key(point(9), 7)
