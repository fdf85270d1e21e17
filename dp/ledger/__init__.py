"""What was spent on a budget, in a file that proves it: records in a chain of hashes, signatures, replay and audit.

* `Ledger`: the writer. `LedgerKey`: its signing key.
* `audit`, with `AuditReport`, `ReleaseReport`, `Figures`, `Verdict`: everything recomputed from the records alone.
* `RoundCounter`: a client's own memory of its rounds, which the server's ledger has to agree with.
* `MonotoneWitness`: a number outside that shows that a counter was restored from an older copy. `FileWitness` is one.
* `Header`, `Reserve`, `Settle`, `Central`, `Head`, `Close`: the records (`Record` is any of them). `encode`, `decode`,
  `line_hash` and `NO_HEAD`: their bytes.
* `LedgerError` is the base of what is refused: `BadRecordError`, `LedgerLockedError`, `LedgerRefusedError`,
  `RoundRefusedError` and `RolledBackError`. `ledger_errors` turns what `dp.durable` refuses into these.
* `lock_exclusively`, `sync_folder`: as in `dp.durable`, kept for one version.

`docs/ledger.md` has the format, and what an audit can and cannot show.
"""

from dp.ledger.audit import AuditReport, Figures, ReleaseReport, Verdict, audit
from dp.ledger.errors import (
    BadRecordError,
    LedgerError,
    LedgerLockedError,
    LedgerRefusedError,
    RolledBackError,
    RoundRefusedError,
)
from dp.ledger.file import ledger_errors, lock_exclusively, sync_folder
from dp.ledger.records import NO_HEAD, Central, Close, Head, Header, Record, Reserve, Settle, decode, encode, line_hash
from dp.ledger.round_counter import RoundCounter
from dp.ledger.signing import LedgerKey
from dp.ledger.witnesses import FileWitness, MonotoneWitness
from dp.ledger.writer import Ledger

__all__ = [
    "NO_HEAD",
    "AuditReport",
    "BadRecordError",
    "Central",
    "Close",
    "Figures",
    "FileWitness",
    "Head",
    "Header",
    "Ledger",
    "LedgerError",
    "LedgerKey",
    "LedgerLockedError",
    "LedgerRefusedError",
    "MonotoneWitness",
    "Record",
    "ReleaseReport",
    "Reserve",
    "RolledBackError",
    "RoundCounter",
    "RoundRefusedError",
    "Settle",
    "Verdict",
    "audit",
    "decode",
    "encode",
    "ledger_errors",
    "line_hash",
    "lock_exclusively",
    "sync_folder",
]
