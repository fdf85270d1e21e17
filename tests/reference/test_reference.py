"""The reference on its own: published vectors, other libraries' answers, and whole sessions."""

import dataclasses
import hashlib
import hmac
import itertools
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.reference import reference as ref

SUITES = (ref.AES128_CTR, ref.CHACHA20)
MODELS = (ref.HONEST_BUT_CURIOUS, ref.ACTIVE)
WIDTHS = (1, 7, 16, 33, 64)
IDS = (3, 4, 17, 255, 2**32 + 1, 2**63, 2**64 - 1)
SESSION_ID = bytes(range(16))


def rand(label: str, length: int) -> bytes:
    return hashlib.shake_256(label.encode()).digest(length)


def make_params(n: int = 4, suite: int = 1, model: int = ref.ACTIVE, m: int = 16, **changes: int | bytes) -> ref.Params:
    """The lowest threshold of the complete graph, or of the sparse one where `neighbours` are fewer."""
    k = changes.get("neighbours", n - 1)
    t = changes.get("threshold", k // 2 + 1)
    fewest = max(t + 1, n // 2 + 1) if k < n - 1 and model == ref.ACTIVE else t + 1
    defaults = {"neighbours": k, "threshold": t, "min_survivors": fewest, "vector_length": 11, "round_number": 5}
    return ref.Params(suite, model, n, modulus_bits=m, **(defaults | {"application": b"app"} | changes))


def people(p: ref.Params) -> list[int]:
    """The first seven ids, and where a sparse graph needs more, some between them."""
    return sorted((*IDS, *range(1000, 1013))[: p.cohort_size])


def make_clients(p: ref.Params) -> dict[int, ref.ClientInput]:
    clients = {}
    for i in people(p):
        words = rand(f"vector {i}", 8 * p.vector_length)
        vector = [w % 2**p.modulus_bits for w in struct.unpack(f"<{p.vector_length}Q", words)]
        clients[i] = (rand(f"identity {i}", 32), vector, rand(f"advertise {i}", 64), rand(f"share {i}", 96 + 24 * 13))
    return clients


def run(p: ref.Params, **options) -> ref.Session:
    return ref.run_session(p, SESSION_ID, rand("model", 32), make_clients(p), **options)


def plain_sum(p: ref.Params, ids: list[int]) -> list[int]:
    clients = make_clients(p)
    return [sum(column) % 2**p.modulus_bits for column in zip(*(clients[i][1] for i in ids), strict=True)]


def make_context(n: int = 4, suite: int = 1, **changes: int) -> tuple[ref.Context, dict[int, tuple[bytes, bytes]]]:
    secrets = {i: (rand(f"seal {i}", 32), rand(f"mask {i}", 32)) for i in IDS[:n]}
    entries = [ref.Entry(i, k, *map(ref.x25519, secrets[i]), bytes(64)) for k, i in enumerate(secrets)]
    c = ref.Context(make_params(n, suite, **changes), SESSION_ID, bytes(32), entries)
    c.fix_dealers(secrets)
    return c, secrets


# --------------------------------------------------------------------------------------------- building blocks
def test_frame_label_hash_and_kdf_are_what_the_page_spells_out():
    assert ref.frame() == b""
    assert ref.frame(b"ab", b"") == bytes([2, 0, 0, 0, 0, 0, 0, 0]) + b"ab" + bytes(8)
    assert ref.label(2, "roster") == b"secagg/2/suite-2/roster"
    framed = struct.pack("<Q", 23) + b"secagg/2/suite-2/roster" + struct.pack("<Q", 1) + b"x"
    assert ref.H(2, "roster", b"x") == hashlib.sha256(framed).digest()
    prk = hmac.new(b"salt", b"secret", hashlib.sha256).digest()
    assert ref.KDF(2, b"secret", b"salt", "roster", b"x") == hmac.new(prk, framed + b"\x01", hashlib.sha256).digest()


def test_hkdf_gives_the_first_vector_of_rfc_5869():
    okm = ref.hkdf_sha256(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


def test_hkdf_gives_the_third_vector_of_rfc_5869_without_salt_and_info():
    okm = ref.hkdf_sha256(b"\x0b" * 22, b"", b"", 42)
    assert okm.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"


@pytest.mark.parametrize(
    ("scalar", "point", "answer"),
    [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ],
)
def test_x25519_gives_the_vectors_of_rfc_7748(scalar: str, point: str, answer: str):
    assert ref.x25519(bytes.fromhex(scalar), bytes.fromhex(point)).hex() == answer


@pytest.mark.slow
def test_x25519_gives_the_iterated_vectors_of_rfc_7748():
    k = point = (9).to_bytes(32, "little")
    seen = {}
    for i in range(1, 1001):
        k, point = ref.x25519(k, point), k
        seen[i] = k.hex()
    assert seen[1] == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    assert seen[1000] == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


def test_x25519_agrees_with_cryptography():
    for i in range(20):
        a, b = rand(f"a {i}", 32), rand(f"b {i}", 32)
        private, public = X25519PrivateKey.from_private_bytes(a), X25519PrivateKey.from_private_bytes(b).public_key()
        assert ref.x25519(a) == private.public_key().public_bytes_raw()
        assert ref.x25519(b) == public.public_bytes_raw()
        shared = private.exchange(X25519PublicKey.from_public_bytes(ref.x25519(b)))
        assert ref.x25519(a, ref.x25519(b)) == ref.x25519(b, ref.x25519(a)) == shared


def test_keys_of_low_order_or_not_canonical_are_told():
    order_eight = [
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ]
    small = [0, 1, ref.P - 1]
    bad = [bytes.fromhex(k) for k in order_eight] + [k.to_bytes(32, "little") for k in small]
    bad += [k.to_bytes(32, "little") for k in (ref.P, ref.P + 1, ref.P + 9, 2**255 + 9)]
    assert not any(ref.key_is_good(k) for k in bad)
    assert ref.key_is_good((9).to_bytes(32, "little"))
    assert ref.key_is_good(ref.x25519(rand("good", 32)))


@pytest.mark.parametrize("counter", [0, 5, 2**64 - 1, 2**128 - 1, 2**128 - 2])
def test_aes_ctr_counts_mod_2_to_the_128(counter: int):
    key = rand("aes", 16)
    ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 (one block at a time, by hand)
    expected = b"".join(ecb.update(((counter + i) % 2**128).to_bytes(16, "big")) for i in range(4))
    assert ref.keystream(1, key + counter.to_bytes(16, "big"), 61) == expected[:61]


def test_aes_ctr_gives_the_vector_of_sp_800_38a():
    seed = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c" + "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    assert ref.keystream(1, seed, 16).hex() == "ec8cdf7398607cb0f2d21675ea9ea1e4"


def test_chacha20_gives_the_first_two_vectors_of_rfc_8439():
    stream = ref.keystream(2, bytes(32), 128)
    assert stream[:16].hex() == "76b8e0ada0f13d90405d6ae55386bd28"
    assert stream[64:80].hex() == "9f07e7be5551387a98ba977c732d080d"


@pytest.mark.parametrize(("m", "size"), [(1, 1), (7, 1), (8, 1), (9, 2), (16, 2), (17, 4), (32, 4), (33, 8), (64, 8)])
@pytest.mark.parametrize("suite", SUITES)
def test_mask_words_are_low_bits_of_the_fewest_bytes(suite: int, m: int, size: int):
    p = make_params(suite=suite, m=m)
    words = struct.unpack(f"<11{ {1: 'B', 2: 'H', 4: 'I', 8: 'Q'}[size] }", ref.keystream(suite, bytes(32), 11 * size))
    assert ref.mask(p, bytes(32)) == [w & (2**m - 1) for w in words]


@pytest.mark.parametrize("m", [*WIDTHS, 8, 31, 63])
@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 30])
def test_packing_is_one_long_little_endian_integer(m: int, length: int):
    words = [int.from_bytes(rand(f"word {i}", 8), "little") % 2**m for i in range(length)]
    packed = ref.pack(words, m)
    assert packed == sum(w << m * i for i, w in enumerate(words)).to_bytes((length * m + 7) // 8, "little")
    assert ref.unpack(packed, m, length) == words
    with pytest.raises(ref.Refused):
        ref.unpack(packed + b"\0", m, length)


@pytest.mark.parametrize("length", [1, 3, 9])
def test_spare_bits_must_be_zero(length: int):
    packed = bytearray(ref.pack([0] * length, 7))
    packed[-1] |= 0x80
    with pytest.raises(ref.Refused):
        ref.unpack(bytes(packed), 7, length)


def test_bitmaps():
    assert ref.bitmap([0, 3, 8], 9) == b"\x09\x01"
    assert ref.read_bitmap(b"\x09\x01", 9) == [0, 3, 8]
    for data, size in ((b"\x09\x02", 9), (b"\x09", 9), (b"\x09\x00", 8)):
        with pytest.raises(ref.Refused):
            ref.read_bitmap(data, size)


# ------------------------------------------------------------------------------------------------------- shares
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("t", [1, 2, 3, 5])
@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, rand("secret", 32)])
def test_any_t_shares_rebuild_the_secret(suite: int, t: int, secret: bytes):
    shares = ref.split(suite, secret, rand("poly", 32), t, [1, 2, 4, 5, 7])
    assert all(len(s) == 40 for s in shares)
    assert all(ref.reconstruct(chosen) == secret for chosen in itertools.combinations(shares, t))
    assert ref.reconstruct(shares) == secret


def test_fewer_than_t_shares_do_not_rebuild_the_secret():
    secret = bytes(32)
    shares = ref.split(1, secret, rand("poly", 32), 3, [1, 2, 3])
    with pytest.raises(ref.Refused):  # limbs come out at random, and one of nine is 2**30 or more, or the last 2**16
        ref.reconstruct(shares[:2])


def test_shares_are_the_polynomials_written_out():
    secret, seed, t = rand("secret", 32), rand("poly", 32), 4
    words = struct.unpack(f"<{9 * (t - 1)}I", ref.keystream(2, seed, 36 * (t - 1)))
    c = [w & 0x7FFFFFFF for w in words]
    assert ref.Q not in c
    limbs = [int.from_bytes(secret, "little") // 2 ** (30 * i) % 2**30 for i in range(9)]
    (share,) = ref.split(2, secret, seed, t, [6])
    expected = [(limbs[i] + sum(c[9 * (k - 1) + i] * 6**k for k in (1, 2, 3))) % (2**31 - 1) for i in range(9)]
    assert struct.unpack("<10I", share) == (6, *expected)


def test_a_coefficient_word_of_all_ones_is_skipped(monkeypatch: pytest.MonkeyPatch):
    stream = struct.pack("<6I", 1, 2**31 - 1, 2**32 - 1, 2**31 + 2, 2**31, 3)
    monkeypatch.setattr(ref, "keystream", lambda _suite, _seed, length: (stream + bytes(length))[:length])
    assert ref.coefficients(1, bytes(32), 5) == [1, 2, 0, 3, 0]
    monkeypatch.setattr(ref, "keystream", lambda _suite, _seed, length: (b"\xff" * 400 + bytes(length))[:length])
    assert ref.coefficients(1, bytes(32), 5) == [0] * 5


def test_reconstruct_refuses_what_is_not_a_secret():
    big_limb = struct.pack("<10I", 1, 2**30, *[0] * 8)
    big_value = struct.pack("<10I", 1, *[0] * 8, 2**16)
    same_x = [struct.pack("<10I", 1, *[0] * 9)] * 2
    for shares in ([big_limb], [big_value], same_x, []):
        with pytest.raises(ref.Refused):
            ref.reconstruct(shares)


@pytest.mark.parametrize("suite", SUITES)
def test_a_seal_opens_for_its_receiver_alone(suite: int):
    c, secrets = make_context(suite=suite)
    a, b, other = IDS[:3]
    sealed = ref.seal(c, a, secrets[a][0], b, rand("nonce", 24), bytes(80))
    assert len(sealed) == 120
    assert sealed[:24] == rand("nonce", 24)
    assert ref.open_seal(c, a, b, secrets[b][0], sealed) == bytes(80)
    assert ref.open_seal(c, b, a, secrets[a][0], sealed) is None  # the other direction
    assert ref.open_seal(c, a, other, secrets[other][0], sealed) is None
    assert ref.open_seal(c, a, b, secrets[b][0], sealed[:-1] + bytes([sealed[-1] ^ 1])) is None


def test_both_ends_of_a_pair_have_the_same_mask():
    c, secrets = make_context()
    for v, w in itertools.combinations(IDS[:4], 2):
        assert ref.pairwise_seed(c, v, secrets[v][1], w) == ref.pairwise_seed(c, w, secrets[w][1], v)


# --------------------------------------------------------------------------------------------------------- wire
def test_encoded_params():
    p = ref.Params(2, 1, 13, 4, 3, 5, 6, 7, 8, b"xyz")
    assert ref.encode_params(p) == struct.pack("<BBIIIIQBQH", 2, 1, 13, 4, 3, 5, 6, 7, 8, 3) + b"xyz"
    assert ref.decode_params(ref.encode_params(p)) == p
    with pytest.raises(ref.Refused):
        ref.encode_params(make_params(application=bytes(1025)))


GOOD_BOUNDS = [
    {"n": 3, "model": ref.HONEST_BUT_CURIOUS},
    {"n": 4},
    {"n": 2**20},
    {"n": 2**20, "neighbours": 2},
    {"n": 9, "neighbours": 6, "threshold": 6},
    {"n": 9, "neighbours": 6, "threshold": 4, "min_survivors": 9},
    {"n": 9, "neighbours": 6, "threshold": 1, "model": ref.HONEST_BUT_CURIOUS},
    {"n": 8, "neighbours": 7},
    {"n": 12, "neighbours": 4, "min_survivors": 7},
    {"n": 12, "neighbours": 4, "min_survivors": 4, "model": ref.HONEST_BUT_CURIOUS},
    {"n": 12, "threshold": 6, "min_survivors": 7},
    {"vector_length": 2**32},
    {"m": 64, "round_number": 2**64 - 1, "application": bytes(1024)},
]
BAD_BOUNDS = [
    {"n": 2, "threshold": 1, "model": ref.HONEST_BUT_CURIOUS},
    {"n": 3},
    {"n": 2**20 + 1},
    {"n": 9, "neighbours": 0, "threshold": 1, "model": ref.HONEST_BUT_CURIOUS},
    {"n": 9, "neighbours": 5},
    {"n": 9, "neighbours": 1, "threshold": 1},
    {"n": 9, "neighbours": 9},
    {"n": 9, "neighbours": 10},
    {"n": 9, "neighbours": 6, "threshold": 7},
    {"n": 9, "neighbours": 6, "threshold": 3},
    {"n": 9, "neighbours": 6, "threshold": 0, "model": ref.HONEST_BUT_CURIOUS},
    {"n": 9, "threshold": 4},
    {"n": 9, "threshold": 4, "model": ref.HONEST_BUT_CURIOUS},
    {"n": 9, "threshold": 9},
    {"n": 9, "threshold": 5, "min_survivors": 5},
    {"n": 9, "min_survivors": 10},
    {"n": 12, "neighbours": 4, "min_survivors": 6},
    {"n": 13, "neighbours": 4, "min_survivors": 6},
    {"vector_length": 2**32 + 1},
    {"m": 0},
    {"m": 65},
    {"suite": 0},
    {"suite": 3},
    {"model": 0},
    {"model": 3},
]


@pytest.mark.parametrize("changes", GOOD_BOUNDS)
def test_params_within_the_bounds_round_trip(changes: dict):
    p = make_params(**changes)
    assert ref.decode_params(ref.encode_params(p)) == p


@pytest.mark.parametrize("changes", BAD_BOUNDS)
def test_params_out_of_bounds_are_none(changes: dict):
    data = ref.encode_params(make_params(**changes))
    with pytest.raises(ref.Refused):
        ref.decode_params(data)


def test_params_have_one_length():
    data = ref.encode_params(make_params())
    assert ref.decode_params(data) == make_params()
    for bad in (*(data[:end] for end in range(len(data))), data + b"\0"):
        with pytest.raises(ref.Refused):
            ref.decode_params(bad)


@pytest.mark.parametrize("model", MODELS)
def test_entries_round_trip(model: int):
    p = make_params(model=model)
    size = 64 if model == ref.ACTIVE else 0
    entries = [ref.Entry(i, k, rand(f"s{i}", 32), rand(f"m{i}", 32), rand(f"g{i}", size)) for k, i in enumerate(IDS)]
    data = ref.encode_entries(entries)
    assert len(data) == len(IDS) * (76 + size)
    assert ref.decode_entries(p, data) == entries
    with pytest.raises(ref.Refused):
        ref.decode_entries(p, data[:-1])


@pytest.mark.parametrize("x", [0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1])
def test_integers_are_what_msgspec_writes(x: int):
    assert ref.body(ref.ABORT, x) == msgspec.msgpack.encode([11, x])


@pytest.mark.parametrize("length", [0, 1, 31, 32, 255, 256, 65535, 65536])
def test_byte_strings_are_what_msgspec_writes(length: int):
    assert ref.body(ref.SHARE_DELIVERY, b"", bytes(length)) == msgspec.msgpack.encode([5, b"", bytes(length)])


def test_messages_round_trip_and_begin_with_the_header():
    p = make_params(suite=2)
    for code, kinds in ref.FIELDS.items():
        fields = [300 + i if kind == "i" else rand(f"{code} {i}", 40) for i, kind in enumerate(kinds)]
        data = ref.message(p, SESSION_ID, code, *fields)
        assert data[:23] == b"SAGG\x02\x02" + bytes([code]) + SESSION_ID
        assert data[23:] == msgspec.msgpack.encode([code, *fields])
        assert ref.read_message(p, SESSION_ID, code, data) == fields
        for end in range(len(data)):
            with pytest.raises(ref.Refused):
                ref.read_message(p, SESSION_ID, code, data[:end])
        with pytest.raises(ref.Refused):
            ref.read_message(p, SESSION_ID, code, data + b"\0")


@pytest.mark.parametrize(
    "body",
    [
        "9307c40101",  # too few elements for the array
        "9207c40101",  # a field is missing
        "9307c4010102" + "00",  # trailing byte
        "9308c4010102",  # another type than the header's
        "9307c40101cc02",  # an integer that is not minimal
        "9307c500010102",  # a length that is not minimal
        "dc000307c4010102",  # an array header that is not minimal
        "9307a1" + "4102",  # str for bin
        "9307c40101ff",  # a negative integer
        "9307c40101c3",  # a boolean
        "9307c40101cb4000000000000000",  # a float
        "930702c40101",  # fields the wrong way round
        "9307c4ff01",  # a length past the end
    ],
)
def test_the_reader_is_strict(body: str):
    p = make_params()
    good = ref.message(p, SESSION_ID, ref.SURVIVOR_SET, b"\x01", 2)
    assert good[23:].hex() == "9307c4010102"
    with pytest.raises(ref.Refused):
        ref.read_message(p, SESSION_ID, ref.SURVIVOR_SET, good[:23] + bytes.fromhex(body))


@pytest.mark.parametrize("at", range(23))
def test_every_byte_of_the_header_counts(at: int):
    p = make_params()
    data = bytearray(ref.message(p, SESSION_ID, ref.ABORT, 1))
    data[at] ^= 1
    with pytest.raises(ref.Refused):
        ref.read_message(p, SESSION_ID, ref.ABORT, bytes(data))


# ----------------------------------------------------------------------------------------------- whole sessions
def check(p: ref.Params, dropouts: dict[str, set[int]]) -> None:
    session = run(p, dropouts=dropouts)
    before_u3 = set().union(*(dropouts.get(stage, set()) for stage in ref.STAGES[:3]))
    assert session.survivors == [i for i in people(p) if i not in before_u3]
    assert session.aggregate == plain_sum(p, session.survivors)
    # Who answered which stage, and who was asked.
    there = people(p)
    for stage in ref.STAGES:
        asked = [i for s, direction, i in session.messages if (s, direction) == (stage, ref.DOWN)]
        answered = [i for s, direction, i in session.messages if (s, direction) == (stage, ref.UP)]
        curious = p.adversary == ref.HONEST_BUT_CURIOUS
        assert asked == ([] if curious and stage == "unmask" else there)
        there = [i for i in there if i not in dropouts.get(stage, ())]
        assert answered == ([] if curious and stage == "consistency" else there)
    assert list(dict.fromkeys(stage for stage, _, _ in session.messages)) == list(ref.STAGES)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("m", WIDTHS)
def test_every_width_with_a_dropout_before_and_after_masking(model: int, suite: int, m: int):
    check(make_params(6, suite, model, m), {"masked_input": {IDS[1]}, "unmask": {IDS[4]}})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("n", [4, 5, 6, 7])
@pytest.mark.parametrize("stage", [None, *ref.STAGES])
def test_a_dropout_at_each_stage(model: int, suite: int, n: int, stage: str | None):
    gone = IDS[(n * suite) % n if stage is None else (n + ref.STAGES.index(stage) * suite) % n]
    check(make_params(n, suite, model, WIDTHS[n % 5]), {stage: {gone}} if stage else {})


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("k", [12, 10])
def test_a_dropout_at_every_stage_of_one_session(model: int, k: int):
    # 12 of 13: the complete graph. Of 10 neighbours at most four vanish once the roster stands, and t is 6.
    p = make_params(13, 1 + k % 12 // 10, model, 33, neighbours=k)
    dropouts = {stage: {people(p)[place]} for stage, place in zip(ref.STAGES, (3, 0, 12, 7, 5), strict=True)}
    check(p, dropouts)


@pytest.mark.parametrize("model", MODELS)
def test_as_many_dropouts_at_once_as_the_threshold_allows(model: int):
    check(make_params(7, 1, model, 64), {"masked_input": {IDS[0], IDS[6]}})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stage", ["advertise_keys", "share_keys", "masked_input", "unmask"])
def test_one_dropout_more_is_refused(model: int, stage: str):
    with pytest.raises(ref.Refused):
        run(make_params(5, 2, model, threshold=3), dropouts={stage: {IDS[0], IDS[1]}})


def test_too_few_survivors_are_refused():
    with pytest.raises(ref.Refused, match=r"^too few clients$"):
        run(make_params(5, min_survivors=5), dropouts={"masked_input": {IDS[0]}})


def test_sessions_are_functions_of_their_arguments_and_a_longer_share_rand_is_cut():
    p = make_params(4)
    clients = make_clients(p)
    exact = {i: (seed, x, a, s[: 96 + 24 * 3]) for i, (seed, x, a, s) in clients.items()}
    first, second = (ref.run_session(p, SESSION_ID, bytes(32), some) for some in (clients, exact))
    assert first == second
    assert list(first.messages) == list(second.messages)
    short = {i: (seed, x, a, s[:-1]) for i, (seed, x, a, s) in exact.items()}
    with pytest.raises(ref.Refused, match="too short"):
        ref.run_session(p, SESSION_ID, bytes(32), short)


def test_sizes_of_messages_are_those_of_the_table():
    p = make_params(5, m=33)
    session = run(p, dropouts={"masked_input": {IDS[1]}})
    sizes = {}
    for (stage, direction, _), data in session.messages.items():
        sizes[stage, direction] = [len(f) if isinstance(f, bytes) else f for f in msgspec.msgpack.decode(data[23:])[1:]]
    assert sizes == {
        ("advertise_keys", ref.DOWN): [len(ref.encode_params(p))],
        ("advertise_keys", ref.UP): [32, 32, 64],
        ("share_keys", ref.DOWN): [5 * 140, 5],
        ("share_keys", ref.UP): [4 * 152, 32],
        ("masked_input", ref.DOWN): [1, 4 * 152],
        ("masked_input", ref.UP): [46, 1, 32],
        ("consistency", ref.DOWN): [1, 4],
        ("consistency", ref.UP): [64],
        ("unmask", ref.DOWN): [1, 4 * 64],
        ("unmask", ref.UP): [4 * 40],
    }


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("at", [0, 24, 119, 120, 136])  # nonce, seal, tag, commitment of kind 1, of kind 2
@pytest.mark.parametrize("late", [{}, {"masked_input": {IDS[1]}}])
def test_a_record_that_does_not_open_is_listed_and_changes_nothing_else(model: int, at: int, late: dict):
    p = make_params(5, 1, model)
    key = ("share_keys", ref.UP, IDS[1])  # the record of the second client for the third: its table's second

    def spoil(where: tuple[str, str, int], data: bytes) -> bytes:
        if where != key:
            return data
        table, commitment = ref.read_message(p, SESSION_ID, ref.SHARE_KEYS, data)
        at_byte = 152 + at
        table = table[:at_byte] + bytes([table[at_byte] ^ 1]) + table[at_byte + 1 :]
        return ref.message(p, SESSION_ID, ref.SHARE_KEYS, table, commitment)

    session = run(p, dropouts=late, on_wire=spoil)
    assert session.aggregate == plain_sum(p, session.survivors)
    for i in session.survivors:
        unopened = ref.read_message(p, SESSION_ID, ref.MASKED_INPUT, session.messages["masked_input", ref.UP, i])[1]
        assert unopened == (b"\x02" if i == IDS[2] else b"\x00")
    answer = ref.read_message(p, SESSION_ID, ref.UNMASKING_SHARES, session.messages["unmask", ref.UP, IDS[2]])[0]
    assert len(answer) == 3 * 40


def test_a_share_that_does_not_match_its_commitment_is_not_used():
    p = make_params(5)

    def spoil(where: tuple[str, str, int], data: bytes) -> bytes:
        return data[:-1] + bytes([data[-1] ^ 1]) if where == ("unmask", ref.UP, IDS[0]) else data

    session = run(p, on_wire=spoil)
    assert session.aggregate == plain_sum(p, session.survivors)


REWRITES = [
    # what is refused, type of the message, stage, what to make of its fields
    ("params", ref.INVITATION, "advertise_keys", lambda f: [f[0][:-1] + b"x"]),
    ("own entry", ref.KEY_ROSTER, "share_keys", lambda f: [bytes([f[0][76] ^ 1]).join((f[0][:76], f[0][77:])), 5]),
    ("incomplete entry", ref.KEY_ROSTER, "share_keys", lambda f: [f[0][:-1], 5]),
    ("ids", ref.KEY_ROSTER, "share_keys", lambda f: [f[0][140:280] + f[0][:140] + f[0][280:], 5]),
    ("indices", ref.KEY_ROSTER, "share_keys", lambda f: [f[0][:-132] + b"\x05" + f[0][-131:], 5]),
    ("advertisement signature", ref.KEY_ROSTER, "share_keys", lambda f: [f[0][:-1] + bytes([f[0][-1] ^ 1]), 5]),
    ("entries", ref.KEY_ROSTER, "share_keys", lambda f: [f[0][:-140], 5]),
    ("entries", ref.KEY_ROSTER, "share_keys", lambda f: [f[0], 4]),
    ("roster total", ref.KEY_ROSTER, "share_keys", lambda f: [f[0], 6]),
    ("roster total", ref.KEY_ROSTER, "share_keys", lambda f: [f[0][:420], 3]),
    ("keys", ref.KEY_ROSTER, "share_keys", lambda f: [f[0][:-128] + f[0][-96:-64] + f[0][-96:], 5]),
    ("dealers", ref.SHARE_DELIVERY, "masked_input", lambda f: [b"\x1e", f[1]]),
    ("dealers", ref.SHARE_DELIVERY, "masked_input", lambda f: [b"\x07", f[1][:304]]),
    ("delivery", ref.SHARE_DELIVERY, "masked_input", lambda f: [f[0], f[1][:-152]]),
    ("survivors", ref.SURVIVOR_SET, "consistency", lambda _: [b"\x1e", 4]),
    ("survivors", ref.SURVIVOR_SET, "consistency", lambda _: [b"\x03", 2]),
    ("survivor total", ref.SURVIVOR_SET, "consistency", lambda f: [f[0], 4]),
    ("signers", ref.UNMASKING_REQUEST, "unmask", lambda f: [f[0], f[1][:-64]]),
    ("too few signers", ref.UNMASKING_REQUEST, "unmask", lambda f: [b"\x03", f[1][:128]]),
    ("too few signers", ref.UNMASKING_REQUEST, "unmask", lambda f: [b"\x06", f[1][64:192]]),
    ("consistency signature", ref.UNMASKING_REQUEST, "unmask", lambda f: [f[0], f[1][64:] + f[1][:64]]),
    ("bitmap", ref.SURVIVOR_SET, "consistency", lambda _: [b"\x3f", 6]),
]


@pytest.mark.parametrize(("why", "code", "stage", "rewrite"), REWRITES)
def test_a_client_refuses(why: str, code: int, stage: str, rewrite: Callable[[list], list]):
    p = make_params(5)

    def spoil(where: tuple[str, str, int], data: bytes) -> bytes:
        if where != (stage, ref.DOWN, IDS[0]):
            return data
        return ref.message(p, SESSION_ID, code, *rewrite(ref.read_message(p, SESSION_ID, code, data)))

    with pytest.raises(ref.Refused, match=f"^{why}$"):
        run(p, on_wire=spoil)


def test_different_survivor_sets_for_two_clients_are_noticed():
    p = make_params(5)

    def split_view(where: tuple[str, str, int], data: bytes) -> bytes:
        if where != ("consistency", ref.DOWN, IDS[4]):
            return data
        return ref.message(p, SESSION_ID, ref.SURVIVOR_SET, b"\x1e", 4)

    with pytest.raises(ref.Refused, match="consistency signature"):
        run(p, on_wire=split_view)


def test_another_model_is_another_task():
    p = make_params(4)
    one, other = (ref.run_session(p, SESSION_ID, digest, make_clients(p)) for digest in (bytes(32), b"\1" + bytes(31)))
    changed = {stage for (stage, _, _), data in one.messages.items() if data not in other.messages.values()}
    assert changed == {"masked_input", "consistency", "unmask"}
    assert one.aggregate == other.aggregate


# ------------------------------------------------------------------------- peers and servers that break the rules
class Wire:
    """Rewrites the fields of one message, knowing the context that the roster fixed."""

    def __init__(self, p: ref.Params, code: int, key: tuple[str, str, int], rewrite: Callable) -> None:
        self.p, self.code, self.key, self.rewrite = p, code, key, rewrite

    def __call__(self, where: tuple[str, str, int], data: bytes) -> bytes:
        if where[:2] == ("share_keys", ref.DOWN):
            entries, _ = ref.read_message(self.p, SESSION_ID, ref.KEY_ROSTER, data)
            centre = None if ref.sees_all(self.p) else where[2]
            self.c = ref.Context(self.p, SESSION_ID, rand("model", 32), ref.decode_entries(self.p, entries), centre)
        if where[:2] == ("masked_input", ref.DOWN) and ref.sees_all(self.p):
            dealers, _ = ref.read_message(self.p, SESSION_ID, ref.SHARE_DELIVERY, data)
            self.c.fix_dealers(self.c.from_bitmap(dealers))
        if where != self.key:
            return data
        fields = self.rewrite(self.c, ref.read_message(self.p, SESSION_ID, self.code, data))
        return ref.message(self.p, SESSION_ID, self.code, *fields)


@pytest.mark.parametrize(
    ("at", "word"), [(0, 1), (0, 4), (4, 2**31 - 1), (36, 2**32 - 1), (40, 1), (44, 2**31 - 1), (76, 2**31)]
)
def test_a_committed_share_with_a_wrong_x_or_limb_is_unopened(at: int, word: int):
    p, (dealer, holder) = make_params(5), IDS[1:3]

    def deal_badly(c: ref.Context, fields: list) -> list:
        table, commitment = fields
        seal_private, holder_private = rand(f"advertise {dealer}", 32), rand(f"advertise {holder}", 32)
        record = table[152:304]
        plain = ref.open_seal(c, dealer, holder, holder_private, record[:120])
        assert plain is not None
        plain = plain[:at] + word.to_bytes(4, "little") + plain[at + 4 :]
        bad = ref.seal(c, dealer, seal_private, holder, record[:24], plain)
        for kind in (1, 2):
            bad += ref.share_commitment(c, dealer, holder, kind, plain[40 * kind - 40 : 40 * kind])
        return [table[:152] + bad + table[304:], commitment]

    wire = Wire(p, ref.SHARE_KEYS, ("share_keys", ref.UP, dealer), deal_badly)
    session = run(p, on_wire=wire)
    fields = ref.read_message(p, SESSION_ID, ref.MASKED_INPUT, session.messages["masked_input", ref.UP, holder])
    assert fields[1] == b"\x02"
    assert session.aggregate == plain_sum(p, session.survivors)


def test_a_survivor_whose_shares_never_came_is_refused():
    p = make_params(5)
    wire = Wire(p, ref.SURVIVOR_SET, ("consistency", ref.DOWN, IDS[0]), lambda _c, _f: [b"\x1f", 5])
    with pytest.raises(ref.Refused, match=r"^survivors$"):
        run(p, on_wire=wire, dropouts={"share_keys": {IDS[4]}})


def test_a_signer_outside_the_survivors_is_refused():
    p = make_params(5)

    def add_signer(c: ref.Context, fields: list) -> list:
        signature = ref.sign(rand(f"identity {IDS[4]}", 32), ref.consistency_digest(c, b"\x0f", 4))
        return [b"\x1f", fields[1] + signature]

    wire = Wire(p, ref.UNMASKING_REQUEST, ("unmask", ref.DOWN, IDS[0]), add_signer)
    with pytest.raises(ref.Refused, match=r"^signers$"):
        run(p, on_wire=wire, dropouts={"masked_input": {IDS[4]}})


def test_the_server_refuses_an_input_of_another_task():
    p = make_params(5)
    wire = Wire(p, ref.MASKED_INPUT, ("masked_input", ref.UP, IDS[0]), lambda _c, f: [*f[:2], bytes(32)])
    with pytest.raises(ref.Refused, match=r"^task digest$"):
        run(p, on_wire=wire)


@pytest.mark.parametrize(("late", "why"), [({}, "rebuilt b"), ({"masked_input": {IDS[1]}}, "rebuilt mask key")])
def test_the_server_refuses_a_secret_that_is_not_the_one_committed_to(late: dict, why: str):
    p, (dealer, *_) = make_params(5), IDS[1:]

    def deal_others(c: ref.Context, fields: list) -> list:
        seal_private, xs = rand(f"advertise {dealer}", 32), [1, 3, 4, 5]
        shares = ref.split(1, rand("other", 32), rand("poly", 32), p.threshold, xs)
        table = b""
        for v, share in zip(c.neighbours(dealer), shares, strict=True):
            table += ref.seal(c, dealer, seal_private, v, rand(f"nonce {v}", 24), share + share)
            table += b"".join(ref.share_commitment(c, dealer, v, kind, share) for kind in (1, 2))
        return [table, fields[1]]

    wire = Wire(p, ref.SHARE_KEYS, ("share_keys", ref.UP, dealer), deal_others)
    with pytest.raises(ref.Refused, match=f"^{why}$"):
        run(p, on_wire=wire, dropouts=late)


def test_identity_keys_must_differ_and_be_known():
    p = make_params(4)
    clients = make_clients(p)
    clients[IDS[1]] = (clients[IDS[0]][0], *clients[IDS[1]][1:])
    with pytest.raises(ref.Refused, match=r"^identity keys$"):
        ref.run_session(p, SESSION_ID, bytes(32), clients)


# ---------------------------------------------------------------------------------------------------- the graph
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize(("size", "k"), [(2, 1), (4, 3), (5, 2), (5, 4), (9, 4), (9, 6), (10, 9), (40, 12)])
def test_the_graph_is_a_ring_in_the_order_of_its_keys(suite: int, size: int, k: int):
    seed = rand("graph", 32)
    near = ref.neighbourhoods(suite, seed, size, k)
    stream = ref.keystream(suite, seed, 16 * size)
    ring = sorted(range(size), key=lambda i: stream[16 * i : 16 * i + 16][::-1])
    for at, index in enumerate(ring):
        ahead = {ring[(at + step) % size] for step in range(1, (k + 1) // 2 + 1)}
        behind = {ring[(at - step) % size] for step in range(1, k // 2 + 1)}
        assert near[index] == sorted(ahead | behind)
        assert len(near[index]) == k
        assert all(index in near[v] for v in near[index])


def test_equal_keys_stand_by_index(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ref, "keystream", lambda *_: b"".join(bytes([key, *bytes(15)]) for key in (1, 0, 2, 1, 3)))
    # On the ring stand 1, 0, 3, 2, 4.
    assert ref.neighbourhoods(1, bytes(32), 5, 2) == [[1, 3], [0, 4], [3, 4], [0, 2], [1, 2]]


def test_the_seed_is_the_hash_of_the_roster():
    c, _ = make_context(7, neighbours=4)
    near = ref.neighbourhoods(1, ref.H(1, "graph", c.roster_hash), 7, 4)
    assert [c.neighbours(i) for i in IDS] == [[IDS[index] for index in places] for places in near]


@pytest.mark.parametrize("model", MODELS)
def test_what_a_client_does_not_see_is_in_no_context(model: int):
    c, _ = make_context(7, neighbours=4, model=model)
    shown = model == ref.ACTIVE
    roster_ctx = ref.H(1, "roster-context", c.session_ctx, c.roster_hash if shown else b"")
    assert c.roster_ctx == roster_ctx
    c.fix_dealers(IDS[1:4])
    number = struct.pack("<Q", 5)
    assert c.task_ctx == ref.H(1, "task-context", roster_ctx, number, bytes(32), b"\x0e" if shown else b"")
    assert len(c.seen(IDS[0])) == (7 if shown else 5)


def test_bitmaps_are_over_what_a_client_sees():
    c, _ = make_context(7, neighbours=4, model=ref.HONEST_BUT_CURIOUS)
    for who in IDS:
        seen = sorted([*c.neighbours(who), who])
        assert c.seen(who) == seen
        assert c.to_bitmap(IDS, who) == b"\x1f"
        assert c.to_bitmap([who], who) == bytes([1 << seen.index(who)])
        assert c.from_bitmap(b"\x11", who) == [seen[0], seen[4]]
        with pytest.raises(ref.Refused):
            c.from_bitmap(b"\x20", who)


def test_who_has_too_few_neighbours_left_is_dropped_and_then_whoever_needed_it():
    c, _ = make_context(7, neighbours=2, threshold=2)
    ring = [IDS[0]]
    while len(ring) < 7:
        ring.append(next(i for i in c.neighbours(ring[-1]) if i not in ring[-2:]))
    # With one gone its two neighbours lack one; with those gone theirs do, and so on round the ring.
    assert ref.sharers(c, ring[1:]) == []
    assert ref.sharers(c, ring) == sorted(ring)
    c, _ = make_context(7, neighbours=2, threshold=1, model=ref.HONEST_BUT_CURIOUS)
    ring = [IDS[0]]
    while len(ring) < 7:
        ring.append(next(i for i in c.neighbours(ring[-1]) if i not in ring[-2:]))
    assert ref.sharers(c, [ring[at] for at in (0, 1, 3, 5)]) == sorted(ring[:2])


# ----------------------------------------------------------------------------------------------- sparse sessions
def sparse_params(model: int, suite: int = 1, n: int = 11, k: int = 6, **changes: int) -> ref.Params:
    """Of six neighbours any two may vanish, and five of eleven clients before signatures are too few."""
    return make_params(
        n, suite, model, neighbours=k, **({"threshold": k // 2 + 1, "min_survivors": n // 2 + 2} | changes)
    )


def context_of(p: ref.Params, session: ref.Session) -> ref.Context:
    """What the server knows once the roster stands."""
    entries = set()
    for (stage, direction, _), data in session.messages.items():
        if (stage, direction) == ("share_keys", ref.DOWN):
            entries |= set(ref.decode_entries(p, ref.read_message(p, SESSION_ID, ref.KEY_ROSTER, data)[0]))
    return ref.Context(p, SESSION_ID, rand("model", 32), sorted(entries, key=lambda entry: entry.id))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("stage", [None, *ref.STAGES])
def test_sparse_sessions_with_two_dropouts_at_each_stage(model: int, suite: int, stage: str | None):
    p = sparse_params(model, suite)
    check(p, {stage: set(people(p)[2:4])} if stage else {})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("n", [7, 8, 10])
@pytest.mark.parametrize("k", [2, 4])
def test_sparse_sessions_of_every_small_shape(model: int, n: int, k: int):
    check(make_params(n, 2, model, WIDTHS[n % 5], neighbours=k, min_survivors=n - 1), {})


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_a_curious_sparse_session_may_have_a_threshold_of_half_or_less(threshold: int):
    p = sparse_params(ref.HONEST_BUT_CURIOUS, threshold=threshold, min_survivors=9)
    check(p, {"masked_input": {people(p)[0]}, "unmask": {people(p)[5]}})


@pytest.mark.parametrize("model", MODELS)
def test_where_no_more_than_k_others_advertise_the_graph_is_complete(model: int):
    # k' = 5 is odd, and everyone is everyone's neighbour.
    p = sparse_params(model, n=8, k=6, min_survivors=5)
    check(p, {"advertise_keys": {IDS[0], IDS[3]}})


@pytest.mark.parametrize("model", MODELS)
def test_what_everyone_sees_of_a_sparse_session(model: int):
    p = sparse_params(model)
    gone = people(p)[4]
    session = run(p, dropouts={"share_keys": {gone}})
    c, curious = context_of(p, session), model == ref.HONEST_BUT_CURIOUS
    size = 76 if curious else 140
    for i in people(p):
        entries, total = ref.read_message(p, SESSION_ID, ref.KEY_ROSTER, session.messages["share_keys", ref.DOWN, i])
        assert total == 11
        assert len(entries) == (7 if curious else 11) * size
        shown = ref.decode_entries(p, entries)
        assert [e.id for e in shown] == (sorted([*c.neighbours(i), i]) if curious else people(p))
        assert all(people(p)[e.index] == e.id for e in shown)
        if i == gone:
            continue
        table, _ = ref.read_message(p, SESSION_ID, ref.SHARE_KEYS, session.messages["share_keys", ref.UP, i])
        assert len(table) == 6 * 152
        delivery = session.messages["masked_input", ref.DOWN, i]
        dealers, table = ref.read_message(p, SESSION_ID, ref.SHARE_DELIVERY, delivery)
        assert c.from_bitmap(dealers, i) == [e.id for e in shown if e.id != gone]
        assert len(table) == 152 * (6 - (gone in c.neighbours(i)))
        survivors = session.messages["consistency", ref.DOWN, i]
        assert ref.read_message(p, SESSION_ID, ref.SURVIVOR_SET, survivors) == [dealers, 10]
    tasks = {
        ref.read_message(p, SESSION_ID, ref.MASKED_INPUT, session.messages[key])[2]
        for key in session.messages
        if key[:2] == ("masked_input", ref.UP)
    }
    c.fix_dealers(set(people(p)) - {gone})
    assert tasks == {ref.task_digest(p, c.task_ctx)}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stage", ["share_keys", "masked_input", "unmask"])
def test_one_dropout_more_in_one_neighbourhood_is_refused(model: int, stage: str):
    # Everyone advertises the same keys in each run, so the graph is known from a run without dropouts.
    p = sparse_params(model, min_survivors=6)
    c = context_of(p, run(p))
    near = c.neighbours(people(p)[0])
    kept = {i for i in people(p) if i not in near[:3]}
    if stage == "share_keys":
        assert people(p)[0] not in ref.sharers(c, kept)
    assert len(kept) >= p.min_survivors
    with pytest.raises(ref.Refused, match=r"^too few"):
        run(p, dropouts={stage: set(near[:3])})


def test_who_is_left_with_too_few_neighbours_is_dropped_and_the_rest_goes_on():
    # With t > k/2 one that is dropped takes the whole ring with it; a curious session may have t = k/2.
    p = sparse_params(ref.HONEST_BUT_CURIOUS, k=4, threshold=2, min_survivors=7)
    policy = ref.Policy(security_bits=1)
    c = context_of(p, run(p, policy=policy))
    lonely = people(p)[0]
    left = [ref.sharers(c, set(people(p)) - set(gone)) for gone in itertools.combinations(c.neighbours(lonely), 3)]
    assert any(len(u2) == 7 for u2 in left)
    for gone, u2 in zip(itertools.combinations(c.neighbours(lonely), 3), left, strict=True):
        assert lonely not in u2
        if len(u2) == 7:
            session = run(p, dropouts={"share_keys": set(gone)}, policy=policy)
            assert session.survivors == u2
            assert session.aggregate == plain_sum(p, u2)


@pytest.mark.parametrize("model", MODELS)
def test_a_damaged_seal_in_a_sparse_session_is_listed_over_what_its_receiver_sees(model: int):
    p = sparse_params(model)
    c = context_of(p, run(p))
    dealer = people(p)[3]
    holder = c.neighbours(dealer)[4]

    def spoil(_c: ref.Context, fields: list) -> list:
        at = 4 * 152 + 30
        return [fields[0][:at] + bytes([fields[0][at] ^ 1]) + fields[0][at + 1 :], fields[1]]

    wire = Wire(p, ref.SHARE_KEYS, ("share_keys", ref.UP, dealer), spoil)
    session = run(p, on_wire=wire)
    assert session.aggregate == plain_sum(p, session.survivors)
    for i in people(p):
        unopened = ref.read_message(p, SESSION_ID, ref.MASKED_INPUT, session.messages["masked_input", ref.UP, i])[1]
        assert c.from_bitmap(unopened, i) == ([dealer] if i == holder else [])


FEW = "too few survivors whose seal opened"


def but(c: ref.Context, missing: list[int]) -> bytes:
    return c.to_bitmap(set(c.seen()) - set(missing))


ACTIVE_REWRITES = [
    ("indices", ref.KEY_ROSTER, lambda c, me, f: [f[0][:8] + b"\x01" + f[0][9:], 11]),
    ("entries", ref.KEY_ROSTER, lambda c, me, f: [f[0], 10]),
    ("entries", ref.KEY_ROSTER, lambda c, me, f: [f[0][140:], 11]),
    ("roster total", ref.KEY_ROSTER, lambda c, me, f: [f[0], 12]),
    ("dealers", ref.SHARE_DELIVERY, lambda c, me, f: [but(c, [me]), f[1]]),
    ("dealers", ref.SHARE_DELIVERY, lambda c, me, f: [c.to_bitmap({*c.neighbours(me)[:3], me}), f[1][:456]]),
    ("dealers", ref.SHARE_DELIVERY, lambda c, me, f: [but(c, c.neighbours(me)[:3]), f[1][456:]]),
    ("delivery", ref.SHARE_DELIVERY, lambda c, me, f: [f[0], f[1][152:]]),
    ("survivors", ref.SURVIVOR_SET, lambda c, me, f: [but(c, [me]), 10]),
    ("survivors", ref.SURVIVOR_SET, lambda c, me, f: [but(c, c.neighbours(me)[:3]), 8]),
    ("survivor total", ref.SURVIVOR_SET, lambda c, me, f: [f[0], 10]),
    ("survivor total", ref.SURVIVOR_SET, lambda c, me, f: [f[0], 12]),
    (FEW, ref.SURVIVOR_SET, lambda c, me, f: [c.to_bitmap([*c.neighbours(me)[:4], me]), 5]),
    ("signers", ref.UNMASKING_REQUEST, lambda c, me, f: [f[0], f[1][64:]]),
]
CURIOUS_REWRITES = [
    ("indices", ref.KEY_ROSTER, lambda c, me, f: [f[0][:-68] + b"\x0b" + f[0][-67:], 11]),
    ("indices", ref.KEY_ROSTER, lambda c, me, f: [f[0][:8] + f[0][84:85] + f[0][9:], 11]),
    ("entries", ref.KEY_ROSTER, lambda c, me, f: [f[0][:-76], 11]),
    ("length", ref.KEY_ROSTER, lambda c, me, f: [f[0] + stranger(c, me), 11]),
    ("entries", ref.KEY_ROSTER, lambda c, me, f: [f[0], 6]),
    ("roster total", ref.KEY_ROSTER, lambda c, me, f: [f[0], 12]),
    ("dealers", ref.SHARE_DELIVERY, lambda c, me, f: [c.to_bitmap(c.neighbours(me), me), f[1]]),
    ("dealers", ref.SHARE_DELIVERY, lambda c, me, f: [c.to_bitmap([*c.neighbours(me)[:3], me], me), f[1][:456]]),
    ("bitmap", ref.SHARE_DELIVERY, lambda c, me, f: [b"\xff\x07", f[1]]),
    ("survivors", ref.SURVIVOR_SET, lambda c, me, f: [c.to_bitmap(c.neighbours(me), me), 10]),
    ("survivors", ref.SURVIVOR_SET, lambda c, me, f: [c.to_bitmap([*c.neighbours(me)[:3], me], me), 8]),
    ("survivor total", ref.SURVIVOR_SET, lambda c, me, f: [f[0], 6]),
    ("survivor total", ref.SURVIVOR_SET, lambda c, me, f: [f[0], 12]),
    (FEW, ref.SURVIVOR_SET, lambda c, me, f: [c.to_bitmap([*c.neighbours(me)[:4], me], me), 6]),
]


def stranger(c: ref.Context, me: int) -> bytes:
    """An entry that is not for this client to see, with an id and an index above all others."""
    keys = ref.x25519(rand("stranger", 32)), ref.x25519(rand("stranger's mask", 32))
    return ref.encode_entries([ref.Entry(2**64 - 1, 10, *keys, b"")])


@pytest.mark.parametrize(
    ("model", "why", "code", "rewrite"),
    [(ref.ACTIVE, *case) for case in ACTIVE_REWRITES] + [(ref.HONEST_BUT_CURIOUS, *case) for case in CURIOUS_REWRITES],
)
def test_a_client_of_a_sparse_graph_refuses(model: int, why: str, code: int, rewrite: Callable):
    p = sparse_params(model)
    c = context_of(p, run(p))
    # Neither has everyone above it, nor sees the highest id or index.
    me = next(i for i in people(p) if max(c.neighbours(i)) < 2**63)
    stage = {ref.KEY_ROSTER: "share_keys", ref.SHARE_DELIVERY: "masked_input", ref.SURVIVOR_SET: "consistency"}

    def lie(where: tuple[str, str, int], data: bytes) -> bytes:
        if where != (stage.get(code, "unmask"), ref.DOWN, me):
            return data
        return ref.message(p, SESSION_ID, code, *rewrite(c, me, ref.read_message(p, SESSION_ID, code, data)))

    with pytest.raises(ref.Refused, match=f"^{why}$"):
        run(p, on_wire=lie)


@pytest.mark.parametrize("model", MODELS)
def test_a_survivor_outside_the_dealers_is_refused_also_where_it_is_no_neighbour(model: int):
    p = sparse_params(model)
    c = context_of(p, run(p))
    me = people(p)[0]
    # Who sees the whole roster knows of everyone whether it dealt; otherwise of its neighbours.
    far = [i for i in c.seen(me) if i != me and (i in c.neighbours(me)) == (model == ref.HONEST_BUT_CURIOUS)]
    wire = Wire(p, ref.SURVIVOR_SET, ("consistency", ref.DOWN, me), lambda _c, _f: [c.to_bitmap(c.seen(me), me), 11])
    with pytest.raises(ref.Refused, match=r"^survivors$"):
        run(p, on_wire=wire, dropouts={"share_keys": {far[0]}})


def test_the_server_refuses_a_report_of_anyone_but_a_peer():
    p = sparse_params(ref.ACTIVE)
    c = context_of(p, run(p))
    me = people(p)[0]
    far = next(i for i in people(p) if i not in (me, *c.neighbours(me)))
    for named in (me, far, c.neighbours(me)[0]):
        gone = {"share_keys": {named}} if named in c.neighbours(me) else {}
        wire = Wire(
            p, ref.MASKED_INPUT, ("masked_input", ref.UP, me), lambda _c, f, i=named: [f[0], c.to_bitmap([i]), f[2]]
        )
        with pytest.raises(ref.Refused, match=r"^unopened$"):
            run(p, on_wire=wire, dropouts=gone)


def signed_by(p: ref.Params, session: ref.Session, signers: set[int]) -> bytes:
    chosen = sorted(signers)
    signatures = [session.messages["consistency", ref.UP, i] for i in chosen]
    joined = b"".join(ref.read_message(p, SESSION_ID, ref.CONSISTENCY_SIGNATURE, data)[0] for data in signatures)
    bits = ref.bitmap([people(p).index(i) for i in chosen], p.cohort_size)
    return ref.message(p, SESSION_ID, ref.UNMASKING_REQUEST, bits, joined)


def arc(p: ref.Params) -> tuple[ref.Session, int, set[int]]:
    """A session, a client in it, and six signers with which every neighbourhood that it asks about has its quorum."""
    session = run(p)
    c = context_of(p, session)
    for me in people(p):
        inner = {me, *c.neighbours(me)}
        outer = set().union(*(c.neighbours(j) for j in inner))
        for left_out in itertools.combinations(sorted(outer), len(outer) - 6):
            signers = outer - set(left_out)
            if all(len(signers & set(c.neighbours(j))) >= p.threshold for j in inner) and me in signers:
                return session, me, signers
    raise AssertionError("six of nine on an arc are enough for its middle")


@pytest.mark.parametrize(("corrupt", "more", "good"), [(0, 0, False), (0, 1, True), (1, 1, False), (1, 2, True)])
def test_every_neighbourhood_has_its_quorum_and_the_majority_may_be_missing(corrupt: int, more: int, good: bool):
    # Seven of thirteen; eight where one corrupt client may sign twice.
    p = sparse_params(ref.ACTIVE, n=13, k=4, min_survivors=7 + corrupt)
    session, me, signers = arc(p)
    signers |= set([i for i in people(p) if i not in signers][:more])
    request = signed_by(p, session, signers)

    def lie(where: tuple[str, str, int], data: bytes) -> bytes:
        return request if where == ("unmask", ref.DOWN, me) else data

    policy = ref.Policy(Fraction(corrupt, 13))
    if good:
        assert run(p, on_wire=lie, policy=policy).aggregate == session.aggregate
    else:
        with pytest.raises(ref.Refused, match=r"^no majority signed$"):
            run(p, on_wire=lie, policy=policy)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "why"), [(16, None), (18, "no majority signed")])
def test_its_own_signature_counts_though_the_server_leaves_it_out(n: int, why: str | None):
    # Eight others on the arc about it give every neighbourhood its quorum; with its own they are nine.
    p = sparse_params(ref.ACTIVE, n=n, k=4, min_survivors=n // 2 + 1)
    session = run(p)
    c, me = context_of(p, session), people(p)[0]
    signers = set().union(*(c.neighbours(j) for j in c.neighbours(me))) - {me}
    assert len(signers) == 8
    request = signed_by(p, session, signers)

    def lie(where: tuple[str, str, int], data: bytes) -> bytes:
        return request if where == ("unmask", ref.DOWN, me) else data

    if why is None:
        assert run(p, on_wire=lie).aggregate == session.aggregate
    else:
        with pytest.raises(ref.Refused, match=f"^{why}$"):
            run(p, on_wire=lie)


def test_survivors_who_neither_signed_nor_sealed_to_the_client_are_not_there_for_it():
    p = sparse_params(ref.ACTIVE, n=13, k=4, min_survivors=7)
    session, me, signers = arc(p)
    near = set(context_of(p, session).neighbours(me))
    signers |= set([i for i in people(p) if i not in signers][:1])
    request, present = signed_by(p, session, signers), len(signers | near | {me})

    def lie(where: tuple[str, str, int], data: bytes) -> bytes:
        return request if where == ("unmask", ref.DOWN, me) else data

    policy = ref.Policy(min_survivors=present, joins_below=True)
    assert run(p, on_wire=lie, policy=policy).aggregate == session.aggregate
    with pytest.raises(ref.Refused, match=r"^too few survivors that signed or whose seal opened$"):
        run(p, on_wire=lie, policy=ref.Policy(min_survivors=present + 1, joins_below=True))


@pytest.mark.parametrize("sparse", [True, False])
def test_the_server_wants_min_survivors_signatures_in_a_sparse_graph_and_t_plus_one_in_the_complete_one(sparse: bool):
    p = sparse_params(ref.ACTIVE, min_survivors=10) if sparse else make_params(11, threshold=6, min_survivors=10)
    gone = {"consistency": set(people(p)[:2])}
    if sparse:
        with pytest.raises(ref.Refused, match=r"^too few clients$"):
            run(p, dropouts=gone)
    else:
        check(p, gone)


# -------------------------------------------------------------------------------------------------- certificates
def rings(size: int, marked: int) -> list[tuple[int, ...]]:
    """Every way in which so many marked clients may stand on a ring of so many."""
    return [tuple(int(i in chosen) for i in range(size)) for chosen in itertools.combinations(range(size), marked)]


@pytest.mark.parametrize(("size", "marked"), [(7, 2), (8, 4), (9, 3), (10, 0), (10, 10)])
@pytest.mark.parametrize("sample", [1, 2, 3])
def test_probabilities_are_those_of_all_rings(size: int, marked: int, sample: int):
    every = rings(size, marked)
    for least in range(-1, sample + 2):
        one = sum(sum(ring[:sample]) >= least for ring in every)
        both = sum(sum(ring[:sample]) >= least and sum(ring[sample : 2 * sample]) >= least for ring in every)
        assert ref.at_least(least, size, marked, sample) == Fraction(one, len(every))
        assert ref.both_at_least(least, size, marked, sample) == Fraction(both, len(every))


@pytest.mark.parametrize(("size", "k", "gone"), [(9, 4, 5), (9, 2, 3), (10, 4, 6), (10, 4, 4)])
def test_the_bound_on_connectedness_holds_over_all_rings(size: int, k: int, gone: int):
    cut = 0
    every = rings(size, gone)
    for ring in every:
        left = [i for i in range(size) if not ring[i]]
        # On a ring the graph of those who stay is cut where two runs of k/2 are gone, with somebody on either side.
        reached, edge = {left[0]}, [left[0]]
        while edge:
            here = edge.pop()
            near = {(here + step) % size for step in range(-k // 2, k // 2 + 1)} & set(left)
            edge += near - reached
            reached |= near
        cut += len(reached) < len(left)
    bound = ref.unconnected(size, k, gone)
    assert Fraction(cut, len(every)) <= bound
    choose = Fraction(math.comb(gone, k), math.comb(size, k))
    assert bound == size * (size - k - 1) * choose / 2
    assert ref.unconnected(size, k, k - 1) == 0


def test_a_certificate_written_out():
    p = make_params(12, neighbours=6, threshold=5)
    policy = ref.Policy(Fraction(1, 4), Fraction(1, 6), 3, 2, 1)
    # h = 3, w = 2, A = 3: two runs cannot hold two each. Of six neighbours 2t - k = 4 are never corrupt.
    # D = 2: two of six vanish with probability C(10, 4) / C(12, 6).
    alive = 12 * Fraction(math.comb(10, 4), math.comb(12, 6))
    assert ref.certificate(p, policy, 12) == {
        "uncuttable": (0, Fraction(1, 32)),
        "private": (0, Fraction(1, 32)),
        "alive": (alive, Fraction(1, 4)),
    }
    # In a roster of ten two of those who may vanish have vanished, and as many are corrupt.
    assert ref.certificate(p, policy, 10)["alive"][0] == 0
    p = make_params(12, model=ref.HONEST_BUT_CURIOUS, neighbours=4, threshold=3)
    assert ref.certificate(p, policy, 11) == {
        "connected": (Fraction(11 * 6, 2) * Fraction(math.comb(4, 4), math.comb(11, 4)), Fraction(1, 32)),
        "private": (11 * Fraction(math.comb(8, 1), math.comb(11, 4)), Fraction(1, 32)),
        # One may vanish still, and then it is not connected for certain enough.
        "alive": (1, Fraction(1, 4)),
    }
    certain = dataclasses.replace(policy, grinding_bits=None, security_bits=1)
    assert ref.certificate(p, certain, 11)["connected"][1] == Fraction(1, 4)
    assert ref.certificate(p, certain, 11)["alive"][0] == 0
    p = make_params(12, neighbours=4, threshold=3)
    twice = Fraction(math.comb(2, 1) ** 2 * 8 + 2 * 2 * 1, math.comb(12, 3))
    assert ref.certificate(p, policy, 12)["uncuttable"] == (72 * twice, Fraction(1, 32))
    assert ref.certificate(p, ref.Policy(), 12)["uncuttable"] == (0, Fraction(1, 2**105))


def test_a_roster_in_which_everyone_is_a_neighbour_cannot_be_cut():
    p = make_params(12, neighbours=6, threshold=5)
    policy = ref.Policy(Fraction(1, 4), security_bits=1, grinding_bits=0)
    # 2t - k' = 4 of six, and 5 of five: three are corrupt.
    for size in (7, 6):
        assert [risk for risk, _ in ref.certificate(p, policy, size).values()] == [0, 0, 0]
    p = make_params(12, neighbours=6, threshold=4)
    assert ref.certificate(p, policy, 7)["private"][0] > 1
    assert ref.certificate(p, policy, 6)["private"][0] == 6 * Fraction(math.comb(3, 3), math.comb(6, 5)) * 3


@pytest.mark.parametrize("model", MODELS)
def test_a_client_refuses_a_graph_that_its_policy_does_not_certify(model: int):
    p = sparse_params(model, min_survivors=10)
    good = ref.Policy(Fraction(1, 11))
    assert run(p, policy=good).aggregate == plain_sum(p, people(p))
    cut = "uncuttable" if model == ref.ACTIVE else "connected"
    cases = [(cut, ref.Policy(Fraction(5, 11), Fraction(3, 11))), ("alive", ref.Policy(dropout=Fraction(3, 11)))]
    if model == ref.HONEST_BUT_CURIOUS:
        cases.append(("private", ref.Policy(Fraction(4, 11))))
    for name, policy in cases:
        with pytest.raises(ref.Refused, match=f"^{name}$"):
            run(p, policy=policy)


@pytest.mark.parametrize("model", MODELS)
def test_whoever_never_advertises_is_one_of_those_that_may_vanish(model: int):
    # Two of six neighbours may vanish, and of eleven clients three if one of them never comes.
    p, policy = sparse_params(model, min_survivors=9), ref.Policy(dropout=Fraction(3, 11), correctness_bits=1)
    risks = {size: ref.certificate(p, policy, size)["alive"][0] for size in (11, 10)}
    assert risks[11] > Fraction(1, 2) > risks[10] == 0
    with pytest.raises(ref.Refused, match=r"^alive$"):
        run(p, policy=policy, dropouts={"advertise_keys": {people(p)[0]}})


@pytest.mark.parametrize(
    ("model", "threshold", "corrupt", "absent", "condition"),
    [(ref.ACTIVE, 4, 4, 3, "uncuttable"), (ref.HONEST_BUT_CURIOUS, 3, 3, 1, "private")],
)
def test_a_smaller_roster_has_as_many_corrupt_clients(
    model: int, threshold: int, corrupt: int, absent: int, condition: str
):
    p = sparse_params(model, n=12, k=4, threshold=threshold, min_survivors=12 - absent)
    policy = ref.Policy(Fraction(corrupt, 12), security_bits=1, grinding_bits=0)
    assert run(p, policy=policy).aggregate == plain_sum(p, people(p))
    with pytest.raises(ref.Refused, match=f"^{condition}$"):
        run(p, policy=policy, dropouts={"advertise_keys": set(people(p)[:absent])})


@pytest.mark.parametrize(("n", "corrupt", "fewest"), [(12, 0, 7), (12, 1, 7), (13, 1, 8), (13, 0, 7)])
def test_an_active_sparse_client_refuses_a_minimum_that_two_survivor_sets_could_reach(
    n: int, corrupt: int, fewest: int
):
    # One corrupt client alone neither cuts nor opens with k = 4 and t = 3.
    policy = ref.Policy(Fraction(corrupt, n))
    p = sparse_params(ref.ACTIVE, n=n, k=4, min_survivors=fewest)
    assert run(p, policy=policy).aggregate == plain_sum(p, people(p))
    with pytest.raises(ref.Refused, match=r"^min_survivors$"):
        run(replace(p, min_survivors=fewest - 1), policy=policy)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_a_survivor_whose_seal_did_not_open_is_not_there_for_certain(model: int, sparse: bool):
    p = sparse_params(model, n=9, min_survivors=8) if sparse else make_params(7, 1, model, min_survivors=6)
    me = people(p)[0]
    dealer = context_of(p, run(p)).neighbours(me)[0] if sparse else people(p)[1]
    # The dealer's first record is for this client, or stands behind that of another one with a lower id.
    place = 0 if not sparse else context_of(p, run(p)).neighbours(dealer).index(me)

    def spoil(where: tuple[str, str, int], data: bytes) -> bytes:
        at = 28 + 152 * place + 30
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] if where == ("share_keys", ref.UP, dealer) else data

    others = [i for i in people(p) if i not in (me, dealer)]
    everyone = run(p, on_wire=spoil, policy=ref.Policy(min_survivors=p.cohort_size - 1, joins_below=True))
    assert everyone.aggregate == plain_sum(p, people(p))
    for policy, gone in (
        (ref.Policy(min_survivors=p.cohort_size, joins_below=True), ()),
        (ref.Policy(min_survivors=p.cohort_size - 1, joins_below=True), others[:1]),
    ):
        with pytest.raises(ref.Refused, match=f"^{FEW}$"):
            run(p, on_wire=spoil, dropouts={"masked_input": set(gone)}, policy=policy)


def test_a_curious_sparse_client_refuses_fewer_survivors_than_connect_it():
    p = sparse_params(ref.HONEST_BUT_CURIOUS, n=12, k=4, threshold=1, min_survivors=9)
    # Three may be gone whatever their places; of four, two to either side of somebody, the ring may be cut.
    assert ref.connected_survivors(p, ref.Policy(), 12) == 9
    assert ref.connected_survivors(p, ref.Policy(security_bits=2), 12) < 9
    assert ref.connected_survivors(p, ref.Policy(Fraction(1, 12)), 12) == 10
    assert ref.connected_survivors(p, ref.Policy(Fraction(1, 12)), 11) == 9
    assert run(p, dropouts={"masked_input": set(people(p)[:3])})
    with pytest.raises(ref.Refused, match=r"^min_survivors$"):
        run(sparse_params(ref.HONEST_BUT_CURIOUS, n=12, k=4, threshold=1, min_survivors=8))
    with pytest.raises(ref.Refused, match=r"^min_survivors$"):
        run(replace(p, threshold=4), policy=ref.Policy(Fraction(3, 12)))


@pytest.mark.parametrize(("corrupt", "good"), [(0, True), (1, True), (2, False)])
@pytest.mark.parametrize("model", MODELS)
def test_the_threshold_of_the_complete_graph_leaves_room_for_corrupt_clients(corrupt: int, good: bool, model: int):
    # ACTIVE: 2t > |N| + A, 8 > 6 + 1. HONEST_BUT_CURIOUS: t > A.
    p, policy = make_params(7, model=model, threshold=4), ref.Policy(Fraction(corrupt, 7))
    if model == ref.HONEST_BUT_CURIOUS:
        policy = ref.Policy(Fraction(3 if good else 4, 7))
    if good:
        assert run(p, policy=policy)
    else:
        with pytest.raises(ref.Refused, match=r"^threshold$"):
            run(p, policy=policy)
