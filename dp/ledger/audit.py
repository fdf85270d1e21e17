"""The audit of a ledger: everything that it says about privacy, computed anew from its records alone.

It goes three steps, each once: files are read into records, the records are replayed into a state, and epsilons are
evaluated from the state. Nothing is taken from the ledger's writer but the records, and what these claim is compared
with what is computed. An audit reads, and changes nothing; a torn tail is reported and left where it is.

What an audit shows depends on what is known from elsewhere. With the public key of the header, signed heads show that
the records up to the last of them are what the key's holder wrote. With a head that somebody else keeps (a client that
took part, a place where heads are published), it shows that nothing up to that head was removed or rewritten. With
neither, a sound chain shows that no accident changed the file, and that is all. See `docs/ledger.md`.
"""

from collections.abc import Collection, Sequence
from os import PathLike
from typing import Final

from dp.errors import InvalidParameterError
from dp.ledger.audit_report import Assurance, AuditReport, FileReport, ReleaseReport, Verdict
from dp.ledger.chain import Chain
from dp.ledger.errors import BadRecordError, Fault
from dp.ledger.figures import Evaluation, Figures, evaluate
from dp.ledger.participation import places_in
from dp.ledger.reading import Reading, read_ledger
from dp.ledger.records import CONTINUOUS, Central, Reserve, Sum
from dp.ledger.state import Release, Replay, replay
from dp.ledger.time_limit import TimeLimit
from dp.vocabulary import COMPOSED, NO_NOISE

__all__ = ["Assurance", "AuditReport", "Figures", "FileReport", "ReleaseReport", "Verdict", "audit"]

DEFAULT_MAX_SECONDS: Final = 60.0
"""Ten times what a hundred rounds a day for ten years take, where they do not all differ."""


def audit(
    paths: Sequence[str | PathLike[str]],
    *,
    expected_head: bytes | None = None,
    expected_key: bytes | None = None,
    required: Collection[Assurance] = (),
    max_seconds: float = DEFAULT_MAX_SECONDS,
) -> AuditReport:
    """Audits a ledger.

    Args:
        paths: its files, the oldest first; usually one.
        expected_head: a head known from elsewhere; the ledger must have had it, and may have grown since.
        expected_key: the public key that signs the ledger, known from elsewhere.
        required: what has to hold beside the figures; else the verdict is `Verdict.NOT_ANCHORED`.
        max_seconds: after which it stops: a file can be made to be slow. Infinity for no limit. It is looked at between
            steps of some seconds.

    Returns:
        The report. Faults are in it, not raised.

    Raises:
        InvalidParameterError: there is no path, or a requirement is not an `Assurance`.
        AuditTimeError: it would take longer than it may.
        LedgerRefusedError: the first file continues another one.
        OSError: a file cannot be read, and no file before it has a fault.

    Cost:
        For 10**4 records about a second, and a tenth of a millisecond more for each signature. Releases that all
        differ cost up to 50 ms each.
    """
    requirements = _requirements(required)
    for name, expected in (("expected_head", expected_head), ("expected_key", expected_key)):
        if expected is not None and not isinstance(expected, bytes):
            raise InvalidParameterError(name, type(expected).__name__, "bytes, or None")
    limit = TimeLimit(max_seconds)
    reading = read_ledger(paths, limit=limit)
    replayed = replay(reading.records, limit)
    state = replayed.state
    evaluated = None if state is None else evaluate(state.releases, state.header.delta, limit)
    chains, faults = _faults(reading, replayed, evaluated)
    faults[:0] = _other_keys(chains, expected_key)
    if not faults:
        faults += _nothing_signed(chains, expected_key)
    after = None if expected_head is None else _records_after(chains, expected_head)
    if not faults and after is None:
        faults += _never_had(chains, expected_head)
    releases = () if evaluated is None else evaluated.releases
    return AuditReport(
        header=None if state is None else state.header,
        files=tuple(_file_report(chain) for chain in chains),
        releases=() if evaluated is None else _release_reports(evaluated),
        total=Figures(0.0, 0.0, 0.0, 0.0) if evaluated is None else evaluated.total,
        unamplified=0.0 if evaluated is None else evaluated.unamplified,
        bound=None if evaluated is None else evaluated.bound,
        unsettled=_unsettled(releases),
        key_was_expected=expected_key is not None,
        after_expected=after,
        continuous=_continuous(releases),
        cohorts={} if state is None else state.cohorts.all(),
        required=requirements,
        faults=tuple(faults),
    )


def _requirements(required: object) -> frozenset[Assurance]:
    allowed = f"some of {', '.join(Assurance)}"
    if isinstance(required, str) or not isinstance(required, Collection):
        raise InvalidParameterError("required", required, allowed)
    try:
        return frozenset(Assurance(one) for one in required)
    except ValueError:
        raise InvalidParameterError("required", list(required), allowed) from None


def _faults(
    reading: Reading, replayed: Replay, evaluated: Evaluation | None
) -> tuple[tuple[Chain, ...], list[BadRecordError]]:
    """Returns the files up to the first with a fault, and the faults: at most a figure, and then a broken chain.

    Raises:
        OSError: there is no fault, but a file that cannot be read.
    """
    # Only releases before the record at which the replay stopped are evaluated, so their claims come first.
    fault, stopped = replayed.fault, replayed.stopped
    if evaluated is not None and evaluated.fault is not None:
        fault, stopped = evaluated.fault, evaluated.stopped
    chains = reading.chains if stopped is None else reading.chains[: stopped.file + 1]
    chain_fault = reading.fault if len(chains) == len(reading.chains) else None
    faults = [found for found in (fault, chain_fault) if found is not None]
    if reading.unread is not None and not faults:
        raise reading.unread
    return chains, faults


def _other_keys(chains: Sequence[Chain], expected_key: bytes | None) -> list[BadRecordError]:
    headers = [chain.header for chain in chains if chain.header is not None]
    if expected_key is None or all(header.key == expected_key for header in headers):
        return []
    return [BadRecordError(1, Fault.SIGNATURE, "the key in the header is not the expected one")]


def _nothing_signed(chains: Sequence[Chain], expected_key: bytes | None) -> list[BadRecordError]:
    # The key in a header proves nothing: anybody can write it there.
    unsigned = [number for number, chain in enumerate(chains, 1) if chain.signed == 0]
    if expected_key is None or not unsigned:
        return []
    detail = f"nothing in file {unsigned[0]} of {len(chains)} is signed with the expected key"
    return [BadRecordError(1, Fault.SIGNATURE, detail)]


def _never_had(chains: Sequence[Chain], expected_head: bytes | None) -> list[BadRecordError]:
    if expected_head is None:
        return []
    detail = f"the ledger never had the expected head {expected_head.hex()}: records were removed or replaced"
    return [BadRecordError(len(chains[-1].records), Fault.ANCHOR, detail)]


def _unsettled(releases: Sequence[Release]) -> tuple[int, ...]:
    rounds = (release.record for release in releases if release.survivors is None)
    return tuple(record.round for record in rounds if isinstance(record, Reserve))


def _continuous(releases: Sequence[Release]) -> int:
    """Returns how many releases have noise that is a real number."""
    records = (release.record for release in releases)
    return sum(_continuous_of(record) for record in records if isinstance(record, Central))


def _continuous_of(record: Central) -> int:
    if record.mechanism == COMPOSED:
        return record.count * sum(map(_continuous_of, record.parts))
    return record.count if record.sampler == CONTINUOUS else 0


def _release_reports(evaluated: Evaluation) -> tuple[ReleaseReport, ...]:
    columns = evaluated.releases, evaluated.alone, evaluated.so_far
    return tuple(_release_report(*row) for row in zip(*columns, strict=True))


def _release_report(release: Release, epsilon: Figures, so_far: Figures) -> ReleaseReport:
    record = release.record
    reserve = record if isinstance(record, Reserve) else None
    sampling = None if isinstance(record, Sum) else record.sampling
    return ReleaseReport(
        place=release.place,
        round=None if reserve is None else reserve.round,
        mechanism=NO_NOISE if isinstance(record, Sum) else record.mechanism,
        label=record.label,
        run=record.run,
        evidence=record.evidence,
        sample=None if sampling is None else sampling.known_to,
        count=record.count if isinstance(record, Central) else 1,
        invited=None if isinstance(record, Central) else record.invited,
        min_survivors=None if reserve is None else reserve.min_survivors,
        survivors=release.survivors,
        cohort=release.cohort,
        members=None if release.members is None else tuple(places_in(release.members)),
        claimed=None if record.epsilon is None else float(record.epsilon),
        epsilon=epsilon,
        so_far=so_far,
    )


def _file_report(chain: Chain) -> FileReport:
    return FileReport(
        records=len(chain.records),
        head=chain.head,
        key=None if chain.header is None else chain.header.key,
        signed=chain.signed,
        closed=chain.closed,
        torn=len(chain.torn),
    )


def _records_after(chains: Sequence[Chain], head: bytes) -> int | None:
    """Returns how many records the ledger has after a head, None if it never had it."""
    after = 0
    for chain in reversed(chains):
        if head in chain.heads[1:]:
            return after + len(chain.records) - chain.heads.index(head)
        after += len(chain.records)
    return None
