"""Writes the vectors beside this file: `make vectors`.

Inputs come out of SHAKE-256 over the vector's id, outputs out of the package. The tests hold both the package
and the independent reference to what is written here, and this program to the files as committed.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from secagg import Identity
from tests.vectors import by_package
from tests.vectors.forms import STAGES, UP, Json, Refused, hex_of_words, u64

HERE = Path(__file__).parent
MODELS = {1: "honest-but-curious", 2: "active"}
SUITES = {1: "aes-128-ctr", 2: "chacha20"}
IDS = (0, 3, 255, 2**32 + 1, 2**53 + 1, 2**63, 2**64 - 1, 77, 1000, 1, 2**31, 2**40, 65536)
SHAMIR_PRIME = 2**31 - 1
X25519_PRIME = 2**255 - 19
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493

FLAGS = {
    "BadSignature": "A signature that must not verify.",
    "Dropout": "Clients leave; each is listed under the first stage that it does not answer.",
    "Keystream": "The counter or the skipping of words is at an edge.",
    "LowOrder": "A public key that makes every shared secret zero.",
    "NonCanonical": "A value that has another, canonical encoding, or none.",
    "NotASecret": "The shares are consistent, and what they rebuild is no 256-bit integer.",
    "OwnAbsence": "The dealer is among the responders and, as always, holds no share of its own secret.",
    "TooFew": "One client or one share less than the threshold needs.",
    "UnopenedSeal": "A record is damaged on its way: the receiver reports it and the session goes on.",
    "WrongLength": "Bytes are missing, or there are too many.",
}


def rand(vector: str, use: str, length: int) -> bytes:
    return hashlib.shake_256(f"{vector} {use}".encode()).digest(length)


def integer(vector: str, use: str) -> int:
    return int.from_bytes(rand(vector, use, 8), "little")


def vector_of_words(vector: str, use: str, length: int, modulus_bits: int) -> list[int]:
    stream = rand(vector, use, 8 * length)
    return [int.from_bytes(stream[at : at + 8], "little") % 2**modulus_bits for at in range(0, 8 * length, 8)]


def valid(vector: str, comment: str, operation: str, given: Json, *flags: str) -> Json:
    return _record(vector, comment, operation, given, flags, by_package.OPERATIONS[operation](given))


def invalid(vector: str, comment: str, operation: str, given: Json, *flags: str) -> Json:
    try:
        outputs = by_package.OPERATIONS[operation](given)
    except Refused:
        return _record(vector, comment, operation, given, flags, None)
    raise AssertionError(f"{vector} is accepted: {outputs}")


def _record(vector: str, comment: str, operation: str, given: Json, flags: Sequence[str], outputs: Json | None) -> Json:
    record = {"id": vector, "comment": comment, "result": "invalid" if outputs is None else "valid"}
    record |= {"flags": sorted(flags), "operation": operation, "inputs": given}
    return record if outputs is None else record | {"outputs": outputs}


def params(
    suite: int,
    adversary: int,
    cohort_size: int,
    threshold: int,
    vector_length: int,
    modulus_bits: int,
    *,
    min_survivors: int = 0,
    round_number: int = 7,
    application: bytes = b"vectors",
) -> Json:
    return {
        "suite": suite,
        "adversary": adversary,
        "cohort_size": cohort_size,
        "threshold": threshold,
        "min_survivors": max(min_survivors, threshold + 1),
        "vector_length": vector_length,
        "modulus_bits": modulus_bits,
        "round_number": u64(round_number),
        "application": application.hex(),
    }


# ------------------------------------------------------------------------------------------------ Key schedule
def key_schedule() -> Iterator[Json]:
    longest = {"round_number": 2**64 - 1, "application": rand("key_schedule", "application", 1024)}
    cases: list[tuple[str, str, int, int, int, int, int, dict[str, Any]]] = [
        ("4-clients", "The dealer has the smaller id", 1, 2, 4, 0, 1, {}),
        ("4-clients-back", "The dealer has the larger id", 1, 2, 4, 3, 2, {}),
        ("9-clients", "Bitmaps of two bytes", 2, 2, 9, 8, 0, {}),
        ("longest-params", "The largest round number and application", 1, 2, 4, 1, 3, longest),
        ("no-application", "No application and round 0", 2, 1, 5, 2, 4, {"round_number": 0, "application": b""}),
        ("unsigned", "No signatures", 1, 1, 3, 2, 0, {}),
    ]
    for name, comment, suite, adversary, size, dealer, holder, changes in cases:
        vector = f"key_schedule/{name}"
        given = {
            "params": params(suite, adversary, size, size - 1, 16, 16, **changes),
            "session_id": rand(vector, "session", 16).hex(),
            "model_digest": (bytes(32) if size == 3 else rand(vector, "model", 32)).hex(),
            "clients": [
                {
                    "id": u64(client),
                    "identity_seed": rand(vector, f"identity {client}", 32).hex(),
                    "seal_private": rand(vector, f"seal {client}", 32).hex(),
                    "mask_private": rand(vector, f"mask {client}", 32).hex(),
                }
                for client in sorted(IDS[:size])
            ],
            "dealer": dealer,
            "holder": holder,
            "self_mask_seed": rand(vector, "self-mask seed", 32).hex(),
            "mask_key_share": rand(vector, "share of kind 1", 40).hex(),
            "self_mask_share": rand(vector, "share of kind 2", 40).hex(),
            "nonce": rand(vector, "nonce", 24).hex(),
            "survivors": [index for index in range(size) if index != 1],
        }
        yield valid(vector, f"{comment} ({MODELS[adversary]}, {SUITES[suite]})", "key_schedule", given)
    yield from _public_keys()
    yield from _signatures()


def _public_keys() -> Iterator[Json]:
    def little(value: int) -> Json:
        return {"key": value.to_bytes(32, "little").hex()}

    yield valid("public_key/base-point", "The base point", "public_key", little(9))
    yield valid(
        "public_key/largest", "The largest canonical key of large order", "public_key", little(X25519_PRIME - 2)
    )
    order_8 = (
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
    for name, value in (
        ("zero", 0),
        ("one", 1),
        ("minus-one", X25519_PRIME - 1),
        ("order-8", order_8[0]),
        ("order-8-twin", order_8[1]),
    ):
        yield invalid(f"public_key/low-order-{name}", "A point of low order", "public_key", little(value), "LowOrder")
    for name, value in (
        ("prime", X25519_PRIME),
        ("prime-plus-one", X25519_PRIME + 1),
        ("base-point-plus-prime", X25519_PRIME + 9),
        ("high-bit", 9 + 2**255),
        ("all-ones", 2**256 - 1),
    ):
        comment = "Not below 2^255 - 19: other implementations would reduce it"
        yield invalid(f"public_key/non-canonical-{name}", comment, "public_key", little(value), "NonCanonical")


def _signatures() -> Iterator[Json]:
    identity, digest = Identity(rand("signature", "identity", 32)), rand("signature", "digest", 32)
    signed = identity.sign(digest)

    def given(key: bytes = identity.public_key, what: bytes = digest, by: bytes = signed) -> Json:
        return {"key": key.hex(), "digest": what.hex(), "signature": by.hex()}

    yield valid("signature/good", "A signature that verifies", "signature", given())
    flipped = bytes([signed[0] ^ 1]) + signed[1:]
    yield invalid("signature/flipped-r", "A bit of R is flipped", "signature", given(by=flipped), "BadSignature")
    flipped = signed[:32] + bytes([signed[32] ^ 1]) + signed[33:]
    yield invalid("signature/flipped-s", "A bit of S is flipped", "signature", given(by=flipped), "BadSignature")
    larger = (int.from_bytes(signed[32:], "little") + ED25519_ORDER).to_bytes(32, "little")
    comment = "S is larger by the group's order: the equation holds, and the signature is another one"
    yield invalid("signature/s-not-reduced", comment, "signature", given(by=signed[:32] + larger), "NonCanonical")
    other = rand("signature", "other digest", 32)
    yield invalid("signature/other-digest", "Over another digest", "signature", given(what=other), "BadSignature")
    stranger = Identity(rand("signature", "stranger", 32)).public_key
    yield invalid("signature/other-key", "By another identity", "signature", given(key=stranger), "BadSignature")


# ---------------------------------------------------------------------------------------------- Mask expansion
def mask_expansion() -> Iterator[Json]:
    for suite, name in SUITES.items():
        for bits in (1, 8, 13, 16, 31, 32, 33, 64):
            vector = f"expand/{name}-{bits}"
            yield valid(vector, f"{bits} bits", "expand", _expand(vector, suite, bits, 0, 40))
        # 64 bytes of keystream hold 64, 32, 16 or 8 words.
        for bits, first in ((5, 64), (13, 32 * 5), (24, 16 * 33), (64, 8 * 129)):
            vector = f"expand/{name}-{bits}-from-{first}"
            yield valid(vector, f"{bits} bits from word {first} on", "expand", _expand(vector, suite, bits, first, 20))
        vector = f"expand/{name}-empty"
        yield valid(vector, "No words at all", "expand", _expand(vector, suite, 16, 0, 0))
    key = rand("expand/counter", "key", 16)
    for counter, first, name in (
        (2**128 - 1, 0, "the-last-block"),
        (2**128 - 3, 0, "two-blocks-before"),
        (2**128 - 5, 16, "before-an-offset-that-passes-it"),
        (2**64 - 1, 0, "a-carry-into-the-upper-half"),
        (2**32 - 1, 0, "a-carry-out-of-32-bits"),
    ):
        given = _expand("", 1, 32, first, 24) | {"seed": (key + counter.to_bytes(16, "big")).hex()}
        comment = "The initial counter is near its end and counts modulo 2^128"
        yield valid(f"expand/counter-at-{name}", comment, "expand", given, "Keystream")


def _expand(vector: str, suite: int, bits: int, first: int, length: int) -> Json:
    seed = rand(vector, "seed", 32).hex()
    return {"suite": suite, "seed": seed, "modulus_bits": bits, "first_word": first, "length": length}


# ------------------------------------------------------------------------------------------------------ Shamir
def shamir() -> Iterator[Json]:
    for suite, name in SUITES.items():
        for threshold, points in (
            (1, [1]),
            (2, [2, 3, 4]),
            (4, [1, 2, 3, 5, 6, 7]),
            (5, [2**31 - 2, 1, 2**30, 9, 500]),
        ):
            vector = f"deal/{name}-{threshold}-of-{len(points)}"
            yield valid(vector, f"{threshold} of {len(points)}", "deal", _deal(vector, suite, threshold, points))
    for name, secret in (("zero", bytes(32)), ("all-ones", b"\xff" * 32)):
        given = _deal(f"deal/{name}", 1, 3, [1, 2, 4]) | {"secret": secret.hex()}
        yield valid(f"deal/{name}", "An extreme secret", "deal", given)
    yield from _skipped_words()
    yield from _rebuilding()
    yield from _shares()


def _deal(vector: str, suite: int, threshold: int, points: list[int]) -> Json:
    secret, seed = rand(vector, "secret", 32).hex(), rand(vector, "seed", 32).hex()
    return {"suite": suite, "secret": secret, "seed": seed, "threshold": threshold, "points": points}


def _skipped_words() -> Iterator[Json]:
    # AES can be turned round, so that a counter is found for any first block that one may want.
    for name, block, threshold in (
        ("first-word", "ffffff7f000000000100000002000000", 3),
        ("high-bit-set", "00000000ffffffff0100000002000000", 3),
        ("twice-running", "ffffff7fffffffff0100000002000000", 3),
        # 144 coefficients are nine blocks of 64 bytes to the byte: the skipped word costs a tenth one.
        ("past-the-last-whole-block", "01000000ffffff7f0100000002000000", 17),
    ):
        vector = f"deal/skip-{name}"
        points = list(range(1, threshold + 2))
        key = rand(vector, "key", 16)
        counter = Cipher(algorithms.AES(key), modes.ECB()).decryptor().update(bytes.fromhex(block))  # noqa: S305
        given = _deal(vector, 1, threshold, points) | {"seed": (key + counter).hex()}
        yield valid(vector, "A word equal to the prime, which is skipped", "deal", given, "Keystream")
    # Found by trying: word 77 of this seed's keystream is equal to the prime.
    given = _deal("deal/skip-chacha20", 2, 11, list(range(1, 13)))
    given["seed"] = rand("shamir/skip-chacha20", "seed 507086", 32).hex()
    yield valid("deal/skip-chacha20", "Word 77 is equal to the prime and skipped", "deal", given, "Keystream")


def _rebuilding() -> Iterator[Json]:
    vector, threshold = "rebuild", 4
    points = [1, 2, 3, 4, 6, 7, 8]  # the dealer is at 5
    dealt = by_package.deal(_deal(vector, 1, threshold, points))["shares"]
    by_point = dict(zip(points, dealt, strict=True))

    def given(responders: list[int], **changes: Any) -> Json:
        shares = [by_point.get(point, "") for point in responders]
        return {"threshold": threshold, "dealer": 5, "responders": responders, "shares": shares} | changes

    for name, responders, flags in (
        ("exactly-enough", [1, 2, 3, 4], ()),
        ("the-last-ones", [4, 6, 7, 8], ()),
        ("everybody", points, ()),
        ("in-another-order", [8, 1, 6, 3, 2], ()),
        ("with-the-dealer-absent", [1, 3, 5, 7, 8], ("OwnAbsence",)),
        ("dealer-first", [5, 1, 2, 3, 4, 6], ("OwnAbsence",)),
    ):
        yield valid(f"rebuild/{name}", f"Shares of the holders at {responders}", "rebuild", given(responders), *flags)
    shares = [by_point[point] if point in (1, 4, 6, 8) else "" for point in points]
    yield valid("rebuild/holes", "Some responders did not answer", "rebuild", given(points, shares=shares))
    comment = "One share less than the threshold"
    yield invalid("rebuild/too-few-shares", comment, "rebuild", given([2, 4, 7]), "TooFew")
    with_own = given([2, 4, 5, 7])
    comment = "One share less than the threshold: the dealer's own place does not count"
    yield invalid("rebuild/too-few-shares-and-the-dealer", comment, "rebuild", with_own, "TooFew", "OwnAbsence")
    yield invalid("rebuild/no-shares", "Nobody answered", "rebuild", given([], shares=[]), "TooFew")
    for name, limb, value in (
        ("limb-of-31-bits", 0, 2**30),
        ("limb-one-below-the-prime", 5, SHAMIR_PRIME - 1),
        ("secret-of-257-bits", 8, 2**16),
    ):
        limbs = [0] * 9
        limbs[limb] = value
        table = _shares_of_limbs(f"rebuild/{name}", limbs, threshold, points)
        comment = f"What is shared has {value} as limb {limb}"
        shared = given(points, shares=table)
        yield invalid(f"rebuild/not-a-secret-{name}", comment, "rebuild", shared, "NotASecret")


def _shares_of_limbs(vector: str, limbs: list[int], threshold: int, points: list[int]) -> list[str]:
    """Shares out limbs that no secret has: the polynomials by Horner's rule."""
    drawn = [[integer(vector, f"{k} {limb}") % SHAMIR_PRIME for limb in range(9)] for k in range(1, threshold)]
    shares = []
    for x in points:
        values = [0] * 9
        for row in reversed([limbs, *drawn]):
            values = [(value * x + c) % SHAMIR_PRIME for value, c in zip(values, row, strict=True)]
        shares.append(b"".join(word.to_bytes(4, "little") for word in (x, *values)).hex())
    return shares


def _shares() -> Iterator[Json]:
    def given(x: int, **limbs: int) -> Json:
        words = [limbs.get(f"limb_{place}", 1000 + place) for place in range(9)]
        share = b"".join(word.to_bytes(4, "little") for word in (x, *words))
        return {"dealer": 0, "holder": 2, "share": share.hex()}

    largest = given(3, **{f"limb_{place}": SHAMIR_PRIME - 1 for place in range(9)})
    yield valid("accept_share/good", "The holder's own x, which is its index + 1", "accept_share", given(3))
    yield valid("accept_share/largest-limbs", "Every limb as large as it may be", "accept_share", largest)
    for name, comment, share in (
        ("limb-equals-prime", "The first limb is the prime", given(3, limb_0=SHAMIR_PRIME)),
        ("limb-above-prime", "The fifth limb is the prime + 1", given(3, limb_4=SHAMIR_PRIME + 1)),
        ("last-limb-all-ones", "The last limb has 32 ones", given(3, limb_8=2**32 - 1)),
        ("x-zero", "x = 0 is where the secret lies", given(0)),
        ("x-of-another-holder", "x is that of the holder of index 1", given(2)),
        ("x-plus-prime", "x is the holder's, but not reduced", given(3 + SHAMIR_PRIME)),
    ):
        yield invalid(f"accept_share/{name}", comment, "accept_share", share, "NonCanonical")
    for name, size in (("short", 39), ("long", 41)):
        share = given(3)
        share["share"] = (share["share"] + "00")[: 2 * size]
        yield invalid(f"accept_share/{name}", f"{size} bytes", "accept_share", share, "WrongLength")


# ----------------------------------------------------------------------------------------------------- Packing
def packing() -> Iterator[Json]:
    for bits in (1, 2, 3, 7, 8, 9, 12, 13, 15, 16, 17, 24, 31, 32, 33, 40, 47, 48, 63, 64):
        for length in (1, 9):
            vector = f"pack/{bits}-bits-{length}-words"
            given = {"modulus_bits": bits, "words": hex_of_words(vector_of_words(vector, "words", length, bits))}
            yield valid(vector, f"{length} words of {bits} bits", "pack", given)
    for bits, length in ((1, 0), (13, 0), (13, 65), (31, 64), (33, 70), (5, 200)):
        vector = f"pack/{bits}-bits-{length}-words"
        given = {"modulus_bits": bits, "words": hex_of_words(vector_of_words(vector, "words", length, bits))}
        yield valid(vector, f"{length} words of {bits} bits", "pack", given)
    given = {"modulus_bits": 13, "words": hex_of_words([2**13 - 1] * 11)}
    yield valid("pack/all-ones", "Every word as large as it may be", "pack", given)

    def unpack(packed: str, bits: int, length: int) -> Json:
        return {"packed": packed, "modulus_bits": bits, "length": length}

    for bits, length in ((1, 3), (13, 5), (31, 7), (63, 1)):
        used = bits * length
        good = (int.from_bytes(rand(f"unpack/{bits}", "packed", -(-used // 8)), "little") % 2**used).to_bytes(
            -(-used // 8), "little"
        )
        yield valid(f"unpack/{bits}-bits", "Spare bits are zero", "unpack", unpack(good.hex(), bits, length))
        for name, bit in (("first", used % 8), ("last", 7)):
            bad = unpack((good[:-1] + bytes([good[-1] | 1 << bit])).hex(), bits, length)
            vector = f"unpack/{bits}-bits-{name}-spare-bit-set"
            yield invalid(vector, f"The {name} spare bit is set", "unpack", bad, "NonCanonical")
        short, long = unpack(good[:-1].hex(), bits, length), unpack(good.hex() + "00", bits, length)
        yield invalid(f"unpack/{bits}-bits-one-byte-short", "A byte is missing", "unpack", short, "WrongLength")
        yield invalid(f"unpack/{bits}-bits-one-byte-long", "A zero byte too many", "unpack", long, "WrongLength")
    yield invalid("unpack/no-words-one-byte", "A byte for no words", "unpack", unpack("00", 16, 0), "WrongLength")


# ---------------------------------------------------------------------------------------------------- Sessions
def session() -> Iterator[Json]:
    # As many as the threshold allows, in places that differ.
    leaving = {
        (1, 1): (7, {"masked_input": [1], "unmask": [6]}),
        (1, 2): (7, {"share_keys": [0], "consistency": [3]}),
        (2, 1): (7, {"advertise_keys": [2], "masked_input": [5]}),
        (2, 2): (
            13,
            {"advertise_keys": [12], "share_keys": [5], "masked_input": [1], "consistency": [3], "unmask": [2]},
        ),
    }
    for (adversary, suite), (size, dropouts) in leaving.items():
        name = f"session/{MODELS[adversary]}-{SUITES[suite]}"
        yield valid(name, "Nobody leaves", "session", _session(name, params(suite, adversary, 4, 2, 5, 13 * suite)))
        vector = f"{name}-dropouts"
        given = _session(
            vector, params(suite, adversary, size, (size - 1) // 2 + 1, 3, 64 if suite == 1 else 20), dropouts
        )
        yield valid(vector, f"Clients leave at {', '.join(dropouts)}", "session", given, "Dropout")
    for adversary, model in MODELS.items():
        vector = f"session/{model}-unopened-seal"
        given = _session(vector, params(2, adversary, 5, 3, 4, 16))
        # Byte 5 of the nonce of the record to client 1 in what client 3 sends: 28 bytes stand before the table.
        sender, receiver = given["clients"][3]["id"], 1
        given["damage"] = [
            {"stage": "share_keys", "direction": UP, "client": sender, "at": 28 + 152 * receiver + 5, "xor": 1}
        ]
        yield valid(vector, "A client seals badly to one peer", "session", given, "UnopenedSeal")
    given = _session("session/one-bit", params(1, 2, 4, 3, 9, 1, round_number=2**64 - 1, application=b""))
    yield valid("session/one-bit", "Words of one bit; everybody is needed", "session", given)
    given = _session("session/no-words", params(2, 1, 4, 2, 0, 8))
    yield valid("session/no-words", "An empty vector", "session", given)
    for stage in STAGES:
        vector = f"session/one-client-too-few-at-{stage}"
        given = _session(vector, params(1, 2, 4, 2, 2, 16), {stage: [0, 3]})
        yield invalid(vector, "One client less than the threshold needs", "session", given, "TooFew", "Dropout")
    vector = "session/below-min-survivors"
    given = _session(vector, params(1, 1, 5, 3, 2, 16, min_survivors=5), {"masked_input": [4]})
    yield invalid(
        vector, "The threshold is met, the minimum of survivors is not", "session", given, "TooFew", "Dropout"
    )


def _session(vector: str, parameters: Json, dropouts: dict[str, list[int]] | None = None) -> Json:
    size, length, bits = (parameters[field] for field in ("cohort_size", "vector_length", "modulus_bits"))
    ids = [u64(client) for client in sorted(IDS[:size])]
    return {
        "params": parameters,
        "session_id": rand(vector, "session", 16).hex(),
        "model_digest": rand(vector, "model", 32).hex(),
        "clients": [
            {
                "id": u64(client),
                "identity_seed": rand(vector, f"identity {client}", 32).hex(),
                "vector": hex_of_words(vector_of_words(vector, f"vector {client}", length, bits)),
                "advertise_rand": rand(vector, f"advertise {client}", 64).hex(),
                "share_rand": rand(vector, f"share {client}", 96 + 24 * (size - 1)).hex(),
            }
            for client in sorted(IDS[:size])
        ],
        "dropouts": {stage: [ids[place] for place in places] for stage, places in (dropouts or {}).items()},
        "damage": [],
    }


FILES: dict[str, Callable[[], Iterator[Json]]] = {
    "key_schedule": key_schedule,
    "mask_expansion": mask_expansion,
    "shamir": shamir,
    "packing": packing,
    "session": session,
}


def render(algorithm: str) -> str:
    """Returns the text of one file."""
    vectors = list(FILES[algorithm]())
    used = {flag for vector in vectors for flag in vector["flags"]}
    content = {
        "format": 1,
        "algorithm": f"secagg/1 {algorithm}",
        "encoding": "bytes in hex; ids, round numbers and words as little-endian u64 in hex, words one after another",
        "notes": {flag: FLAGS[flag] for flag in sorted(used)},
        "vectors": vectors,
    }
    return json.dumps(content, indent=1) + "\n"


def main() -> None:
    for algorithm in FILES:
        path = HERE / f"{algorithm}.json"
        text = render(algorithm)
        path.write_text(text)
        print(f"{path.name}: {len(text)} bytes")


if __name__ == "__main__":
    main()
