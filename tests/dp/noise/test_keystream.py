"""The samplers' keystream against published vectors and counter mode by hand; seeds stay secret."""

import secrets

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from dp.errors import InvalidParameterError
from dp.noise.keystream import SEED_BYTES, Keystream


def words_of(stream: Keystream, size: int) -> np.ndarray:
    words = np.empty(size, np.uint64)
    stream.fill(words)
    return words


def blocks_by_hand(seed: bytes, count: int) -> bytes:
    """Counter mode out of single block encryptions."""
    encryptor = Cipher(algorithms.AES(seed[:16]), modes.ECB()).encryptor()  # noqa: S305 - single blocks are the oracle
    counter = int.from_bytes(seed[16:], "big")
    return b"".join(encryptor.update(((counter + i) % 2**128).to_bytes(16, "big")) for i in range(count))


def test_it_is_the_published_counter_mode():
    # NIST SP 800-38A, F.5.1: ciphertext XOR plaintext of the first two blocks.
    seed = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c" + "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    expected = bytes.fromhex("874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff")
    stream = words_of(Keystream(seed), 4).astype("<u8").tobytes()
    assert bytes(a ^ b for a, b in zip(plain, stream, strict=True)) == expected


@given(seed=st.binary(min_size=32, max_size=32), sizes=st.lists(st.integers(0, 40), max_size=8))
def test_it_is_one_stream_however_it_is_cut(seed: bytes, sizes: list[int]):
    stream = Keystream(seed)
    parts = b"".join(words_of(stream, size).astype("<u8").tobytes() for size in sizes)
    assert parts == blocks_by_hand(seed, 1 + sum(sizes) // 2)[: len(parts)]


@pytest.mark.parametrize("size", [8191, 8192, 8193, 20001])
def test_it_is_one_stream_over_more_than_one_step(size: int):
    seed = bytes(range(32))
    assert words_of(Keystream(seed), size).astype("<u8").tobytes() == blocks_by_hand(seed, size // 2 + 1)[: 8 * size]


def test_the_counter_wraps():
    seed = bytes(16) + b"\xff" * 16
    assert words_of(Keystream(seed), 6).astype("<u8").tobytes() == blocks_by_hand(seed, 3)


@pytest.mark.parametrize("seed", [b"", bytes(16), b"secret" * 8, bytearray(32), "0" * 32, None], ids=repr)
def test_another_seed_is_refused_and_not_shown(seed: object):
    with pytest.raises(InvalidParameterError) as error:
        Keystream(seed)
    assert error.value.parameter == "seed"
    assert "secret" not in str(error.value)


def test_a_fresh_one_has_the_systems_seed(monkeypatch: pytest.MonkeyPatch):
    seed = bytes(range(100, 132))
    asked = []
    monkeypatch.setattr(secrets, "token_bytes", lambda size: asked.append(size) or seed)
    assert np.array_equal(words_of(Keystream.fresh(), 5), words_of(Keystream(seed), 5))
    assert asked == [SEED_BYTES]


def test_fresh_ones_differ():
    assert not np.array_equal(words_of(Keystream.fresh(), 2), words_of(Keystream.fresh(), 2))


def test_nothing_of_the_seed_is_shown_or_kept():
    stream = Keystream(b"S" * 32)
    assert "S" * 8 not in repr(stream)
    assert not hasattr(stream, "__dict__")
    assert not any(isinstance(getattr(stream, name), bytes) for name in stream.__slots__)
