"""The audit of a ledger: everything that it says about privacy, computed anew from its records alone.

Nothing is taken from the ledger's writer but the records: epsilons are recomputed, and what a record claims is compared
with them. An audit reads, and changes nothing; a torn tail is reported and left where it is.

What an audit shows depends on what is known from elsewhere. With the public key of the header, signed heads show that
the records up to the last of them are what the key's holder wrote. With a head that somebody else keeps (a client that
took part, a place where heads are published), it shows that nothing up to that head was removed or rewritten. With
neither, a sound chain shows that no accident changed the file, and that is all. See `docs/ledger.md`.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Final

import numpy as np

from dp.accounting.accountant import Bound
from dp.ledger.audit_report import AuditReport, Figures, FileReport, ReleaseReport, Verdict
from dp.ledger.chain import Chain
from dp.ledger.curves import ORDERS, epsilons_at_orders
from dp.ledger.epsilon import Released
from dp.ledger.errors import BadRecordError, Fault
from dp.ledger.events import View
from dp.ledger.reading import Place, read_ledger
from dp.ledger.records import CONTINUOUS, Central, Reserve
from dp.ledger.state import LedgerState

__all__ = ["AuditReport", "Figures", "FileReport", "ReleaseReport", "Verdict", "audit"]

_CHUNK: Final = 2**12
"""Releases whose curves are added up at once."""


def audit(
    paths: Sequence[str | PathLike[str]], *, expected_head: bytes | None = None, expected_key: bytes | None = None
) -> AuditReport:
    """Audits a ledger.

    Args:
        paths: its files, the oldest first; usually one.
        expected_head: a head known from elsewhere; the ledger must have had it, and may have grown since.
        expected_key: the public key that signs the ledger, known from elsewhere.

    Returns:
        The report. Faults are in it, not raised.

    Raises:
        InvalidParameterError: there is no path.
        LedgerRefusedError: the first file continues another one.
        OSError: a file cannot be read.

    Cost:
        For 10**4 records about a second, and a tenth of a millisecond more for each signature.
    """
    reading = read_ledger(paths)
    faults = list(reading.faults)
    headers = [chain.header for chain in reading.chains if chain.header is not None]
    if expected_key is not None and any(header.key != expected_key for header in headers):
        faults.insert(0, BadRecordError(1, Fault.SIGNATURE, "the key in the header is not the expected one"))
    if expected_key is not None and not faults:
        # The key in a header proves nothing: anybody can write it there.
        unsigned = [number for number, chain in enumerate(reading.chains, 1) if chain.signed == 0]
        if unsigned:
            detail = f"nothing in file {unsigned[0]} of {len(reading.chains)} is signed with the expected key"
            faults.append(BadRecordError(1, Fault.SIGNATURE, detail))
    after = None if expected_head is None else _records_after(reading.chains, expected_head)
    if expected_head is not None and after is None and not faults:
        detail = f"the ledger never had the expected head {expected_head.hex()}: records were removed or replaced"
        faults.append(BadRecordError(len(reading.chains[-1].records), Fault.ANCHOR, detail))
    state = reading.state
    releases = _Releases(state) if state is not None else None
    return AuditReport(
        header=None if state is None else state.header,
        files=tuple(_file_report(chain) for chain in reading.chains),
        releases=() if releases is None else releases.reports(reading.places),
        total=Figures(0.0, 0.0, 0.0, 0.0) if releases is None else releases.total(),
        bound=None if releases is None else releases.bound(),
        unsettled=() if state is None else state.unsettled(),
        key_was_expected=expected_key is not None,
        after_expected=after,
        continuous=0 if releases is None else releases.continuous(),
        faults=tuple(faults),
    )


class _Releases:
    """The releases of a ledger, as each view has them."""

    def __init__(self, state: LedgerState) -> None:
        self._state = state
        self._table = state.table
        views = [self._table.views(release, self._survivors(release)) for release in state.releases]
        self._table.prepare(released for seen in views for released in seen)
        self._views: tuple[tuple[Released, ...], ...] = tuple(zip(*views, strict=True)) or ((),) * len(View)

    def total(self) -> Figures:
        """Returns the four epsilons of all releases together."""
        return _ordered(*(self._table.total(released).value for released in self._views))

    def bound(self) -> Bound:
        """Returns the bound of what is promised."""
        return self._table.total(self._views[0])

    def continuous(self) -> int:
        """Returns how many releases have noise that is a real number."""
        return sum(
            release.count
            for release in self._state.releases
            if isinstance(release, Central) and release.sampler == CONTINUOUS
        )

    def reports(self, places: Sequence[Place]) -> tuple[ReleaseReport, ...]:
        """Returns a report of each release; `places` are those of the records."""
        total = self.total()
        so_far = zip(*(self._so_far(released) for released in self._views), strict=True)
        shown = zip(*([self._table.shown(one) for one in released] for released in self._views), strict=True)
        return tuple(
            # A part is at most all of it, and that may have the better bound.
            self._report(release, place, Figures(*map(min, _ordered(*alone), total)), Figures(*map(min, some, total)))
            for release, place, alone, some in zip(self._state.releases, places, shown, so_far, strict=True)
        )

    def _report(self, release: Reserve | Central, place: Place, epsilon: Figures, so_far: Figures) -> ReleaseReport:
        reserve = release if isinstance(release, Reserve) else None
        return ReleaseReport(
            place=place,
            round=None if reserve is None else reserve.round,
            mechanism=release.mechanism,
            count=release.count if isinstance(release, Central) else 1,
            invited=None if reserve is None else reserve.invited,
            min_survivors=None if reserve is None else reserve.min_survivors,
            survivors=self._survivors(release),
            claimed=None if release.epsilon is None else float(release.epsilon),
            epsilon=epsilon,
            so_far=so_far,
        )

    def _survivors(self, release: Reserve | Central) -> int | None:
        return self._state.survivors.get(release.round) if isinstance(release, Reserve) else None

    def _so_far(self, many: Sequence[Released]) -> list[float]:
        """Returns the epsilons of the first release, the first two, and so on."""
        result: list[float] = []
        curve, samples = np.zeros(len(ORDERS)), 0.0
        for start in range(0, len(many), _CHUNK):
            part = many[start : start + _CHUNK]
            curves = curve + np.cumsum(self._table.curves(part), axis=0)
            so_many = samples + np.cumsum([float(released.samples) for released in part])
            result += epsilons_at_orders(curves, self._state.header.delta, so_many).tolist()
            curve, samples = curves[-1], so_many[-1]
        return result


def _ordered(promised: float, realised: float, server: float, outsider: float) -> Figures:
    """Returns the figures, none above another that bounds it too.

    More survivors are more noise, and an outsider sees less than the server; bounds may be looser where less is known.
    """
    return Figures(promised, min(realised, promised), server, min(outsider, server))


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
