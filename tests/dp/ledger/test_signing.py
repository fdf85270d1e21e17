"""Keys of a ledger, and what they sign."""

from pathlib import Path
from typing import Any

import pytest

from dp.errors import InvalidParameterError
from dp.ledger.errors import LedgerRefusedError
from dp.ledger.signing import LedgerKey
from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import HEADER, KEY, a_ledger


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
