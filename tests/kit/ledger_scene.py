"""What tests of the ledger have in common: a header, rounds, and files with anything in them."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from dp.ledger.records import NO_HEAD, Header, Reserve, line_hash
from dp.ledger.signing import LedgerKey
from dp.ledger.writer import Ledger
from dp.vocabulary import Relation, Unit

KEY = LedgerKey(bytes(range(32)))

HEADER = Header(
    scope="ward 7, 2026",
    unit=Unit.CLIENT,
    relation=Relation.ZERO_OUT,
    delta=Fraction(1, 10**5),
    budget=Fraction(8),
    colluders=2,
)


def a_round(number: int, **changes: Any) -> Reserve:
    """Returns a round of 100 clients of whom 70 have to survive; about 0.9 of epsilon."""
    fields: dict[str, Any] = {
        "round": number,
        "session": number.to_bytes(16, "little"),
        "mechanism": "skellam",
        "invited": 100,
        "min_survivors": 70,
        "threshold": 51,
        "squared_norm_bound": 10**6,
        "l1_bound": 10**6,
        "dimension": 10**6,
        "modulus_bits": 24,
        "local_variance": Fraction(10**7, 20),
        "context": hashlib.sha256(b"context %d" % number).digest(),
        "roster": hashlib.sha256(b"roster %d" % number).digest(),
        "clip_norm": Fraction(0.1),
        "scale": Fraction(1234.5),
        "rounding": Fraction(0.6065306597126334),
    }
    return Reserve(**(fields | changes))


def a_ledger(path: Path, rounds: int = 3, key: LedgerKey | None = KEY, header: Header = HEADER) -> bytes:
    """Writes rounds, all settled, and a signed head if there is a key; returns the head."""
    with Ledger.create(path, replace(header, budget=Fraction(10**6)), key=key) as ledger:
        for number in range(1, rounds + 1):
            ledger.reserve(a_round(number))
            ledger.settle(number, 80 + number % 20)
        if key is not None:
            ledger.sign_head()
        return ledger.head


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def canonical(raw: dict[str, object]) -> bytes:
    """Returns the canonical line, by another route than the code under test."""
    return json.dumps(dict(sorted(raw.items())), separators=(",", ":"), sort_keys=True).encode() + b"\n"


def rechained(lines: Iterable[bytes]) -> bytes:
    """Returns the lines with every hash made anew, as somebody does who rewrites an unsigned ledger."""
    head, result = NO_HEAD, b""
    for place, line in enumerate(lines):
        raw = json.loads(line)
        if place or raw["previous"] != head.hex():
            raw["previous"] = head.hex()
        fresh = canonical(raw)
        head = line_hash(fresh)
        result += fresh
    return result


def changed(line: bytes, **fields: object) -> bytes:
    """Returns a line with other values."""
    return canonical(json.loads(line) | fields)
