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
from tests.vectors import by_package, lies
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
    "LyingServer": "One message of the server is replaced; `refused` names the rule that a party then finds broken.",
    "LowOrder": "A public key that makes every shared secret zero.",
    "NonCanonical": "A value that has another, canonical encoding, or none.",
    "NotCertified": "A risk is larger than is allowed; with one bit less of what is asked for it would not be.",
    "NotASecret": "The shares are consistent, and what they rebuild is no 256-bit integer.",
    "OutOfBounds": "A number is not among those that the protocol allows.",
    "OwnAbsence": "The dealer is among the responders and, as always, holds no share of its own secret.",
    "Sparse": "Not everyone is everyone's neighbour.",
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


def lie(vector: str, comment: str, given: Json, rule: str, *flags: str) -> Json:
    """A session in which the server sends something else than it should, and the rule by which a party refuses it."""
    try:
        outputs = by_package.session(given)
    except Refused as refused:
        if refused.args != (rule,):
            raise AssertionError(f"{vector} is refused by another rule: {refused.args}") from None
        return _record(vector, comment, "session", given, ("LyingServer", *flags), None) | {"refused": rule}
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
    neighbours: int = 0,
    min_survivors: int = 0,
    round_number: int = 7,
    application: bytes = b"vectors",
) -> Json:
    """Returns parameters over the complete graph, or over a sparse one where `neighbours` are given."""
    return {
        "suite": suite,
        "adversary": adversary,
        "cohort_size": cohort_size,
        "neighbours": neighbours or cohort_size - 1,
        "threshold": threshold,
        "min_survivors": max(min_survivors, threshold + 1),
        "vector_length": vector_length,
        "modulus_bits": modulus_bits,
        "round_number": u64(round_number),
        "application": application.hex(),
    }


# -------------------------------------------------------------------------------------------------- Parameters
_WIDTHS = {
    "suite": 1,
    "adversary": 1,
    "cohort_size": 4,
    "neighbours": 4,
    "threshold": 4,
    "min_survivors": 4,
    "vector_length": 8,
    "modulus_bits": 1,
}


def _encoded(given: Json) -> Json:
    """The bytes of parameters, which may be none."""
    numbers = b"".join(given[name].to_bytes(width, "little") for name, width in _WIDTHS.items())
    application = bytes.fromhex(given["application"])
    tail = bytes.fromhex(given["round_number"]) + len(application).to_bytes(2, "little") + application
    return {"encoded": (numbers + tail).hex()}


def parameters() -> Iterator[Json]:
    complete, sparse, unsigned = (
        params(1, 2, 9, 5, 4, 16),
        params(2, 2, 9, 4, 4, 16, neighbours=6),
        params(2, 1, 9, 4, 4, 16, neighbours=6),
    )
    sparse["min_survivors"] = 6
    good: list[tuple[str, str, Json]] = [
        ("complete", "The complete graph", complete),
        ("sparse", "A sparse graph", sparse),
        ("sparse-unsigned", "A sparse graph, honest but curious", unsigned),
        ("smallest", "Three clients", params(1, 1, 3, 2, 0, 1, round_number=0, application=b"")),
        ("smallest-signed", "Four clients", params(1, 2, 4, 2, 0, 1, round_number=0, application=b"")),
        ("complete-of-odd-degree", "The complete graph's degree may be odd", params(1, 2, 8, 4, 4, 16)),
        ("two-neighbours", "The sparsest graph", unsigned | {"neighbours": 2, "threshold": 1, "min_survivors": 2}),
        ("all-but-one-neighbour", "The densest sparse graph", sparse | _numbers(10, 8, 8, 10)),
        ("threshold-of-one", "In a sparse graph, honest but curious, t may be 1", unsigned | {"threshold": 1}),
        ("threshold-of-everyone", "t may be k", sparse | {"threshold": 6, "min_survivors": 7}),
        ("just-over-half-survive", "ACTIVE, a sparse graph", sparse | _numbers(10, 4, 3, 6)),
        ("few-survive", "In the complete graph, t + 1 are enough", complete | _numbers(9, 8, 5, 6)),
        ("few-survive-unsigned", "Honest but curious, t + 1 are enough", unsigned | _numbers(10, 4, 1, 2)),
        ("everyone-survives", "All clients have to survive", sparse | {"min_survivors": 9}),
        (
            "largest",
            "Every number as large as it may be",
            {name: 2 ** (8 * width) - 1 for name, width in _WIDTHS.items()}
            | {"suite": 2, "adversary": 2, "cohort_size": 2**20, "neighbours": 2**20 - 1, "threshold": 2**20 - 1}
            | {"min_survivors": 2**20, "vector_length": 2**32, "modulus_bits": 64, "round_number": u64(2**64 - 1)}
            | {"application": rand("params", "application", 1024).hex()},
        ),
    ]
    for name, comment, given in good:
        yield valid(f"params/{name}", comment, "params", _encoded(given), *_sparse_flag(given))
    bad: list[tuple[str, str, Json]] = [
        ("odd-neighbours", "An odd number of neighbours", sparse | {"neighbours": 5}),
        ("one-neighbour", "One neighbour", unsigned | {"neighbours": 1, "threshold": 1}),
        ("as-many-neighbours-as-clients", "k = n, which is odd", sparse | {"neighbours": 9, "threshold": 5}),
        ("as-many-neighbours-as-clients-even", "k = n, which is even", sparse | _numbers(10, 10, 6, 7)),
        ("more-neighbours-than-clients", "k > n", sparse | {"neighbours": 12, "threshold": 7, "min_survivors": 8}),
        ("zero-neighbours", "The complete graph is written out, not 0", complete | {"neighbours": 0}),
        ("zero-neighbours-low-threshold", "k = 0 and t = 1", unsigned | {"neighbours": 0, "threshold": 1}),
        ("threshold-of-half", "ACTIVE: t is more than half of k", sparse | {"threshold": 3}),
        ("threshold-of-half-complete", "As in the complete graph", complete | {"adversary": 1, "threshold": 4}),
        ("threshold-zero", "t is at least 1", unsigned | {"threshold": 0}),
        ("threshold-above-neighbours", "t is at most k", sparse | {"threshold": 7, "min_survivors": 8}),
        ("few-survivors", "min_survivors is more than t", sparse | {"threshold": 6, "min_survivors": 6}),
        ("half-survive", "ACTIVE, a sparse graph: more than half have to survive", sparse | _numbers(9, 4, 3, 4)),
        ("half-of-an-even-number-survive", "As above, exactly half", sparse | _numbers(10, 4, 3, 5)),
        ("many-survivors", "min_survivors is at most n", sparse | {"min_survivors": 10}),
        ("two-clients", "Three clients at least", complete | {"adversary": 1} | _numbers(2, 1, 1, 2)),
        ("three-clients-signed", "ACTIVE: four clients at least", complete | _numbers(3, 2, 2, 3)),
        ("many-clients", "2^20 clients at most", sparse | {"cohort_size": 2**20 + 1, "min_survivors": 2**20}),
        ("vector-length", "2^32 words at most", complete | {"vector_length": 2**32 + 1}),
        ("no-modulus", "A bit at least", complete | {"modulus_bits": 0}),
        ("modulus", "64 bits at most", complete | {"modulus_bits": 65}),
        ("suite", "No such suite", complete | {"suite": 3}),
        ("adversary", "No such model", complete | {"adversary": 0}),
        ("application", "1024 bytes at most", complete | {"application": bytes(1025).hex()}),
    ]
    for name, comment, given in bad:
        yield invalid(f"params/{name}", comment, "params", _encoded(given), "OutOfBounds")
    encoded = _encoded(sparse)["encoded"]
    for name, comment, text in (
        ("one-byte-short", "The application's last byte is missing", encoded[:-2]),
        ("one-byte-long", "A byte too many", encoded + "00"),
        ("without-application", "The length of the application is missing", encoded[: -2 * (len(b"vectors") + 2)]),
        ("without-neighbours", "No number of neighbours at all", encoded[:12] + encoded[20:]),
        ("empty", "No bytes", ""),
    ):
        yield invalid(f"params/{name}", comment, "params", {"encoded": text}, "WrongLength")


def _numbers(cohort_size: int, neighbours: int, threshold: int, min_survivors: int) -> Json:
    numbers = {"cohort_size": cohort_size, "neighbours": neighbours, "threshold": threshold}
    return numbers | {"min_survivors": min_survivors}


def _sparse_flag(given: Json) -> tuple[str, ...]:
    return ("Sparse",) if given["neighbours"] < given["cohort_size"] - 1 else ()


# ------------------------------------------------------------------------------------------------------- Graph
def graph() -> Iterator[Json]:
    for suite, name in SUITES.items():
        for size, neighbours in (
            (2, 1), (3, 2), (4, 2), (4, 3), (5, 2), (6, 5), (7, 6), (9, 4), (10, 8), (16, 6), (40, 12)
        ):  # fmt: skip
            vector = f"graph/{name}-{size}-clients-{neighbours}-neighbours"
            given = {
                "suite": suite,
                "seed": rand(vector, "seed", 32).hex(),
                "clients": size,
                "neighbours": neighbours,
            }
            comment = "The complete graph" if neighbours == size - 1 else "By roster index, ascending"
            flags = _sparse_flag({"neighbours": neighbours, "cohort_size": size})
            yield valid(vector, comment, "graph", given, *flags)
    yield from _certificates()


def _certificates() -> Iterator[Json]:
    """Each at the largest security and correctness for which everything holds, and one bit beyond either."""
    cases: tuple[tuple[str, str, int, int, int, int, int, str, str], ...] = (
        ("unsigned", "Honest but curious", 1, 30, 30, 10, 6, "0.2", "0.15"),
        ("unsigned-smaller-roster", "Two of those who may vanish never came", 1, 24, 22, 8, 5, "0.2", "0.25"),
        ("unsigned-low-threshold", "t is less than half of k", 1, 64, 60, 16, 6, "0.1", "0.25"),
        ("signed", "A lying server, which tries no second roster", 2, 150, 150, 24, 18, "0.1", "0.05"),
        ("signed-smaller-roster", "As many corrupt ones in a smaller roster", 2, 150, 145, 30, 22, "0.1", "0.1"),
        ("signed-few", "Few clients", 2, 64, 60, 10, 8, "0.1", "0.1"),
    )
    for name, comment, adversary, size, roster, neighbours, threshold, corrupt, dropout in cases:
        given = {
            "adversary": adversary,
            "cohort_size": size,
            "roster": roster,
            "neighbours": neighbours,
            "threshold": threshold,
            "corrupt": corrupt,
            "dropout": dropout,
            "security_bits": 1,
            "correctness_bits": 1,
            "grinding_bits": 0,
        }
        bits = ("security_bits", "correctness_bits")
        for which in bits:
            while all(by_package.certificate(given | {which: given[which] + 1}).values()):
                given[which] += 1
        vector = f"certificate/{name}"
        yield valid(vector, comment, "certificate", given, "Sparse")
        beyond = [*bits] + ["grinding_bits"] * (adversary == 2)
        for which in beyond:
            more = given | {which: given[which] + 1}
            yield valid(f"{vector}-{which.replace('_', '-')}", comment, "certificate", more, "Sparse", "NotCertified")


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
        ("sparse", "A sparse graph: everyone sees everyone", 2, 2, 11, 3, 9, {"neighbours": 4, "min_survivors": 6}),
        ("sparse-unsigned", "A sparse graph of which a client sees a part", 1, 1, 10, 7, 2, {"neighbours": 6}),
    ]
    for name, comment, suite, adversary, size, dealer, holder, changes in cases:
        vector = f"key_schedule/{name}"
        given = {
            "params": params(suite, adversary, size, changes.get("neighbours", size - 1), 16, 16, **changes),
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
            "dealers": [index for index in range(size) if index != size - 2],
            "survivors": [index for index in range(size) if index not in {1, size - 2}],
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
    # Under the neutral point, R = S B for any message: no secret is in it. OpenSSL takes it, libsodium does not.
    neutral, base = (1).to_bytes(32, "little"), bytes([0x58]) + bytes([0x66]) * 31
    by_nobody = base + (1).to_bytes(32, "little")
    comment = "A key of order 1 verifies what nobody signed"
    yield invalid("signature/small-order-key", comment, "signature", given(neutral, by=by_nobody), "LowOrder")
    comment = "Its second encoding, with y not reduced"
    unreduced = (2**255 - 18).to_bytes(32, "little")
    yield invalid("signature/non-canonical-key", comment, "signature", given(unreduced, by=by_nobody), "NonCanonical")


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
    for adversary, model in MODELS.items():
        yield from _sparse_sessions(adversary, f"session/sparse-{model}")
        yield from _lies(adversary, f"session/sparse-{model}")


def _sparse_sessions(adversary: int, name: str) -> Iterator[Json]:
    # Two of six neighbours may vanish, whoever they are, where t is 4.
    leaving: dict[tuple[int, int], dict[str, list[int]]] = {
        (1, 1): {"advertise_keys": [3], "masked_input": [1], "unmask": [6]},
        (1, 2): {"share_keys": [0], "consistency": [4]},
        (2, 1): {"share_keys": [2], "masked_input": [5]},
        (2, 2): {"advertise_keys": [8], "masked_input": [0], "unmask": [4]},
    }
    for suite, suite_name in SUITES.items():
        vector, dropouts = f"{name}-{suite_name}-dropouts", leaving[adversary, suite]
        given = _session(vector, _sparse(suite, adversary), dropouts)
        yield valid(vector, f"Clients leave at {', '.join(dropouts)}", "session", given, "Dropout", "Sparse")
    vector = f"{name}-two-neighbours"
    given = _session(vector, params(2, adversary, 7, adversary, 2, 16, neighbours=2, min_survivors=6))
    yield valid(vector, "The sparsest graph", "session", given, "Sparse")
    vector = f"{name}-few-advertise"
    given = _session(vector, _sparse(1, adversary, 8), {"advertise_keys": [1, 6]})
    yield valid(vector, "No more than k others advertise, an odd number", "session", given, "Dropout", "Sparse")
    vector = f"{name}-unopened-seal"
    given = _session(vector, params(2, adversary, 7, 3, 2, 16, neighbours=4, min_survivors=5))
    # Byte 5 of the nonce of the record to the dealer's third neighbour.
    change = {"stage": "share_keys", "direction": UP, "client": given["clients"][3]["id"], "at": 28 + 152 * 2 + 5}
    given["damage"] = [change | {"xor": 1}]
    yield valid(vector, "A client seals badly to one peer", "session", given, "Sparse", "UnopenedSeal")
    for stage in ("share_keys", "masked_input", "unmask"):
        vector = f"{name}-neighbourhood-too-small-at-{stage}"
        given = _session(vector, _sparse(1, adversary, 11))
        honest = _honest(given)
        given["dropouts"] = {stage: [u64(client) for client in honest.neighbours(honest.ids[0])[:3]]}
        comment = "Three of a client's six neighbours leave, and t is 4"
        yield invalid(vector, comment, "session", given, "Dropout", "Sparse", "TooFew")


def _lies(adversary: int, name: str) -> Iterator[Json]:
    honest = _honest(_session(f"{name}-lies", _sparse(adversary, adversary)))
    told = [*lies.roster_lies(honest), *lies.dealers_lies(honest), *lies.survivors_lies(honest)]
    gone = [honest.ids.index(lies.outsider(honest))]
    told.append(
        lies.outsider_lie(_honest(_session(f"{name}-lies", _sparse(adversary, adversary), {"share_keys": gone})))
    )
    if adversary == 2:
        parameters = params(1, 2, 13, 3, 1, 8, neighbours=4, min_survivors=7)
        told += lies.signers_lies(_honest(_session(f"{name}-signers", parameters)))
    for one in told:
        yield lie(f"{name}-{one.name}", one.comment, one.inputs, one.rule, "Sparse")


def _sparse(suite: int, adversary: int, size: int = 9) -> Json:
    return params(suite, adversary, size, 4, 2, 11 * suite, neighbours=6, min_survivors=6)


def _honest(given: Json) -> lies.Honest:
    return lies.Honest(by_package.session_params(given["params"]), given)


def _session(vector: str, parameters: Json, dropouts: dict[str, list[int]] | None = None) -> Json:
    size, length, bits = (parameters[field] for field in ("cohort_size", "vector_length", "modulus_bits"))
    nonces = 24 * parameters["neighbours"]
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
                "share_rand": rand(vector, f"share {client}", 96 + nonces).hex(),
            }
            for client in sorted(IDS[:size])
        ],
        "dropouts": {stage: [ids[place] for place in places] for stage, places in (dropouts or {}).items()},
        "damage": [],
    }


FILES: dict[str, Callable[[], Iterator[Json]]] = {
    "params": parameters,
    "graph": graph,
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
