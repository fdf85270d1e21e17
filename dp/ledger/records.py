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
from dataclasses import MISSING, dataclass, fields
from fractions import Fraction
from typing import Any, Final, NoReturn

from dp.errors import InvalidParameterError
from dp.exact_json import SHA256_BYTES, Bytes, Codec, Integer, Member, Optional, Rational, SamplingCodec, Text
from dp.ledger.errors import BadRecordError, Fault
from dp.ledger.record_types import (
    CONTINUOUS,
    EXACT_SAMPLER,
    MECHANISM_VERSION,
    NO_HEAD,
    NO_SAMPLER,
    Central,
    Close,
    Cohort,
    Head,
    Header,
    MemberForm,
    Record,
    ReleaseRecord,
    Reserve,
    Settle,
    Sum,
    following,
)
from dp.vocabulary import (
    COMPOSED,
    DISCRETE_GAUSSIAN,
    DISTRIBUTED_DISCRETE_GAUSSIAN,
    GAUSSIAN,
    NO_NOISE,
    SKELLAM,
    Adversary,
    Relation,
    Unit,
)

__all__ = [
    "CONTINUOUS",
    "EXACT_SAMPLER",
    "MAX_LINE_BYTES",
    "MECHANISM_VERSION",
    "NO_HEAD",
    "NO_SAMPLER",
    "READABLE_SCHEMAS",
    "SCHEMA_VERSION",
    "Central",
    "Close",
    "Cohort",
    "Head",
    "Header",
    "MemberForm",
    "Record",
    "ReleaseRecord",
    "Reserve",
    "Settle",
    "Sum",
    "decode",
    "encode",
    "following",
    "line_hash",
    "schema_needed",
    "schema_of",
]

SCHEMA_VERSION: Final = 2
"""The version of the records' fields, and of how figures follow from them; new files are of this one."""

READABLE_SCHEMAS: Final = frozenset({1, SCHEMA_VERSION})
"""A file of another version is refused. What version 1 lacks is in `schema_needed`."""

MAX_LINE_BYTES: Final = 1 << 14
"""No record is longer; a longer line is refused unread."""

_HASH: Final = Bytes(SHA256_BYTES, SHA256_BYTES)
_COUNT: Final = Integer(1, 2**63)
_PEOPLE: Final = Integer(1, 2**32)
_POSITIVE: Final = Rational(positive=True)
_VARIANCE: Final = Rational(positive=True, low=Fraction(1, 2**80), high=Fraction(2**80))
"""What the samplers can make."""
_SIGNATURE: Final = Bytes(64, 64)
_VERSION: Final = Integer(MECHANISM_VERSION, MECHANISM_VERSION)
_CENTRAL_SAMPLER: Final = Text(frozenset({EXACT_SAMPLER, CONTINUOUS, NO_SAMPLER}))
_BITMAP: Final = Optional(Bytes(1, 1 << 12))
"""A bit for each of 32,768 participants at most."""
_MOST_PARTS: Final = 64
_PART_FIELDS: Final[Mapping[str, Codec]] = {
    "count": _COUNT,
    "dimension": Optional(Integer(1, 2**40)),
    "mechanism": Text(frozenset({GAUSSIAN, DISCRETE_GAUSSIAN, NO_NOISE})),
    "noise_multiplier": Optional(_POSITIVE),
    "sampler": _CENTRAL_SAMPLER,
    "squared_sensitivity": Optional(Integer(1, 2**96)),
    "variance": Optional(_VARIANCE),
}


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is released of one sample: an array of objects, each a `Central` without a sampling of its own."""

    def encode(self, name: str, value: object) -> object:
        """Returns the array."""
        if not isinstance(value, tuple) or not all(isinstance(part, Central) for part in value):
            raise InvalidParameterError(name, type(value).__name__, "a tuple of Central records")
        raw = []
        for part in value:
            if part != Central(**{field: getattr(part, field) for field in _PART_FIELDS}):
                allowed = f"parts with nothing but {', '.join(_PART_FIELDS)}"
                raise InvalidParameterError(name, part.mechanism, allowed)
            raw.append(
                {field: codec.encode(f"{name}.{field}", getattr(part, field)) for field, codec in _PART_FIELDS.items()}
            )
        self.decode(name, raw)
        return raw

    def decode(self, name: str, raw: object) -> tuple[Central, ...]:
        """Returns the parts."""
        if not isinstance(raw, list) or not len(raw) <= _MOST_PARTS:
            raise InvalidParameterError(name, type(raw).__name__, f"an array of at most {_MOST_PARTS} parts")
        parts = []
        for part in raw:
            if not isinstance(part, dict) or part.keys() != _PART_FIELDS.keys():
                raise InvalidParameterError(name, type(part).__name__, f"objects with {', '.join(_PART_FIELDS)}")
            values = {field: codec.decode(f"{name}.{field}", part[field]) for field, codec in _PART_FIELDS.items()}
            parts.append(Central(**values))
        return tuple(parts)


_FOLLOWING: Final = Integer(0, 2**20)

_ABOUT: Final[Mapping[str, Codec]] = {
    "label": Optional(Text()),
    "run": Optional(Bytes(1, 64)),
    "evidence": Optional(_HASH),
}
"""What a release is about: the same fields in each record of one."""

_MEMBERS: Final[Mapping[str, Codec]] = {"members": _BITMAP, "cohort": Optional(_HASH)}
"""Who is in a sum."""

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
            "mechanism": Text(frozenset({GAUSSIAN, DISCRETE_GAUSSIAN, NO_NOISE, COMPOSED})),
            "mechanism_version": _VERSION,
            "noise_multiplier": Optional(_POSITIVE),
            "variance": Optional(_VARIANCE),
            "squared_sensitivity": Optional(Integer(1, 2**96)),
            "dimension": Optional(Integer(1, 2**40)),
            "sampling": Optional(SamplingCodec()),
            "count": _COUNT,
            "sampler": _CENTRAL_SAMPLER,
            "epsilon": Optional(Rational()),
        },
    ),
    "cohort": (
        Cohort,
        {
            "cohort": _HASH,
            "form": Member(MemberForm),
            "members": Bytes(8, 1 << 12),
        },
    ),
    "sum": (
        Sum,
        {
            "session": Bytes(1, 64),
            "invited": _PEOPLE,
            "survivors": _PEOPLE,
            "context": _HASH,
            "roster": _HASH,
        },
    ),
    "head": (Head, {"signature": _SIGNATURE}),
    "close": (Close, {"signature": Optional(_SIGNATURE)}),
}
_ADDED: Final[Mapping[str, Mapping[str, Codec]]] = {
    "reserve": _ABOUT,
    "settle": _MEMBERS,
    "central": {**_ABOUT, "following": _FOLLOWING, "parts": _Parts()},
    "cohort": {"first": Integer(0, 2**32), "following": _FOLLOWING},
    "sum": {**_ABOUT, **_MEMBERS},
}
"""Fields that a line has exactly if they are not at their default: lines of version 1 have none of them."""

_DEFAULTS: Final = {
    kind: {one.name: one.default for one in fields(_KINDS[kind][0]) if one.name in added and one.default is not MISSING}
    for kind, added in _ADDED.items()
}
_NAMES: Final = {record: kind for kind, (record, _) in _KINDS.items()}
_KEYS: Final = {
    kind: frozenset(codecs) | {"kind", "previous"} | ({"schema"} if kind == "header" else set())
    for kind, (_, codecs) in _KINDS.items()
}


def line_hash(line: bytes) -> bytes:
    """Returns the SHA-256 of a whole line, its line feed included: the head of a ledger that ends with it."""
    if not isinstance(line, bytes):
        raise InvalidParameterError("line", type(line).__name__, "a line, in bytes")
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
    for name, codec in _ADDED.get(kind, {}).items():
        if not _unsaid(getattr(record, name), _DEFAULTS[kind][name]):
            raw[name] = codec.encode(name, getattr(record, name))
    raw["kind"] = kind
    raw["previous"] = _HASH.encode("previous", previous)
    if kind == "header":
        raw["schema"] = SCHEMA_VERSION
    line = _canonical(raw)
    if len(line) > MAX_LINE_BYTES:
        longest = max(raw, key=lambda name: len(str(raw[name])))
        raise InvalidParameterError(longest, f"a line of {len(line)} bytes", f"short enough for {MAX_LINE_BYTES} bytes")
    return line


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
    if kind == "header" and (type(schema) is not int or schema not in READABLE_SCHEMAS):
        detail = f"{str(schema)[:20]}, and this program reads {', '.join(map(str, sorted(READABLE_SCHEMAS)))}"
        raise BadRecordError(number, Fault.SCHEMA_VERSION, detail)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BadRecordError(number, Fault.FIELDS, f"no kind of record is called {str(kind)[:40]!r}")
    added = {name: codec for name, codec in _ADDED.get(kind, {}).items() if name in raw}
    unlike = (raw.keys() - added.keys()) ^ _KEYS[kind]
    if unlike:
        first = min(unlike)
        word = "missing" if first in _KEYS[kind] else "unknown"
        raise BadRecordError(number, Fault.FIELDS, f"{first[:40]!r} is {word} in a record of the kind {kind}")
    record, codecs = _KINDS[kind]
    try:
        values = {name: codec.decode(name, raw[name]) for name, codec in {**codecs, **added}.items()}
        previous = _HASH.decode("previous", raw["previous"])
    except InvalidParameterError as error:
        raise BadRecordError(number, Fault.FIELDS, str(error)) from None
    for name in added:
        if values[name] == _DEFAULTS[kind][name]:
            raise BadRecordError(number, Fault.CANONICAL_FORM, f"{name!r} is left out where it says nothing")
    return record(**values), previous


def schema_of(header_line: bytes) -> int:
    """Returns the schema version of a header's line that `decode` has read."""
    return int(json.loads(header_line)["schema"])


def schema_needed(record: Record) -> int:
    """Returns the smallest schema version that has such a record."""
    kind = _NAMES[type(record)]
    added = any(not _unsaid(getattr(record, name), default) for name, default in _DEFAULTS.get(kind, {}).items())
    new = isinstance(record, Cohort | Sum) or (isinstance(record, Central) and record.mechanism in (NO_NOISE, COMPOSED))
    return 2 if added or new else 1


def _unsaid(value: object, default: object) -> bool:
    """Whether a field says nothing. What it is compared with is of the same type: others may compare as they like."""
    return value is default or (type(value) is type(default) and value == default)


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
    if type(line) is not bytes:
        raise BadRecordError(number, Fault.CANONICAL_FORM, f"a line is bytes, not {type(line).__name__}")
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
