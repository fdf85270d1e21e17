"""What was spent on a budget, in a file that proves it: records in a chain of hashes, signatures, replay and audit.

* `Ledger`: the writer. `LedgerKey`: its signing key.
* `audit`, with `AuditReport`, `ReleaseReport`, `Figures`, `Verdict`: everything recomputed from the records alone.
  `Assurance`: what can be required beside the figures. `Participation`: in which sums somebody was.
  `DEFAULT_MAX_SECONDS`: how long an audit may take.
* `RoundCounter`: a client's own memory of its rounds, which the server's ledger has to agree with.
* `MonotoneWitness`: a number outside that shows that a counter was restored from an older copy. `FileWitness` is one.
* `Header`, `Reserve`, `Settle`, `Central`, `Sum`, `Cohort`, `Head`, `Close`: the records (`Record` is any of them).
  `encode`, `decode`, `line_hash` and `NO_HEAD`: their bytes. `members_bitmap`: who is in a sum, of `MOST_LISTED` at
  most. `MemberForm`: what a cohort holds of each.
* `LedgerError` is the base of what is refused: `BadRecordError`, `LedgerLockedError`, `LedgerRefusedError`,
  `RoundRefusedError` and `RolledBackError`; and `AuditTimeError`. `ledger_errors` turns what `dp.durable` refuses into
  these.
* `lock_exclusively`, `sync_folder`: as in `dp.durable`, kept for one version.

`docs/ledger.md` has the format, and what an audit can and cannot show.
"""

from dp.ledger.audit import DEFAULT_MAX_SECONDS, Assurance, AuditReport, Figures, ReleaseReport, Verdict, audit
from dp.ledger.audit_report import Participation
from dp.ledger.errors import (
    AuditTimeError,
    BadRecordError,
    LedgerError,
    LedgerLockedError,
    LedgerRefusedError,
    RolledBackError,
    RoundRefusedError,
)
from dp.ledger.file import ledger_errors, lock_exclusively, sync_folder
from dp.ledger.participation import MOST_LISTED, members_bitmap
from dp.ledger.records import (
    NO_HEAD,
    Central,
    Close,
    Cohort,
    Head,
    Header,
    MemberForm,
    Record,
    Reserve,
    Settle,
    Sum,
    decode,
    encode,
    line_hash,
)
from dp.ledger.round_counter import RoundCounter
from dp.ledger.signing import LedgerKey
from dp.ledger.witnesses import FileWitness, MonotoneWitness
from dp.ledger.writer import Ledger

__all__ = [
    "DEFAULT_MAX_SECONDS",
    "MOST_LISTED",
    "NO_HEAD",
    "Assurance",
    "AuditReport",
    "AuditTimeError",
    "BadRecordError",
    "Central",
    "Close",
    "Cohort",
    "Figures",
    "FileWitness",
    "Head",
    "Header",
    "Ledger",
    "LedgerError",
    "LedgerKey",
    "LedgerLockedError",
    "LedgerRefusedError",
    "MemberForm",
    "MonotoneWitness",
    "Participation",
    "Record",
    "ReleaseReport",
    "Reserve",
    "RolledBackError",
    "RoundCounter",
    "RoundRefusedError",
    "Settle",
    "Sum",
    "Verdict",
    "audit",
    "decode",
    "encode",
    "ledger_errors",
    "line_hash",
    "lock_exclusively",
    "members_bitmap",
    "sync_folder",
]
