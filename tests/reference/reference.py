# ruff: noqa: RUF003 (the page is quoted as it is written, minus signs and all)
"""The protocol of docs/protocol.md in plain integers: an oracle, slow, readable and not constant-time.

It was written from that page alone and shares no code with the package. Lines that begin with `# |` quote the page.
Everything here is a function of its arguments; all randomness comes in as `rand`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from math import ceil, comb, factorial
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as aead_decrypt
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as aead_encrypt
from nacl.exceptions import CryptoError

VERSION = 2
AES128_CTR, CHACHA20 = 1, 2
HONEST_BUT_CURIOUS, ACTIVE = 1, 2
MASK_KEY, SELF_MASK = 1, 2  # the two kinds of share
STAGES = ("advertise_keys", "share_keys", "masked_input", "consistency", "unmask")
DOWN, UP = "server->client", "client->server"
Q = 2**31 - 1  # Shamir's field
LIMBS, LIMB_BITS = 9, 30
P = 2**255 - 19  # X25519's field


class Refused(ValueError):
    """Somebody would refuse, abort, or be unable to go on."""


def need(condition: bool, why: str) -> None:
    if not condition:
        raise Refused(why)


# ------------------------------------------------------------------------------------------------ Encodings
def u(bits: int, value: int) -> bytes:
    # | Integers are little-endian and unsigned: u8, u16, u32, u64.
    return value.to_bytes(bits // 8, "little")


def frame(*fields: bytes) -> bytes:
    # | `frame(x1, …, xk)` = for each field its length as u64, then its bytes.
    return b"".join(u(64, len(x)) + x for x in fields)


def label(suite: int, use: str) -> bytes:
    # | `label(suite, use)` = ASCII `secagg/2/suite-S/USE` with S the suite's number.
    return f"secagg/2/suite-{suite}/{use}".encode("ascii")


def H(suite: int, use: str, *fields: bytes) -> bytes:  # noqa: N802 (the page's name)
    # | `H(use, x1, …, xk)` = SHA-256(frame(label, x1, …, xk)), 32 bytes.
    return hashlib.sha256(frame(label(suite, use), *fields)).digest()


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, length: int = 32) -> bytes:
    """RFC 5869."""
    prk, block, out = hmac.digest(salt, secret, "sha256"), b"", b""
    for i in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([i]), "sha256")
        out += block
    return out[:length]


def KDF(suite: int, secret: bytes, salt: bytes, use: str, *fields: bytes) -> bytes:  # noqa: N802
    # | `KDF(secret, salt, use, x1, …, xk)` = HKDF-SHA256(secret, salt, info = frame(label, x1, …, xk)), 32 bytes.
    return hkdf_sha256(secret, salt, frame(label(suite, use), *fields))


def bitmap(indices: Iterable[int], roster_size: int) -> bytes:
    # | the client of roster index i is bit i mod 8 (least significant first) of byte i div 8; ⌈|roster|/8⌉ bytes
    # (Over what a client sees, i counts what it sees.)
    out = bytearray(-(-roster_size // 8))
    for i in indices:
        out[i // 8] |= 1 << (i % 8)
    return bytes(out)


def read_bitmap(data: bytes, roster_size: int) -> list[int]:
    """The indices, ascending."""
    indices = [i for i in range(8 * len(data)) if data[i // 8] >> (i % 8) & 1]
    # | bits past the end are zero
    need(bitmap([i for i in indices if i < roster_size], roster_size) == data, "bitmap")
    return indices


# ------------------------------------------------------------------------------------- Parameters and contexts
@dataclass(frozen=True)
class Params:
    suite: int
    adversary: int
    cohort_size: int
    neighbours: int
    threshold: int
    min_survivors: int
    vector_length: int
    modulus_bits: int
    round_number: int = 0
    application: bytes = b""


# | u8 suite ‖ u8 adversary ‖ u32 cohort_size ‖ u32 neighbours ‖ u32 threshold ‖ u32 min_survivors ‖
# | u64 vector_length ‖ u8 modulus_bits ‖ u64 round_number ‖ u16 length of application ‖ application
PARAM_BITS = (8, 8, 32, 32, 32, 32, 64, 8, 64)


def encode_params(p: Params) -> bytes:
    *numbers, application = (getattr(p, field) for field in Params.__dataclass_fields__)
    # | application (at most 1024 bytes)
    need(len(application) <= 1024, "application")
    return b"".join(map(u, PARAM_BITS, numbers)) + u(16, len(application)) + application


def decode_params(data: bytes) -> Params:
    numbers, at = [], 0
    for bits in (*PARAM_BITS, 16):
        numbers.append(int.from_bytes(data[at : at + bits // 8], "little"))
        at += bits // 8
    p = Params(*numbers[:-1], application=data[at:])
    need(len(data) >= at and encode_params(p) == data, "params")
    check_bounds(p)
    return p


def check_bounds(p: Params) -> None:
    need(p.suite in (AES128_CTR, CHACHA20) and p.adversary in (HONEST_BUT_CURIOUS, ACTIVE), "suite or adversary")
    # | cohort_size 3 (♦ 4) to 2²⁰; neighbours even and from 2, or exactly cohort_size − 1
    need((4 if p.adversary == ACTIVE else 3) <= p.cohort_size <= 2**20, "cohort_size")
    even = p.neighbours % 2 == 0 and 2 <= p.neighbours < p.cohort_size
    need(even or p.neighbours == p.cohort_size - 1, "neighbours")
    # | threshold ⌊neighbours/2⌋ + 1 (sparse HONEST_BUT_CURIOUS: 1) to neighbours
    need((p.neighbours // 2 + 1 if sees_all(p) else 1) <= p.threshold <= p.neighbours, "threshold")
    # | min_survivors at least threshold + 1, and ♦ in a sparse graph at least ⌊cohort_size/2⌋ + 1, at most cohort_size;
    # | vector_length at most 2³²; modulus_bits 1 to 64
    majority = p.cohort_size // 2 + 1 if sparse(p) and p.adversary == ACTIVE else 0
    need(max(p.threshold + 1, majority) <= p.min_survivors <= p.cohort_size, "min_survivors")
    need(p.vector_length <= 2**32 and 1 <= p.modulus_bits <= 64, "vector_length or modulus_bits")


def sparse(p: Params) -> bool:
    # | The graph is *sparse* if k < n − 1.
    return p.neighbours < p.cohort_size - 1


def sees_all(p: Params) -> bool:
    # | A client **sees** the whole roster, except in a sparse graph under HONEST_BUT_CURIOUS, where it sees N(u) ∪ {u}.
    return p.adversary == ACTIVE or not sparse(p)


def degree(p: Params, roster_size: int) -> int:
    # | k' = min(k, |roster| − 1)
    return min(p.neighbours, roster_size - 1)


@dataclass(frozen=True)
class Entry:
    id: int
    index: int
    seal_key: bytes
    mask_key: bytes
    signature: bytes  # empty unless ACTIVE


def encode_entries(roster: Sequence[Entry]) -> bytes:
    # | in strictly ascending id, u64 id ‖ u32 index ‖ seal_key ‖ mask_key ‖ ♦ signature;
    # | index = rank by id in the whole roster, from 0.
    return b"".join(u(64, e.id) + u(32, e.index) + e.seal_key + e.mask_key + e.signature for e in roster)


def entry_size(p: Params) -> int:
    return 8 + 4 + 32 + 32 + signature_size(p)


def decode_entries(p: Params, data: bytes) -> list[Entry]:
    size = entry_size(p)
    need(len(data) % size == 0, "incomplete entry")
    return [
        Entry(int.from_bytes(r[:8], "little"), int.from_bytes(r[8:12], "little"), r[12:44], r[44:76], r[76:])
        for r in records(data, size)
    ]


def session_context(p: Params, session_id: bytes) -> bytes:
    # | H(`session-context`, u8 version, u8 suite, application, session_id (16 bytes), params)
    fields = u(8, VERSION), u(8, p.suite), p.application, session_id, encode_params(p)
    return H(p.suite, "session-context", *fields)


def roster_hash(p: Params, session_ctx: bytes, roster: Sequence[Entry]) -> bytes:
    # | `roster_hash` = H(`roster`, session_ctx, all roster entries)
    return H(p.suite, "roster", session_ctx, encode_entries(roster))


def roster_context(p: Params, session_ctx: bytes, roster_digest: bytes) -> bytes:
    # | `roster_ctx` = H(`roster-context`, session_ctx, roster_hash)
    # | Where clients do not see the whole roster, the field roster_hash of `roster_ctx` and the field dealers of
    # | `task_ctx` are empty.
    return H(p.suite, "roster-context", session_ctx, roster_digest if sees_all(p) else b"")


def task_context(p: Params, roster_ctx: bytes, model_digest: bytes, dealers: bytes) -> bytes:
    # | H(`task-context`, roster_ctx, u64 round_number, model_digest (32 bytes; all zero if there is no model),
    # | dealers (U2, the bitmap over the roster))
    fields = u(64, p.round_number), model_digest, dealers if sees_all(p) else b""
    return H(p.suite, "task-context", roster_ctx, *fields)


def task_digest(p: Params, task_ctx: bytes) -> bytes:
    # | `task_digest` = H(`task-digest`, task_ctx)
    return H(p.suite, "task-digest", task_ctx)


def neighbourhoods(suite: int, seed: bytes, size: int, k: int) -> list[list[int]]:
    """The graph: for each roster index those of its neighbours, ascending."""
    # | Bytes 16 i … 16 i + 15 of the suite's keystream under `seed`, as a little-endian integer, are the key of roster
    # | index i; sorted by their keys (ties by index), the clients stand on a ring.
    keys = [int.from_bytes(key, "little") for key in records(keystream(suite, seed, 16 * size), 16)]
    ring = sorted(range(size), key=lambda index: (keys[index], index))
    # | N(u) are the ⌈k'/2⌉ that follow u on it and the ⌊k'/2⌋ before it
    steps = [*range(1, -(-k // 2) + 1), *range(-(k // 2), 0)]
    place = {index: at for at, index in enumerate(ring)}
    return [sorted(ring[(place[index] + step) % size] for step in steps) for index in range(size)]


class Context:
    """What everyone who holds the same roster computes alike; or what one client computes that sees a part of it."""

    def __init__(
        self, p: Params, session_id: bytes, model_digest: bytes, roster: Sequence[Entry], centre: int | None = None
    ) -> None:
        """`centre` is the client whose part `roster` is: its neighbours and itself."""
        self.p, self.roster, self.by_id = p, roster, {e.id: e for e in roster}
        self.model_digest = model_digest
        self.session_ctx = session_context(p, session_id)
        self.roster_hash = roster_hash(p, self.session_ctx, roster) if centre is None else b""
        self.roster_ctx = roster_context(p, self.session_ctx, self.roster_hash)
        if centre is None:
            # | Over the |roster| clients that advertised, k' = min(k, |roster| − 1). `seed` = H(`graph`, roster_hash).
            seed, k = H(p.suite, "graph", self.roster_hash), degree(p, len(roster))
            near = neighbourhoods(p.suite, seed, len(roster), k)
            self.near = {e.id: [roster[i].id for i in near[e.index]] for e in roster}
        else:
            self.near = {centre: [e.id for e in roster if e.id != centre]}

    def fix_dealers(self, u2: Iterable[int]) -> None:
        """From here on there is a task_ctx."""
        self.task_ctx = task_context(self.p, self.roster_ctx, self.model_digest, self.to_bitmap(u2))

    def neighbours(self, who: int) -> list[int]:
        return self.near[who]

    def seen(self, who: int | None = None) -> list[int]:
        """The ids that a client sees, ascending; of nobody in particular, the whole roster."""
        everyone = [e.id for e in self.roster]
        return everyone if who is None or sees_all(self.p) else sorted([*self.near[who], who])

    def to_bitmap(self, ids: Iterable[int], who: int | None = None) -> bytes:
        # | Bitmaps in messages to and from a client are over what it sees, in ascending id
        seen, present = self.seen(who), set(ids)
        return bitmap([i for i, one in enumerate(seen) if one in present], len(seen))

    def from_bitmap(self, data: bytes, who: int | None = None) -> list[int]:
        seen = self.seen(who)
        return [seen[i] for i in read_bitmap(data, len(seen))]


# ------------------------------------------------------------------------------------------------------- Wire
INVITATION, ADVERTISE_KEYS, KEY_ROSTER, SHARE_KEYS, SHARE_DELIVERY, MASKED_INPUT = 1, 2, 3, 4, 5, 6
SURVIVOR_SET, CONSISTENCY_SIGNATURE, UNMASKING_REQUEST, UNMASKING_SHARES, ABORT = 7, 8, 9, 10, 11
# The fields after the type, of every message of the table: b for a byte string, i for an integer.
FIELDS = dict(enumerate(("b", "bbb", "bi", "bb", "bb", "bbb", "bi", "b", "bb", "b", "i"), start=1))


def header(p: Params, session_id: bytes, code: int) -> bytes:
    # | Header, 23 bytes: `SAGG` ‖ u8 version (2) ‖ u8 suite ‖ u8 type ‖ session_id.
    return b"SAGG" + u(8, VERSION) + u(8, p.suite) + u(8, code) + session_id


def pack_item(x: int | bytes) -> bytes:
    """MessagePack's shortest encoding; its own lengths and integers are big-endian."""
    if isinstance(x, int) and x < 0x80:
        return bytes([x])
    value, codes = (x, b"\xcc\xcd\xce\xcf") if isinstance(x, int) else (len(x), b"\xc4\xc5\xc6")
    for power, code in enumerate(codes):
        if value < 256 ** (2**power):
            return bytes([code]) + value.to_bytes(2**power, "big") + (b"" if isinstance(x, int) else x)
    raise ValueError("too large for MessagePack")


def body(code: int, *fields: int | bytes) -> bytes:
    # | a MessagePack array `[type, fields…]` with every byte string as `bin`, integers as MessagePack integers.
    assert "".join("i" if isinstance(x, int) else "b" for x in fields) == FIELDS[code]
    return bytes([0x90 | 1 + len(fields)]) + b"".join(pack_item(x) for x in (code, *fields))


def message(p: Params, session_id: bytes, code: int, *fields: int | bytes) -> bytes:
    # | Every message is a header followed by a MessagePack array
    return header(p, session_id, code) + body(code, *fields)


def read_item(data: bytes, at: int) -> tuple[int | bytes, int]:
    need(at < len(data), "truncated")
    code, at = data[at], at + 1
    if code < 0x80:
        return code, at
    need(0xC4 <= code <= 0xC6 or 0xCC <= code <= 0xCF, "neither an unsigned integer nor bin")
    size = 1 << (code & 3) if code >= 0xCC else 1 << (code - 0xC4)
    value, at = int.from_bytes(data[at : at + size], "big"), at + size
    if code >= 0xCC:
        return value, at
    return data[at : at + value], at + value


def read_message(p: Params, session_id: bytes, code: int, data: bytes) -> list:
    """The fields of a message of the type that is expected. Only the bytes that `message` itself writes are read."""
    start = len(header(p, session_id, code))
    need(data[:start] == header(p, session_id, code), "header")
    count = 1 + len(FIELDS[code])
    need(data[start : start + 1] == bytes([0x90 | count]), "array")
    items: list[int | bytes] = []
    at = start + 1
    for _ in range(count):
        item, at = read_item(data, at)
        items.append(item)
    kinds = "".join("i" if isinstance(x, int) else "b" for x in items)
    need(kinds == "i" + FIELDS[code] and items[0] == code and body(code, *items[1:]) == data[start:], "body")
    return items[1:]


def records(table: bytes, size: int) -> list[bytes]:
    need(len(table) % size == 0, "table")
    return [table[i : i + size] for i in range(0, len(table), size)]


# ----------------------------------------------------------------------------------------- X25519 and Ed25519
@cache  # both directions of a seal, and many a test, use the same pair
def x25519(private: bytes, public: bytes = u(256, 9)) -> bytes:
    """RFC 7748, section 5. The private key is clamped here, and kept, shared and rebuilt unclamped."""
    k = int.from_bytes(private, "little") & (2**254 - 8) | 2**254
    x1 = int.from_bytes(public, "little") % 2**255
    x2, z2, x3, z3 = 1, 0, x1, 1
    for i in reversed(range(255)):
        bit = k >> i & 1
        if bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
        if bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
    return u(256, x2 * pow(z2, P - 2, P) % P)


@cache
def key_is_good(key: bytes) -> bool:
    # | every key is canonical (u < 2²⁵⁵ − 19) and of no low order
    # (A clamped scalar is a multiple of 8, so it takes exactly the points of low order to zero.)
    return int.from_bytes(key, "little") < P and any(x25519(bytes(32), key))


def sign(identity_seed: bytes, digest: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(identity_seed).sign(digest)


def identity_key(identity_seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(identity_seed).public_key().public_bytes_raw()


@cache
def point_is_good(point: bytes) -> bool:
    # | y is below 2²⁵⁵ − 19, and the point's order does not divide 8
    # (The curve of X25519 has u = (1 + y) / (1 - y); y = 1 goes to 0 as well.)
    y = int.from_bytes(point, "little") % 2**255
    return y < P and any(x25519(bytes(32), u(256, (1 + y) * pow(1 - y, P - 2, P) % P)))


def verify(key: bytes, signature: bytes, digest: bytes) -> bool:
    # | an identity key and the first half of a signature are such points, or nothing verifies
    if len(signature) != 64 or not point_is_good(key) or not point_is_good(signature[:32]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, digest)
        return True
    except InvalidSignature:
        return False


def signature_size(p: Params) -> int:
    # | signature (♦ 64, else 0 bytes)
    return 64 if p.adversary == ACTIVE else 0


def advertisement_digest(p: Params, session_ctx: bytes, who: int, seal_key: bytes, mask_key: bytes) -> bytes:
    # | H(`advertisement-signature`, session_ctx, u64 id, seal_key, mask_key)
    return H(p.suite, "advertisement-signature", session_ctx, u(64, who), seal_key, mask_key)


def consistency_digest(c: Context, survivors: bytes, total: int) -> bytes:
    # | H(`consistency-signature`, task_ctx, roster_hash, survivors, u32 total)
    return H(c.p.suite, "consistency-signature", c.task_ctx, c.roster_hash, survivors, u(32, total))


# -------------------------------------------------------------------------------------- Keystream, masks, packing
def keystream(suite: int, seed: bytes, length: int) -> bytes:
    # | suite 1: AES-128-CTR with key = bytes 0–15 and initial counter = bytes 16–31, big-endian, counting mod 2¹²⁸
    if suite == AES128_CTR:
        return Cipher(algorithms.AES(seed[:16]), modes.CTR(seed[16:])).encryptor().update(bytes(length))
    # | suite 2: ChaCha20 (RFC 8439) with the 32-byte key, zero nonce, zero counter
    return Cipher(algorithms.ChaCha20(seed, bytes(16)), mode=None).encryptor().update(bytes(length))


def mask(p: Params, seed: bytes) -> list[int]:
    # | Words have 8, 16, 32 or 64 bits, the fewest that hold m; word i is at byte i·(word bytes), little-endian;
    # | its low m bits count.
    size = next(size for size in (1, 2, 4, 8) if p.modulus_bits <= 8 * size)
    stream = keystream(p.suite, seed, p.vector_length * size)
    return [int.from_bytes(w, "little") % 2**p.modulus_bits for w in records(stream, size)]


def add(p: Params, x: Sequence[int], y: Sequence[int], sign: int = 1) -> list[int]:
    need(len(x) == len(y) == p.vector_length, "vector length")
    return [(a + sign * b) % 2**p.modulus_bits for a, b in zip(x, y, strict=True)]


def pack(words: Sequence[int], m: int) -> bytes:
    # | word i of y is bits i·m … i·m + m − 1 of the vector, least significant bit first; spare bits of the last byte
    # | are zero. (Eight words are m bytes.)
    groups = [words[i : i + 8] for i in range(0, len(words), 8)]
    data = b"".join(u(8 * m, sum(word << m * i for i, word in enumerate(group))) for group in groups)
    return data[: -(-len(words) * m // 8)]


def unpack(data: bytes, m: int, length: int) -> list[int]:
    need(len(data) == -(-length * m // 8), "vector size")
    groups = [int.from_bytes(data[i : i + m], "little") for i in range(0, len(data), m)]
    words = [group >> m * i & 2**m - 1 for group in groups for i in range(8)]
    need(not any(words[length:]), "spare bits")
    return words[:length]


def self_mask_seed(c: Context, who: int, b: bytes) -> bytes:
    # | KDF(b, task_ctx, `self-mask`, u64 id)
    return KDF(c.p.suite, b, c.task_ctx, "self-mask", u(64, who))


def pairwise_seed(c: Context, mine: int, mask_private: bytes, theirs: int) -> bytes:
    # | s_uv = KDF(X25519(mask keys), task_ctx, `pairwise-mask`, u64 smaller id, u64 larger id,
    # | smaller id's mask_key, larger id's mask_key)
    low, high = c.by_id[min(mine, theirs)], c.by_id[max(mine, theirs)]
    secret = x25519(mask_private, c.by_id[theirs].mask_key)
    fields = u(64, low.id), u(64, high.id), low.mask_key, high.mask_key
    return KDF(c.p.suite, secret, c.task_ctx, "pairwise-mask", *fields)


# ------------------------------------------------------------------------------------------- Shares and seals
def coefficients(suite: int, seed: bytes, count: int) -> list[int]:
    # | The c are words of the keystream: u32, top bit cleared, a word equal to 2³¹ − 1 is skipped
    words: list[int] = []
    length = count
    while len(words) < count:
        length += 16
        low = [int.from_bytes(w, "little") % 2**31 for w in records(keystream(suite, seed, 4 * length), 4)]
        words = [w for w in low if w != Q]
    return words[:count]


def split(suite: int, secret: bytes, seed: bytes, t: int, xs: Iterable[int]) -> list[bytes]:
    # | the secret is a 256-bit little-endian integer in nine limbs of 30 bits, lowest first
    value = int.from_bytes(secret, "little")
    limbs = [value >> LIMB_BITS * i & 2**LIMB_BITS - 1 for i in range(LIMBS)]
    # | k ascending outside, ℓ ascending inside: c_{k,ℓ} is word 9·(k − 1) + ℓ
    c = coefficients(suite, seed, LIMBS * (t - 1))
    shares = []
    for x in xs:
        # | limb ℓ has the polynomial f_ℓ(x) = limb_ℓ + Σ_{k=1}^{t−1} c_{k,ℓ} x^k
        values = [0] * LIMBS
        for k in reversed(range(1, t)):
            values = [(f + c[LIMBS * (k - 1) + i]) * x % Q for i, f in enumerate(values)]
        values = [(f + limb) % Q for f, limb in zip(values, limbs, strict=True)]
        # | share = u32 x ‖ nine u32 limbs (40 bytes)
        shares.append(u(32, x) + b"".join(u(32, f) for f in values))
    return shares


def read_share(share: bytes) -> list[int]:
    return [int.from_bytes(w, "little") for w in records(share, 4)]


def reconstruct(shares: Sequence[bytes]) -> bytes:
    """Lagrange at 0, from exactly t shares."""
    points = [read_share(s) for s in shares]
    xs = [point[0] for point in points]
    need(len(set(xs)) == len(xs) > 0, "x not distinct")
    value = 0
    for limb in range(LIMBS):
        total = 0
        for x, point in zip(xs, points, strict=True):
            top = bottom = 1
            for other in xs:
                if other != x:
                    top, bottom = top * other % Q, bottom * (other - x) % Q
            total += point[1 + limb] * top * pow(bottom, -1, Q)
        need(total % Q < 2**LIMB_BITS, "limb")
        value |= total % Q << LIMB_BITS * limb
    need(value < 2**256, "secret")
    return u(256, value)


def share_commitment(c: Context, dealer: int, holder: int, kind: int, share: bytes) -> bytes:
    # | first 16 bytes of H(`share-commitment`, roster_ctx, u64 dealer, u64 holder, u8 kind, share)
    return H(c.p.suite, "share-commitment", c.roster_ctx, u(64, dealer), u(64, holder), u(8, kind), share)[:16]


def share_is_good(c: Context, dealer: int, holder: int, kind: int, share: bytes, commitment: bytes) -> bool:
    # | whose x is not the client's own, a limb that is not below 2³¹ − 1, or a share that does not match its commitment
    x, *limbs = read_share(share)
    matches = share_commitment(c, dealer, holder, kind, share) == commitment
    return x == c.by_id[holder].index + 1 and all(limb < Q for limb in limbs) and matches


def self_mask_commitment(c: Context, who: int, b: bytes) -> bytes:
    # | H(`self-mask-commitment`, roster_ctx, u64 id, b)
    return H(c.p.suite, "self-mask-commitment", c.roster_ctx, u(64, who), b)


def seal_key_and_data(c: Context, secret: bytes, sender: int, receiver: int) -> tuple[bytes, bytes]:
    # | key = KDF(X25519(seal keys), roster_ctx, `seal-key`, u64 sender, u64 receiver, sender's seal_key, receiver's
    # | seal_key) and associated data = frame(label(`seal-associated-data`), roster_ctx, u64 sender, u64 receiver)
    who = u(64, sender), u(64, receiver)
    keys = c.by_id[sender].seal_key, c.by_id[receiver].seal_key
    key = KDF(c.p.suite, secret, c.roster_ctx, "seal-key", *who, *keys)
    return key, frame(label(c.p.suite, "seal-associated-data"), c.roster_ctx, *who)


def seal(c: Context, sender: int, seal_private: bytes, receiver: int, nonce: bytes, plain: bytes) -> bytes:
    # | sealed = nonce (24) ‖ XChaCha20-Poly1305 of (share of kind 1 ‖ share of kind 2)
    key, data = seal_key_and_data(c, x25519(seal_private, c.by_id[receiver].seal_key), sender, receiver)
    return nonce + aead_encrypt(plain, data, nonce, key)


def open_seal(c: Context, sender: int, receiver: int, seal_private: bytes, sealed: bytes) -> bytes | None:
    key, data = seal_key_and_data(c, x25519(seal_private, c.by_id[sender].seal_key), sender, receiver)
    try:
        return aead_decrypt(sealed[24:], data, sealed[:24], key)
    except CryptoError:
        return None


# ------------------------------------------------------------------------------- Thresholds and the certificate
@dataclass(frozen=True)
class Policy:
    """What a client assumes and insists on."""

    corrupt: Fraction = Fraction(0)  # γ
    dropout: Fraction = Fraction(0)  # δ
    security_bits: int = 40  # σ
    correctness_bits: int = 30  # η
    grinding_bits: int | None = None
    min_survivors: int = 0
    joins_below: bool = False  # to reach what is refused later all the same

    def assumed_corrupt(self, p: Params) -> int:
        # | A = ⌈γ · cohort_size⌉ clients are corrupt; they do not vanish, so A stays where the roster is smaller.
        return ceil(self.corrupt * p.cohort_size)

    def grinding(self, p: Params) -> int:
        # | Under ACTIVE a server that tries many rosters is paid for with `grinding_bits` (64 unless the policy says
        # | otherwise; 0 under HONEST_BUT_CURIOUS unless it says so).
        if self.grinding_bits is not None:
            return self.grinding_bits
        return 64 if p.adversary == ACTIVE else 0


def at_least(least: int, population: int, marked: int, sample: int) -> Fraction:
    """The probability that a sample without replacement holds so many of the marked."""
    marked = min(marked, population)
    ways = sum(comb(marked, i) * comb(population - marked, sample - i) for i in range(max(least, 0), sample + 1))
    return Fraction(ways, comb(population, sample))


def both_at_least(least: int, population: int, marked: int, sample: int) -> Fraction:
    """The same of two disjoint samples of one size."""
    marked, held = min(marked, population), range(max(least, 0), sample + 1)
    ways = sum(
        comb(sample, i) * comb(sample, j) * comb(population - 2 * sample, marked - i - j)
        for i in held
        for j in held
        if i + j <= marked
    )
    return Fraction(ways, comb(population, marked))


def unconnected(size: int, k: int, gone: int) -> Fraction:
    # | |roster| (|roster| − k − 1)/2 · (A + D)! (|roster| − k)! / (|roster|! (A + D − k)!), zero if k > A + D
    if k > gone:
        return Fraction(0)
    pairs, f = Fraction(size * (size - k - 1), 2), factorial
    return pairs * Fraction(f(gone) * f(size - k), f(size) * f(gone - k))


def secure(p: Params, policy: Policy, size: int) -> Fraction:
    """What is allowed to either condition of security."""
    # | In a roster of k + 1 or fewer the order does not matter (no grinding)
    grinding = 0 if degree(p, size) == size - 1 else policy.grinding(p)
    return Fraction(1, 2 ** (policy.security_bits + 1 + grinding))


def proved_survivors(p: Params, policy: Policy, size: int) -> int:
    # | The proved minimum of survivors is ♦ ⌊(|roster| + A)/2⌋ + 1, and in HONEST_BUT_CURIOUS the fewest for which
    # | connected holds with A + (|roster| − survivors) in place of A + D; in either at least t + 1.
    if p.adversary == ACTIVE:
        return max((size + policy.assumed_corrupt(p)) // 2 + 1, p.threshold + 1)
    return max(connected_survivors(p, policy, size), p.threshold + 1)


def certificate(p: Params, policy: Policy, size: int) -> dict[str, tuple[Fraction, Fraction]]:
    """Of each condition for a roster of this size: what bounds its probability, and what is allowed."""
    # | h = k/2; D = ⌈δ · cohort_size⌉ less those who never advertised, not below 0
    k, t, corrupt = degree(p, size), p.threshold, policy.assumed_corrupt(p)
    h, dropped = k // 2, max(ceil(policy.dropout * p.cohort_size) - (p.cohort_size - size), 0)
    ground = secure(p, policy, size)
    if p.adversary == HONEST_BUT_CURIOUS:
        cut, opening = {"connected": (unconnected(size, k, corrupt + dropped), ground)}, t
    else:
        # | |roster|²/2 · P[two disjoint runs of h clients on the ring hold at least w = t − h corrupt ones each]
        complete = k == size - 1  # nothing cuts a graph that has all edges
        risk = 0 if complete else Fraction(size**2, 2) * both_at_least(t - h, size, corrupt, h)
        # | P[a neighbourhood holds at least c corrupt ones], with c = t in HONEST_BUT_CURIOUS and c = 2t − k in ACTIVE
        cut, opening = {"uncuttable": (Fraction(risk), ground)}, 2 * t - k
    # | and |roster| − D is at least the proved minimum of survivors
    stuck = size * at_least(k - t + 1, size, dropped, k)
    if size - dropped < proved_survivors(p, policy, size):
        stuck = Fraction(1)
    return cut | {
        "private": (size * at_least(opening, size, corrupt, k), ground),
        # | |roster| · P[fewer than t of a neighbourhood stay] ≤ 2^−η
        "alive": (Fraction(stuck), Fraction(1, 2**policy.correctness_bits)),
    }


def connected_survivors(p: Params, policy: Policy, size: int) -> int:
    """The fewest survivors for which *connected* holds; 0 where it is not asked for."""
    if sees_all(p):
        return 0
    k, corrupt, allowed = degree(p, size), policy.assumed_corrupt(p), secure(p, policy, size)
    # Who is no survivor has vanished.
    fewest = (s for s in range(size + 1) if unconnected(size, k, corrupt + size - s) <= allowed)
    return next(fewest, size)


def check_graph(p: Params, policy: Policy, size: int) -> None:
    # | and the threshold, or in a sparse graph the certificate (below), holds for total clients by its own policy
    if sparse(p):
        # | it refuses what does not hold,
        for name, (risk, allowed) in certificate(p, policy, size).items():
            need(risk <= allowed, name)
        return
    # | A client refuses less than: ACTIVE 2t > |N| + A; HONEST_BUT_CURIOUS t > A.
    corrupt = policy.assumed_corrupt(p)
    need(2 * p.threshold > size - 1 + corrupt if p.adversary == ACTIVE else p.threshold > corrupt, "threshold")


# ----------------------------------------------------------------------------------------------------- Client
@dataclass
class Client:
    """One honest client; each method reads what the server sent and returns the answer."""

    p: Params
    session_id: bytes
    model_digest: bytes
    policy: Policy
    identities: Mapping[int, bytes]  # the identity key that its policy gives for each id
    id: int
    identity_seed: bytes
    vector: Sequence[int]
    advertise_rand: bytes
    share_rand: bytes
    shares: dict[tuple[int, int], bytes] = field(default_factory=dict)  # by dealer and kind

    def read(self, code: int, data: bytes) -> list:
        return read_message(self.p, self.session_id, code, data)

    def write(self, code: int, *fields: int | bytes) -> bytes:
        return message(self.p, self.session_id, code, *fields)

    def advertise_keys(self, invitation: bytes) -> bytes:
        (offered,) = self.read(INVITATION, invitation)
        need(decode_params(offered) == self.p, "params")
        # | params are within its own policy
        check_graph(self.p, self.policy, self.p.cohort_size)
        # | and a min_survivors below ♦ ⌊(cohort_size + A)/2⌋ + 1, or in HONEST_BUT_CURIOUS below the fewest survivors
        # | for which *connected* holds.
        needed = connected_survivors(self.p, self.policy, self.p.cohort_size)
        if sparse(self.p) and self.p.adversary == ACTIVE:
            needed = (self.p.cohort_size + self.policy.assumed_corrupt(self.p)) // 2 + 1
        # | Nor does a client join where its own minimum is above the offered one.
        own = 0 if self.policy.joins_below else self.policy.min_survivors
        need(self.p.min_survivors >= max(needed, own), "min_survivors")
        # | Advertise: `rand` = seal private key (32) ‖ mask private key (32).
        self.seal_private, self.mask_private = self.advertise_rand[:32], self.advertise_rand[32:64]
        self.keys = x25519(self.seal_private), x25519(self.mask_private)
        # | ♦ signature = Ed25519 by its long-term identity key over H(`advertisement-signature`, …)
        digest = advertisement_digest(self.p, session_context(self.p, self.session_id), self.id, *self.keys)
        self.signature = sign(self.identity_seed, digest)[: signature_size(self.p)]
        return self.write(ADVERTISE_KEYS, *self.keys, self.signature)

    def check_roster(self, roster: list[Entry], total: int) -> None:
        ids, keys = [e.id for e in roster], [k for e in roster for k in (e.seal_key, e.mask_key)]
        indices = [e.index for e in roster]
        # | total is at most cohort_size and t ≤ k'
        need(total <= self.p.cohort_size and self.p.threshold <= degree(self.p, total), "roster total")
        # | as many as it should see (|roster|, or k' + 1)
        need(len(roster) == (total if sees_all(self.p) else degree(self.p, total) + 1), "entries")
        # | ids strictly ascending; index = rank, or, where it sees a part, strictly ascending and below total
        need(ids == sorted(set(ids)), "ids")
        ascending = indices == sorted(set(indices)) and max(indices) < total
        need(ascending if not sees_all(self.p) else indices == list(range(total)), "indices")
        # | its own entry is there once and byte-equal
        need(any(e == Entry(self.id, e.index, *self.keys, self.signature) for e in roster), "own entry")
        # | all keys of both kinds are pairwise distinct
        need(len(set(keys)) == len(keys) and all(map(key_is_good, keys)), "keys")
        # | ♦ every signature verifies under the identity key that its own policy gives for that id, and these identity
        # | keys are pairwise distinct
        if self.p.adversary == ACTIVE:
            need(len({self.identities.get(i) for i in ids} - {None}) == len(ids), "identity keys")
            for e in roster:
                ctx = session_context(self.p, self.session_id)
                digest = advertisement_digest(self.p, ctx, e.id, e.seal_key, e.mask_key)
                need(verify(self.identities[e.id], e.signature, digest), "advertisement signature")
        check_graph(self.p, self.policy, total)

    def share_keys(self, key_roster: bytes) -> bytes:
        entries, self.total = self.read(KEY_ROSTER, key_roster)
        # | A body longer than its type and the parameters allow is refused before it is parsed.
        most = self.p.cohort_size if sees_all(self.p) else self.p.neighbours + 1
        need(len(entries) <= most * entry_size(self.p), "length")
        roster = decode_entries(self.p, entries)
        self.check_roster(roster, self.total)
        # | A client also refuses fewer survivors than those for which this holds.
        proved = connected_survivors(self.p, self.policy, self.total)
        self.fewest = max(self.p.min_survivors, self.policy.min_survivors, proved)
        centre = None if sees_all(self.p) else self.id
        c = self.c = Context(self.p, self.session_id, self.model_digest, roster, centre)
        # | Share: `rand` = b (32) ‖ polynomial seed of kind 1 (32) ‖ of kind 2 (32) ‖ a nonce (24) for each neighbour
        neighbours = c.neighbours(self.id)
        need(len(self.share_rand) >= 96 + 24 * len(neighbours), "share rand is too short")
        self.b, seed1, seed2 = records(self.share_rand[:96], 32)
        nonces = records(self.share_rand[96 : 96 + 24 * len(neighbours)], 24)
        # | x = roster index of the holder + 1
        xs = [c.by_id[v].index + 1 for v in neighbours]
        shares1 = split(self.p.suite, self.mask_private, seed1, self.p.threshold, xs)
        shares2 = split(self.p.suite, self.b, seed2, self.p.threshold, xs)
        # | `table` = for each neighbour v, ascending: sealed (120) ‖ commitment to v's share of kind 1 (16) ‖ of kind 2
        table = b""
        for v, nonce, share1, share2 in zip(neighbours, nonces, shares1, shares2, strict=True):
            table += seal(c, self.id, self.seal_private, v, nonce, share1 + share2)
            table += share_commitment(c, self.id, v, MASK_KEY, share1)
            table += share_commitment(c, self.id, v, SELF_MASK, share2)
        return self.write(SHARE_KEYS, table, self_mask_commitment(c, self.id, self.b))

    def masked_input(self, share_delivery: bytes) -> bytes:
        c, (dealers, table) = self.c, self.read(SHARE_DELIVERY, share_delivery)
        # | The client refuses unless u ∈ U2 and |V_u| ≥ t. It is told U2 and derives V_u = U2 ∩ N(u)
        self.u2 = c.from_bitmap(dealers, self.id)
        self.peers = [v for v in c.neighbours(self.id) if v in self.u2]
        need(self.id in self.u2 and len(self.peers) >= self.p.threshold, "dealers")
        c.fix_dealers(self.u2)
        need(len(table) == 152 * len(self.peers), "delivery")
        # | neither aborts nor shrinks V_u: the client masks with that peer all the same, keeps no share of it and lists
        # | it in `unopened`
        unopened = []
        for v, r in zip(self.peers, records(table, 152), strict=True):
            plain = open_seal(c, v, self.id, self.seal_private, r[:120])
            pairs = [] if plain is None else [(MASK_KEY, plain[:40], r[120:136]), (SELF_MASK, plain[40:], r[136:])]
            if pairs and all(share_is_good(c, v, self.id, *pair) for pair in pairs):
                self.shares |= {(v, kind): share for kind, share, _ in pairs}
            else:
                unopened.append(v)
        # | y = x + PRG(KDF(b, task_ctx, `self-mask`, u64 id)) + Σ_{v ∈ V_u} ±PRG(s_uv) mod 2^m, with + where u has the
        # | smaller id
        y = add(self.p, self.vector, mask(self.p, self_mask_seed(c, self.id, self.b)))
        for v in self.peers:
            seed = pairwise_seed(c, self.id, self.mask_private, v)
            y = add(self.p, y, mask(self.p, seed), 1 if self.id < v else -1)
        packed = pack(y, self.p.modulus_bits)
        return self.write(MASKED_INPUT, packed, c.to_bitmap(unopened, self.id), task_digest(self.p, c.task_ctx))

    def consistency(self, survivor_set: bytes) -> bytes:
        """Return the signature; nothing is sent, and b"" returned, unless ACTIVE."""
        survivors, total = self.read(SURVIVOR_SET, survivor_set)
        self.u3 = self.c.from_bitmap(survivors, self.id)
        # | The client refuses U3 unless u ∈ U3; U3 ⊆ U2; |U3 ∩ N(u)| ≥ t
        near = set(self.u3) & set(self.c.neighbours(self.id))
        need(self.id in self.u3 and set(self.u3) <= set(self.u2) and len(near) >= self.p.threshold, "survivors")
        # | |U3| = total (where it sees a part: total lies between what it sees of U3 and that plus what it does not see
        # | of the roster)
        unseen = self.total - len(self.c.roster)
        need(len(self.u3) <= total <= len(self.u3) + unseen, "survivor total")
        # | total, less those of U3 ∩ N(u) *whose seal did not open*, is at least its minimum of survivors
        self.opened = {v for v, _ in self.shares} & near
        need(total - len(near - self.opened) >= self.fewest, "too few survivors whose seal opened")
        if self.p.adversary != ACTIVE:
            return b""
        self.signed = consistency_digest(self.c, self.c.to_bitmap(self.u3), total)
        return self.write(CONSISTENCY_SIGNATURE, sign(self.identity_seed, self.signed))

    def unmask(self, request: bytes) -> bytes:
        """Return the shares; the request is b"", and not looked at, unless ACTIVE."""
        if self.p.adversary == ACTIVE:
            signers_bitmap, table = self.read(UNMASKING_REQUEST, request)
            # | ♦ The client refuses the request unless signers ⊆ U3, every signature verifies over exactly the tuple
            # | that it signed itself, for every j ∈ V_u ∪ {u} at least t members of N(j) signed
            signers, signatures = self.c.from_bitmap(signers_bitmap), records(table, 64)
            need(set(signers) <= set(self.u3) and len(signatures) == len(signers), "signers")
            for v, signature in zip(signers, signatures, strict=True):
                need(verify(self.identities[v], signature, self.signed), "consistency signature")
            for j in (*self.peers, self.id):
                need(len(set(signers) & set(self.c.neighbours(j))) >= self.p.threshold, "too few signers")
            # | with its own at least ⌊(|roster| + A)/2⌋ + 1 of the roster signed
            signed, corrupt = {*signers, self.id}, self.policy.assumed_corrupt(self.p)
            need(len(signed) >= (self.total + corrupt) // 2 + 1, "no majority signed")
            # | and those of U3 that signed or whose seal opened are, with u itself, at least its minimum of survivors
            need(len(signed | self.opened) >= self.fewest, "too few survivors that signed or whose seal opened")
        # | for each v ∈ V_u that is not unopened, ascending, the 40-byte share: of b_v if v ∈ U3, else of v's mask
        # | private key
        kinds = {v: SELF_MASK if v in self.u3 else MASK_KEY for v in self.peers}
        return self.write(UNMASKING_SHARES, b"".join(self.shares.get((v, k), b"") for v, k in kinds.items()))


# ------------------------------------------------------------------------------------ Server and whole session
class Session(NamedTuple):
    messages: dict[tuple[str, str, int], bytes]  # by (stage, DOWN or UP, id), in the order in which they were sent
    aggregate: list[int]
    survivors: list[int]  # U3, ascending


ClientInput = tuple[bytes, Sequence[int], bytes, bytes]  # identity seed, vector, advertise rand, share rand
Records = Mapping[tuple[int, int], bytes]  # the 152-byte records of the share tables, by dealer and holder


def sharers(c: Context, sent: Iterable[int]) -> list[int]:
    # | The server drops whoever sent nothing, and repeatedly whoever has |U2 ∩ N(u)| < t.
    u2 = sorted(sent)
    while (kept := [i for i in u2 if len(set(u2) & set(c.neighbours(i))) >= c.p.threshold]) != u2:
        u2 = kept
    return u2


def close(c: Context, answered: Iterable[int], enough: int, u2: Iterable[int] = ()) -> None:
    # | A round closes if enough answered, and in every neighbourhood of U2 at least t from round 2 on
    there = set(answered)
    need(len(there) >= enough, "too few clients")
    for j in u2:
        need(len(there & set(c.neighbours(j))) >= c.p.threshold, "too few in a neighbourhood")


def delivery(c: Context, u2: Sequence[int], table: Records, who: int) -> tuple[bytes, bytes]:
    # | To each u it delivers `dealers` = U2, as far as u sees, and `table` = for each v ∈ U2 ∩ N(u), ascending, the
    # | 152-byte record addressed to u.
    return c.to_bitmap(u2, who), b"".join(table[v, who] for v in c.neighbours(who) if v in u2)


def valid_shares(
    c: Context,
    u2: Sequence[int],
    u3: Sequence[int],
    table: Records,
    unopened: Mapping[int, Sequence[int]],
    answers: Mapping[int, bytes],
) -> dict[int, list[bytes]]:
    """For each dealer of U2 the valid shares that came back, in roster order of their holders."""
    valid: dict[int, list[bytes]] = {v: [] for v in u2}
    for holder, answer in sorted(answers.items()):
        dealers = [v for v in u2 if v in c.neighbours(holder) and v not in unopened[holder]]
        need(len(answer) == 40 * len(dealers), "unmasking shares")
        for v, share in zip(dealers, records(answer, 40), strict=True):
            # | The server checks each share against its commitment
            kind, commitment = (SELF_MASK, slice(136, 152)) if v in u3 else (MASK_KEY, slice(120, 136))
            if share_is_good(c, v, holder, kind, share, table[v, holder][commitment]):
                valid[v].append(share)
    return valid


def remove_masks(
    c: Context, total: list[int], u3: Sequence[int], commitments: Mapping[int, bytes], valid: Mapping[int, list[bytes]]
) -> list[int]:
    # | rebuilds b of U3 and the mask keys of U2 \ U3, checks them against self_mask_commitment and the roster, and
    # | removes the masks.
    for v, shares in valid.items():
        need(len(shares) >= c.p.threshold, f"too few shares of {v}")
        secret = reconstruct(shares[: c.p.threshold])
        if v in u3:
            need(self_mask_commitment(c, v, secret) == commitments[v], "rebuilt b")
            total = add(c.p, total, mask(c.p, self_mask_seed(c, v, secret)), -1)
        else:
            need(x25519(secret) == c.by_id[v].mask_key, "rebuilt mask key")
            for w in set(u3) & set(c.neighbours(v)):  # w added the mask that they share where w has the smaller id
                total = add(c.p, total, mask(c.p, pairwise_seed(c, v, secret, w)), -1 if w < v else 1)
    return total


def run_session(
    params: Params,
    session_id: bytes,
    model_digest: bytes,
    clients: Mapping[int, ClientInput],
    dropouts: Mapping[str, Iterable[int]] | None = None,
    on_wire: Callable[[tuple[str, str, int], bytes], bytes] | None = None,
    policy: Policy | None = None,
) -> Session:
    """Run everyone. Who is named under a stage answers neither it nor a later one; `on_wire` may alter a message."""
    p, gone = params, {stage: set(ids) for stage, ids in (dropouts or {}).items()}
    need(set(gone) <= set(STAGES) and len(session_id) == 16 and len(model_digest) == 32, "arguments")
    check_bounds(p)
    need(len(clients) == p.cohort_size, "clients")
    same = p, session_id, model_digest, policy or Policy()
    identities = {i: identity_key(clients[i][0]) for i in clients}
    people = {i: Client(*same, identities, i, *clients[i]) for i in sorted(clients)}
    messages: dict[tuple[str, str, int], bytes] = {}

    def carry(stage: str, direction: str, who: int, data: bytes) -> bytes:
        key = (stage, direction, who)
        if data:  # b"" stands for no message at all
            messages[key] = data = on_wire(key, data) if on_wire else data
        return data

    def write(code: int, *fields: int | bytes) -> bytes:
        return message(p, session_id, code, *fields)

    def ask(
        stage: str, code: int, answer: Callable[[Client, bytes], bytes], down: Mapping[int, bytes]
    ) -> dict[int, list]:
        """Send to everyone, then hear whoever is still there: the fields of their messages."""
        asked = {i: carry(stage, DOWN, i, data) for i, data in down.items()}
        made = {i: answer(people[i], data) for i, data in asked.items() if i not in gone.get(stage, ())}
        heard = {i: carry(stage, UP, i, data) for i, data in made.items()}
        return {i: read_message(p, session_id, code, data) if data else [] for i, data in heard.items()}

    # | 0 advertise keys
    invitation = write(INVITATION, encode_params(p))
    u1 = ask("advertise_keys", ADVERTISE_KEYS, Client.advertise_keys, dict.fromkeys(people, invitation))
    c = Context(p, session_id, model_digest, [Entry(i, index, *u1[i]) for index, i in enumerate(u1)])
    # | min_survivors (at least t + 1) in rounds 0 to 2
    close(c, u1, p.min_survivors)

    # | 1 share keys. The KeyRoster: entries that it sees, total
    rosters = {i: encode_entries([c.by_id[v] for v in c.seen(i)]) for i in u1}
    key_rosters = {i: write(KEY_ROSTER, entries, len(u1)) for i, entries in rosters.items()}
    sent = ask("share_keys", SHARE_KEYS, Client.share_keys, key_rosters)
    u2 = sharers(c, sent)
    close(c, u2, p.min_survivors)
    c.fix_dealers(u2)
    rows = {i: zip(c.neighbours(i), records(sent[i][0], 152), strict=True) for i in u2}
    table = {(i, v): record for i in u2 for v, record in rows[i]}

    # | 2 masked input
    deliveries = {i: write(SHARE_DELIVERY, *delivery(c, u2, table, i)) for i in u2}
    u3 = ask("masked_input", MASKED_INPUT, Client.masked_input, deliveries)
    close(c, u3, p.min_survivors, u2)
    total = [0] * p.vector_length
    unopened = {i: c.from_bitmap(fields[1], i) for i, fields in u3.items()}
    for i, (vector, _, digest) in u3.items():
        # | The server refuses an input whose task_digest is not its own, or whose `unopened` names anyone but V_u. It
        # | keeps one running sum.
        need(digest == task_digest(p, c.task_ctx), "task digest")
        need(set(unopened[i]) <= set(c.neighbours(i)) & set(u2), "unopened")
        total = add(p, total, unpack(vector, p.modulus_bits, p.vector_length))

    # | 3 consistency. HONEST_BUT_CURIOUS: the same checks, and round 4 follows at once.
    survivor_sets = {i: write(SURVIVOR_SET, c.to_bitmap(u3, i), len(u3)) for i in u3}
    u4 = ask("consistency", CONSISTENCY_SIGNATURE, Client.consistency, survivor_sets)

    # | 4 unmask. ♦ signers (bitmap), signatures (64 for each signer, in roster order)
    request = b""
    if p.adversary == ACTIVE:
        # | ♦ in round 3 t + 1 or in a sparse graph min_survivors
        close(c, u4, p.min_survivors if sparse(p) else p.threshold + 1, u2)
        request = write(UNMASKING_REQUEST, c.to_bitmap(u4), b"".join(signature for (signature,) in u4.values()))
    u5 = ask("unmask", UNMASKING_SHARES, Client.unmask, dict.fromkeys(u4, request))
    close(c, u5, 0, u2)
    valid = valid_shares(c, u2, list(u3), table, unopened, {i: answer for i, (answer,) in u5.items()})
    total = remove_masks(c, total, list(u3), {i: sent[i][1] for i in u2}, valid)
    return Session(messages, total, list(u3))
