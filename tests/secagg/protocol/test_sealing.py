"""Seals open for the one pair, direction and roster that they were made for."""

import itertools

from secagg import Suite
from secagg.protocol.sealing import NONCE_BYTES, SEAL_OVERHEAD_BYTES, SealContext

SECRET = b"s" * 32
NONCE = bytes(range(NONCE_BYTES))
PLAINTEXT = b"a pair of shares"


def context(**changes: object) -> SealContext:
    usual = {
        "suite": Suite.CHACHA20,
        "roster_ctx": bytes(32),
        "sender": 1,
        "receiver": 2,
        "sender_key": b"a" * 32,
        "receiver_key": b"b" * 32,
    }
    return SealContext(**(usual | changes))


OTHERS = (
    {"suite": Suite.AES_128_CTR},
    {"roster_ctx": b"x" * 32},
    {"sender": 3},
    {"receiver": 3},
    {"sender": 2, "receiver": 1},
)


def test_what_is_sealed_opens_and_is_as_long_as_the_page_says():
    made = context()
    key = made.derive_key(SECRET)
    sealed = made.seal(key, nonce=NONCE, plaintext=PLAINTEXT)
    assert sealed[:NONCE_BYTES] == NONCE
    assert len(sealed) == len(PLAINTEXT) + SEAL_OVERHEAD_BYTES
    assert made.unseal(key, sealed=sealed) == PLAINTEXT


def test_under_any_other_context_key_or_byte_it_does_not_open():
    made = context()
    key = made.derive_key(SECRET)
    sealed = made.seal(key, nonce=NONCE, plaintext=PLAINTEXT)
    for changes in OTHERS:
        assert context(**changes).unseal(key, sealed=sealed) is None, changes
    assert made.unseal(made.derive_key(b"t" * 32), sealed=sealed) is None
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        assert made.unseal(key, sealed=bytes(changed)) is None
    assert made.unseal(key, sealed=sealed[:-1]) is None
    # Not even a nonce: another library would raise.
    for size in (0, 1, NONCE_BYTES - 1, NONCE_BYTES, SEAL_OVERHEAD_BYTES - 1):
        assert made.unseal(key, sealed=sealed[:size]) is None


def test_no_two_contexts_have_one_key():
    contexts = [context(), *(context(**changes) for changes in (*OTHERS, {"sender_key": b"c" * 32}))]
    keys = [one.derive_key(SECRET) for one in contexts]
    assert all(one != other for one, other in itertools.combinations(keys, 2))
