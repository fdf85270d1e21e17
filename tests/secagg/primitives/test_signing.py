"""Ed25519 identities: the vectors of RFC 8032, and who is named where a signature does not verify."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from secagg.errors import SERVER, AuthenticationError, InvalidInputError
from secagg.primitives.signing import IDENTITY_BYTES, SIGNATURE_BYTES, Identity, identity_problem, verify
from tests.kit.weak_keys import BASE_POINT, NON_CANONICAL, SMALL_ORDER, signed_with_no_nonce

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
DIGEST = bytes(range(32))


def test_the_signature_is_that_of_rfc_8032():
    # RFC 8032, section 7.1, test 1: the empty message.
    identity = Identity(SEED)
    assert identity.public_key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert identity.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd"
        "25bf5f0595bbe24655141438e7a100b"
    )


def test_what_an_identity_signs_verifies_under_its_public_key():
    identity = Identity.generate()
    signature = identity.sign(DIGEST)
    assert (len(identity.public_key), len(signature)) == (IDENTITY_BYTES, SIGNATURE_BYTES)
    verify(identity.public_key, digest=DIGEST, signature=signature, signer=7, what="the keys")
    assert Identity(identity.seed()).public_key == identity.public_key


def test_anything_else_is_refused_and_the_signer_is_named():
    identity, other = Identity(SEED), Identity(bytes(32))
    good = identity.sign(DIGEST)
    changed = bytes([good[0] ^ 1]) + good[1:]
    for key, digest, signature in (
        (other.public_key, DIGEST, good),
        (identity.public_key, DIGEST[::-1], good),
        (identity.public_key, DIGEST, changed),
        (identity.public_key, DIGEST, b""),
        (identity.public_key, DIGEST, good + b"x"),
        (b"short", DIGEST, good),
    ):
        for signer in (7, SERVER):
            with pytest.raises(AuthenticationError, match="the signature over the keys does not verify") as caught:
                verify(key, digest=digest, signature=signature, signer=signer, what="the keys")
            assert caught.value.culprit == signer


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33), bytearray(32), "0" * 32, None])
def test_a_seed_is_32_bytes(seed: object):
    with pytest.raises(InvalidInputError, match="seed"):
        Identity(seed)


def test_no_two_identities_are_drawn_alike_and_no_seed_is_shown():
    assert len({Identity.generate().public_key for _ in range(5)}) == 5
    identity = Identity(SEED)
    assert repr(identity) == f"<Identity {identity.public_key.hex()[:16]}>"
    assert SEED.hex()[:16] not in repr(identity)


@pytest.mark.parametrize("key", [*SMALL_ORDER, *NON_CANONICAL], ids=lambda key: key.hex()[:8])
def test_a_key_of_small_order_or_not_canonical_is_nobodys(key: bytes):
    problem = identity_problem(key)
    assert problem is not None
    assert ("canonical" in problem) == (key in NON_CANONICAL)
    # With S = 0 and a small R these verify under a point of small order for some message, without any secret.
    for signature in (key + bytes(32), b"\x01" + bytes(63), bytes(64)):
        for digest in (bytes([each]) * 32 for each in range(16)):
            with pytest.raises(AuthenticationError, match="does not verify") as caught:
                verify(key, digest=digest, signature=signature, signer=7, what="the keys")
            assert caught.value.culprit == 7


def test_the_weak_keys_are_all_there_are_and_openssl_takes_some():
    """Eight points have an order that divides 8; y below 19 has a second encoding; x = 0 has a second sign."""
    assert len(set(SMALL_ORDER)) == 10
    assert len(set(NON_CANONICAL)) == 38
    forged = b"\x01" + bytes(63)
    # What this rule is for: another library takes a signature by nobody.
    Ed25519PublicKey.from_public_bytes(b"\x01" + bytes(31)).verify(forged, DIGEST)


def test_a_signature_that_begins_with_a_point_of_small_order_does_not_verify():
    identity = Identity(SEED)
    signature = signed_with_no_nonce(SEED, identity.public_key, DIGEST)
    Ed25519PublicKey.from_public_bytes(identity.public_key).verify(signature, DIGEST)
    with pytest.raises(AuthenticationError, match="does not verify"):
        verify(identity.public_key, digest=DIGEST, signature=signature, signer=7, what="the keys")


@pytest.mark.parametrize("key", [BASE_POINT, Identity(SEED).public_key, bytes([2]) * 32])
def test_every_other_key_may_be_somebodys(key: bytes):
    assert identity_problem(key) is None


@pytest.mark.parametrize("key", [b"", bytes(31), bytearray(32), "0" * 32, None, 5])
def test_an_identity_key_is_32_bytes(key: object):
    assert identity_problem(key) == "not 32 bytes"
