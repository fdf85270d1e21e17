"""The keystreams against published vectors, plain block arithmetic and themselves."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import InvalidParameterError
from secagg.primitives.prg import CHACHA20_STREAM_BYTES, Suite, keystream, open_keystream, open_keystreams, word_dtype

KEY = bytes(range(32))
suites = pytest.mark.parametrize("suite", list(Suite))


def aes_counter_blocks(stream_key: bytes, first_block: int, count: int) -> bytes:
    """Counter mode by hand, out of single block encryptions."""
    encryptor = Cipher(algorithms.AES(stream_key[:16]), modes.ECB()).encryptor()  # noqa: S305 - single blocks are the oracle
    counter = int.from_bytes(stream_key[16:], "big") + first_block
    return b"".join(encryptor.update(((counter + i) % 2**128).to_bytes(16, "big")) for i in range(count))


def chacha20_block(key: bytes, counter: int) -> bytes:
    """RFC 8439, section 2.3, in plain integers, with a zero nonce."""
    constants = b"expand 32-byte k"
    initial = np.frombuffer(constants + key + counter.to_bytes(4, "little") + bytes(12), "<u4").tolist()
    x = list(initial)

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for target, source, mixed, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[target] = (x[target] + x[source]) % 2**32
            value = x[mixed] ^ x[target]
            x[mixed] = (value << bits | value >> (32 - bits)) % 2**32

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for diagonal in range(4):
            quarter(diagonal, (diagonal + 1) % 4 + 4, (diagonal + 2) % 4 + 8, (diagonal + 3) % 4 + 12)
    return b"".join(((a + b) % 2**32).to_bytes(4, "little") for a, b in zip(x, initial, strict=True))


def test_aes_is_the_published_counter_mode():
    # NIST SP 800-38A, F.5.1: ciphertext XOR plaintext of the first two blocks.
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3cf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    expected = bytes.fromhex("874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff")
    assert bytes(a ^ b for a, b in zip(plain, keystream(Suite.AES_128_CTR, key, length=32), strict=True)) == expected


def test_chacha20_is_the_published_keystream():
    # RFC 8439, A.1, test vector 1: zero key, nonce and counter.
    expected = bytes.fromhex(
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )
    assert keystream(Suite.CHACHA20, bytes(32), length=64) == expected


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 2))
def test_any_offset_is_the_block_of_that_number(stream_key: bytes, block: int):
    assert keystream(Suite.CHACHA20, stream_key, length=128, offset=64 * block) == chacha20_block(
        stream_key, block
    ) + chacha20_block(stream_key, block + 1)
    assert keystream(Suite.AES_128_CTR, stream_key, length=128, offset=64 * block) == aes_counter_blocks(
        stream_key, 4 * block, 8
    )


@suites
@given(length=st.integers(0, 400), blocks=st.integers(0, 10))
def test_seeking_gives_a_slice_of_the_stream(suite: Suite, length: int, blocks: int):
    whole = keystream(suite, KEY, length=1100)
    assert keystream(suite, KEY, length=length, offset=64 * blocks) == whole[64 * blocks :][:length]


@suites
@pytest.mark.parametrize("start", [0, 192])
def test_many_keystreams_are_opened_in_the_order_of_their_keys(suite: Suite, start: int):
    keys = [bytes([number]) * 32 for number in (7, 1, 255)]
    for key, update_into in zip(keys, open_keystreams(suite, iter(keys), start=start, stop=start + 100), strict=True):
        out = bytearray(100)
        update_into(bytes(100), out)
        assert out == keystream(suite, key, length=100, offset=start)
    assert open_keystreams(suite, [], start=start, stop=start) == []


@suites
def test_an_open_keystream_goes_on_where_it_stopped(suite: Suite):
    update_into = open_keystream(suite, KEY, start=64, stop=264)
    out = bytearray(200)
    view = memoryview(out)
    for first, last in ((0, 1), (1, 100), (100, 200)):
        update_into(bytes(last - first), view[first:last])
    assert out == keystream(suite, KEY, length=264)[64:]


def test_the_aes_counter_wraps_at_128_bits():
    stream_key = KEY[:16] + (2**128 - 2).to_bytes(16, "big")
    wrapped = keystream(Suite.AES_128_CTR, stream_key, length=96)
    assert wrapped == aes_counter_blocks(stream_key, 0, 6)
    assert wrapped[32:] == keystream(Suite.AES_128_CTR, KEY[:16] + bytes(16), length=64)
    # The seek itself crosses the wrap too.
    assert keystream(Suite.AES_128_CTR, stream_key, length=32, offset=64) == wrapped[64:]


def test_chacha20_ends_after_2_to_the_32_blocks():
    last = CHACHA20_STREAM_BYTES - 64
    assert keystream(Suite.CHACHA20, KEY, length=64, offset=last) == chacha20_block(KEY, 2**32 - 1)
    assert keystream(Suite.CHACHA20, KEY, length=0, offset=CHACHA20_STREAM_BYTES) == b""
    with pytest.raises(InvalidParameterError, match="ChaCha20"):
        keystream(Suite.CHACHA20, KEY, length=65, offset=last)
    with pytest.raises(InvalidParameterError, match="ChaCha20"):
        open_keystream(Suite.CHACHA20, KEY, start=0, stop=CHACHA20_STREAM_BYTES + 1)


@suites
@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused_and_not_shown(suite: Suite, size: int):
    stream_key = b"\xa7secret" * 5
    with pytest.raises(InvalidParameterError) as caught:
        keystream(suite, stream_key[:size], length=1)
    assert caught.value.parameter == "stream_key"
    assert "secret" not in str(caught.value) + repr(caught.value)


@suites
@pytest.mark.parametrize(
    ("parameter", "length", "offset"), [("start", 1, -64), ("start", 1, 32), ("start", 1, 1), ("length", -1, 0)]
)
def test_a_range_that_is_none_is_refused(suite: Suite, parameter: str, length: int, offset: int):
    with pytest.raises(InvalidParameterError) as caught:
        keystream(suite, KEY, length=length, offset=offset)
    assert caught.value.parameter == parameter


def test_a_range_that_ends_before_it_starts_is_refused():
    with pytest.raises(InvalidParameterError, match="stop"):
        open_keystream(Suite.AES_128_CTR, KEY, start=128, stop=64)


def test_an_unknown_suite_is_refused():
    with pytest.raises(InvalidParameterError, match="suite"):
        keystream(3, KEY, length=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("modulus_bits", "item_bits"),
    [(1, 8), (7, 8), (8, 8), (9, 16), (16, 16), (17, 32), (32, 32), (33, 64), (63, 64), (64, 64)],
)
def test_a_word_is_the_smallest_that_holds_the_modulus(modulus_bits: int, item_bits: int):
    assert word_dtype(modulus_bits) == np.dtype(f"<u{item_bits // 8}")


@pytest.mark.parametrize("modulus_bits", [-1, 0, 65])
def test_a_modulus_out_of_range_is_refused(modulus_bits: int):
    with pytest.raises(InvalidParameterError, match="modulus_bits"):
        word_dtype(modulus_bits)
