"""The records of a ledger as types, and their canonical bytes.

A record is one line: a JSON object with sorted keys, without spaces, in ASCII, ended by one line feed. A record has one
such line and a line one record: whatever decodes to a record but is not its line is refused, so that nobody can change
a byte and keep the meaning. Each line but the header's holds, as `previous`, the SHA-256 of the whole line before it;
the hash of the last line is the ledger's *head*. A header holds the head of the file that it continues, or zeros.

`dp/ledger.schema.json` describes the same lines to other programs.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, NoReturn, TypeAlias

from dp.errors import InvalidParameterError
from dp.exact_json import SHA256_BYTES, Bytes, Codec, Integer, Member, Optional, Rational, SamplingCodec, Text
from dp.ledger.errors import BadRecordError, Fault
from dp.vocabulary import (
    DISCRETE_GAUSSIAN,
    DISTRIBUTED_DISCRETE_GAUSSIAN,
    GAUSSIAN,
    SKELLAM,
    Adversary,
    Relation,
    Sampling,
    Unit,
)

__all__ = [
    "CONTINUOUS",
    "EXACT_SAMPLER",
    "MAX_LINE_BYTES",
    "MECHANISM_VERSION",
    "NO_HEAD",
    "SCHEMA_VERSION",
    "Central",
    "Close",
    "Head",
    "Header",
    "Record",
    "Reserve",
    "Settle",
    "decode",
    "encode",
    "line_hash",
]

SCHEMA_VERSION: Final = 1
"""The version of the records' fields, and of how figures follow from them; a file of another version is refused."""

MAX_LINE_BYTES: Final = 1 << 14
"""No record is nearly as long; a longer line is refused unread."""

NO_HEAD: Final = bytes(SHA256_BYTES)
"""What a header that continues no file holds in the place of a head."""

MECHANISM_VERSION: Final = 1
"""The version of all mechanisms so far: another version would be another way of making the noise."""

EXACT_SAMPLER: Final = "exact/1"
"""The samplers of `dp.noise.samplers`: every sample is off by a total variation of 2**-100 at most."""

CONTINUOUS: Final = "continuous"
"""Gaussian noise as a real number: floating-point samplers only come near it, by how much nobody has shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first record: what the budget is for, and under which assumptions figures are computed.

    Args:
        scope: the budget's name: all releases about one population share it, over all files and programs.
        unit: whose privacy.
        relation: under which neighbours.
        delta: above 0 and below 1, exact.
        budget: the epsilon that must not be exceeded, exact.
        adversary: against whom.
        colluders: participants of a round whose noise the adversary knows and takes away.
        key: the Ed25519 public key that signs heads; None where nothing is signed.
    """

    scope: str
    unit: Unit
    relation: Relation
    delta: Fraction
    budget: Fraction
    adversary: Adversary = Adversary.PARTICIPANT
    colluders: int = 0
    key: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """A round that may be released from now on. Everything that its promised epsilon follows from is here.

    Args:
        round: above that of all earlier rounds.
        session: the id of the aggregation session.
        mechanism: "skellam" or "distributed-discrete-gaussian".
        mechanism_version: of it.
        sampling: how the invited were drawn; None where they were not drawn, but took part as they were there.
        invited: participants asked; all may add noise.
        min_survivors: below which no participant helps to release the sum.
        threshold: participants whose help a release needs.
        squared_norm_bound: B2: every participant's integer vector has at most this squared L2 norm.
        l1_bound: B1: and at most this L1 norm.
        dimension: of the vector, all coordinates with noise.
        modulus_bits: sums are taken modulo 2 to this.
        local_variance: the parameter of one participant's noise in one coordinate, exact.
        clip_bit_variance: the same for the one coordinate in {-1, +1} that adapts the clip norm; None without it.
        sampler: what drew the noise.
        context: the hash of the task that participants signed or masked for.
        roster: the hash of the roster.
        clip_norm: informative: the clip norm, the exact rational of a float.
        scale: informative: steps of the lattice for one unit of the vector.
        rounding: informative: the probability at which a rounding is redrawn.
        epsilon: this round's promise alone, as `dp.ledger.epsilon` rounds it; None if it is not finite.
    """

    round: int
    session: bytes
    mechanism: str
    mechanism_version: int = MECHANISM_VERSION
    sampling: Sampling | None = None
    invited: int
    min_survivors: int
    threshold: int
    squared_norm_bound: int
    l1_bound: int
    dimension: int
    modulus_bits: int
    local_variance: Fraction
    clip_bit_variance: Fraction | None = None
    sampler: str = EXACT_SAMPLER
    context: bytes
    roster: bytes
    clip_norm: Fraction | None = None
    scale: Fraction | None = None
    rounding: Fraction | None = None
    epsilon: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """What became of a reserved round: how many participants' vectors and noise are in the sum."""

    round: int
    survivors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Central:
    """Releases, all alike, to which one trusted party added Gaussian noise.

    Args:
        mechanism: "gaussian" or "discrete-gaussian".
        mechanism_version: of it.
        noise_multiplier: of "gaussian": the standard deviation over the L2 sensitivity, the exact rational of a float.
        variance: of "discrete-gaussian": its parameter on the integers, exact.
        squared_sensitivity: of "discrete-gaussian": on the integers, under the header's relation.
        dimension: of "discrete-gaussian": coordinates with noise.
        sampling: how the participants were drawn; None without amplification.
        count: how many such releases.
        sampler: what drew the noise.
        epsilon: these releases' promise alone, as in `Reserve`.
    """

    mechanism: str
    mechanism_version: int = MECHANISM_VERSION
    noise_multiplier: Fraction | None = None
    variance: Fraction | None = None
    squared_sensitivity: int | None = None
    dimension: int | None = None
    sampling: Sampling | None = None
    count: int = 1
    sampler: str = CONTINUOUS
    epsilon: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The signature over the hash of the record before: everything up to there is what the signer wrote."""

    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The last record of a file; signed as a head is, under another label, where the header has a key."""

    signature: bytes | None = None


Record: TypeAlias = Header | Reserve | Settle | Central | Head | Close

_HASH: Final = Bytes(SHA256_BYTES, SHA256_BYTES)
_COUNT: Final = Integer(1, 2**63)
_PEOPLE: Final = Integer(1, 2**32)
_POSITIVE: Final = Rational(positive=True)
_VARIANCE: Final = Rational(positive=True, low=Fraction(1, 2**80), high=Fraction(2**80))
"""What the samplers can make."""
_SIGNATURE: Final = Bytes(64, 64)
_VERSION: Final = Integer(MECHANISM_VERSION, MECHANISM_VERSION)
_SAMPLER: Final = Text(frozenset({EXACT_SAMPLER, CONTINUOUS}))

_KINDS: Final[Mapping[str, tuple[type[Any], Mapping[str, Codec]]]] = {
    "header": (
        Header,
        {
            "scope": Text(),
            "unit": Member(Unit),
            "relation": Member(Relation),
            "delta": Rational(positive=True, low=Fraction(1, 2**512), high=1 - Fraction(1, 2**64)),
            "budget": Rational(high=Fraction(2**512)),
            "adversary": Member(Adversary),
            "colluders": Integer(0, 2**32),
            "key": Optional(Bytes(32, 32)),
        },
    ),
    "reserve": (
        Reserve,
        {
            "round": _COUNT,
            "session": Bytes(1, 64),
            "mechanism": Text(frozenset({SKELLAM, DISTRIBUTED_DISCRETE_GAUSSIAN})),
            "mechanism_version": _VERSION,
            "sampling": Optional(SamplingCodec()),
            "invited": _PEOPLE,
            "min_survivors": _PEOPLE,
            "threshold": _PEOPLE,
            "squared_norm_bound": Integer(1, 2**96),
            "l1_bound": Integer(1, 2**96),
            "dimension": Integer(1, 2**40),
            "modulus_bits": Integer(1, 64),
            "local_variance": _VARIANCE,
            "clip_bit_variance": Optional(_VARIANCE),
            "sampler": Text(frozenset({EXACT_SAMPLER})),
            "context": _HASH,
            "roster": _HASH,
            "clip_norm": Optional(_POSITIVE),
            "scale": Optional(_POSITIVE),
            "rounding": Optional(_POSITIVE),
            "epsilon": Optional(Rational()),
        },
    ),
    "settle": (Settle, {"round": _COUNT, "survivors": _PEOPLE}),
    "central": (
        Central,
        {
            "mechanism": Text(frozenset({GAUSSIAN, DISCRETE_GAUSSIAN})),
            "mechanism_version": _VERSION,
            "noise_multiplier": Optional(_POSITIVE),
            "variance": Optional(_VARIANCE),
            "squared_sensitivity": Optional(Integer(1, 2**96)),
            "dimension": Optional(Integer(1, 2**40)),
            "sampling": Optional(SamplingCodec()),
            "count": _COUNT,
            "sampler": _SAMPLER,
            "epsilon": Optional(Rational()),
        },
    ),
    "head": (Head, {"signature": _SIGNATURE}),
    "close": (Close, {"signature": Optional(_SIGNATURE)}),
}
_NAMES: Final = {record: kind for kind, (record, _) in _KINDS.items()}
_KEYS: Final = {
    kind: frozenset(codecs) | {"kind", "previous"} | ({"schema"} if kind == "header" else set())
    for kind, (_, codecs) in _KINDS.items()
}


def line_hash(line: bytes) -> bytes:
    """Returns the SHA-256 of a whole line, its line feed included: the head of a ledger that ends with it."""
    return hashlib.sha256(line).digest()


def encode(record: Record, previous: bytes) -> bytes:
    """Returns the canonical line of a record, line feed included.

    Args:
        record: any record.
        previous: the hash of the line before; of a header, the head of the file that it continues, or `NO_HEAD`.

    Raises:
        InvalidParameterError: a field is out of its range or of another type; it is named.
    """
    kind = _NAMES.get(type(record))
    if kind is None:
        raise InvalidParameterError("record", type(record).__name__, "a record of a ledger")
    raw = {name: codec.encode(name, getattr(record, name)) for name, codec in _KINDS[kind][1].items()}
    raw["kind"] = kind
    raw["previous"] = _HASH.encode("previous", previous)
    if kind == "header":
        raw["schema"] = SCHEMA_VERSION
    return _canonical(raw)


def decode(line: bytes, number: int) -> tuple[Record, bytes]:
    """Reads one line.

    Args:
        line: the whole line, line feed included.
        number: of the line in its file, from 1, for the error.

    Returns:
        The record, and the hash that it holds of the line before.

    Raises:
        BadRecordError: the line is not canonical, its schema is foreign, or a field is not as it must be.
    """
    raw = _parsed(line, number)
    kind = raw.get("kind")
    schema = raw.get("schema")
    # True equals 1.
    if kind == "header" and (type(schema) is not int or schema != SCHEMA_VERSION):
        detail = f"{str(schema)[:20]}, and this program reads {SCHEMA_VERSION}"
        raise BadRecordError(number, Fault.SCHEMA_VERSION, detail)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BadRecordError(number, Fault.FIELDS, f"no kind of record is called {str(kind)[:40]!r}")
    if raw.keys() != _KEYS[kind]:
        unlike = min(raw.keys() ^ _KEYS[kind])
        word = "missing" if unlike in _KEYS[kind] else "unknown"
        raise BadRecordError(number, Fault.FIELDS, f"{unlike[:40]!r} is {word} in a record of the kind {kind}")
    record, codecs = _KINDS[kind]
    try:
        values = {name: codec.decode(name, raw[name]) for name, codec in codecs.items()}
        previous = _HASH.decode("previous", raw["previous"])
    except InvalidParameterError as error:
        raise BadRecordError(number, Fault.FIELDS, str(error)) from None
    return record(**values), previous


class _NotCanonicalError(ValueError):
    pass


def _refuse_number(text: str) -> NoReturn:
    raise _NotCanonicalError(f"{text[:20]} is a float")


_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))
_DECODER: Final = json.JSONDecoder(parse_float=_refuse_number, parse_constant=_refuse_number)


def _canonical(raw: Mapping[str, object]) -> bytes:
    return _ENCODER.encode(raw).encode("ascii") + b"\n"


def _parsed(line: bytes, number: int) -> dict[str, Any]:
    """Returns the object in a line that is the canonical form of that object."""
    if len(line) > MAX_LINE_BYTES:
        raise BadRecordError(number, Fault.CANONICAL_FORM, f"longer than {MAX_LINE_BYTES} bytes")
    try:
        raw = _DECODER.decode(line.decode("ascii"))
        # Writing it again finds whatever JSON lets pass: spaces, the order of keys, one key twice, escapes, -0.
        if isinstance(raw, dict) and _canonical(raw) == line:
            return raw
    except _NotCanonicalError as error:
        raise BadRecordError(number, Fault.CANONICAL_FORM, str(error)) from None
    # Integers of too many digits are a ValueError, brackets inside brackets without end a RecursionError.
    except (ValueError, RecursionError):
        raise BadRecordError(number, Fault.CANONICAL_FORM, "no JSON object in ASCII") from None
    raise BadRecordError(number, Fault.CANONICAL_FORM, "its values have another canonical line than this")
