"""Keys of a ledger, and what they sign."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dp.errors import InvalidParameterError
from dp.ledger.errors import BadRecordError, Fault, LedgerRefusedError
from dp.ledger.signing import HeadVerifier, LedgerKey
from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import HEADER, KEY, a_ledger
from tests.kit.weak_keys import NON_CANONICAL, SMALL_ORDER, signed_with_no_nonce


def test_heads_are_signed_by_the_key_of_the_header(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1)
    with Ledger.open(path, KEY) as ledger:
        ledger.sign_head()
        ledger.finish()
    with pytest.raises(InvalidParameterError, match="key"):
        Ledger.open(path)
    with pytest.raises(InvalidParameterError, match="key") as refused:
        Ledger.open(path, LedgerKey(bytes(32)))
    assert bytes(32).hex() not in str(refused.value)


def test_an_unsigned_ledger_signs_nothing(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger, pytest.raises(LedgerRefusedError, match="no key"):
        ledger.sign_head()
    with pytest.raises(InvalidParameterError, match="key"):
        Ledger.open(path, KEY)


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33), "a" * 32, bytearray(32)])
def test_a_key_is_32_bytes(seed: Any):
    with pytest.raises(InvalidParameterError) as refused:
        LedgerKey(seed)
    assert repr(seed) not in str(refused.value)


def test_a_key_shows_its_public_half_alone():
    key = LedgerKey.generate()
    assert key.seed().hex() not in repr(key)
    assert repr(key) == f"<LedgerKey {key.public_key.hex()[:16]}>"
    assert LedgerKey(key.seed()).public_key == key.public_key
    assert LedgerKey.generate().seed() != key.seed()


@pytest.mark.parametrize("key", [*SMALL_ORDER, *NON_CANONICAL], ids=lambda key: key.hex()[:8])
def test_a_key_under_which_anybody_signs_is_no_ledgers(key: bytes):
    with pytest.raises(BadRecordError, match="no Ed25519 key") as refused:
        HeadVerifier(key, 0)
    assert (refused.value.record, refused.value.fault) == (0, Fault.SIGNATURE)


def test_a_signature_that_begins_with_a_point_of_small_order_does_not_verify():
    key = LedgerKey(bytes(range(32)))
    verifier = HeadVerifier(key.public_key, 0)
    verifier.check(bytes(32), signature=key.sign_head(bytes(32)), record=3)
    signature = signed_with_no_nonce(key.seed(), key.public_key, b"dp/ledger/1/head" + bytes(32))
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, b"dp/ledger/1/head" + bytes(32))
    with pytest.raises(BadRecordError, match="does not verify"):
        verifier.check(bytes(32), signature=signature, record=3)
