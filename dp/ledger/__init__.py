"""What was spent, in a file that proves it: records, the hash chain, signatures, replay and audit."""

from dp.ledger.audit import AuditReport, Figures, ReleaseReport, Verdict, audit
from dp.ledger.errors import BadRecordError, LedgerError, LedgerLockedError, LedgerRefusedError, RoundRefusedError
from dp.ledger.file import lock_exclusively, sync_folder
from dp.ledger.records import NO_HEAD, Central, Close, Head, Header, Record, Reserve, Settle, decode, encode, line_hash
from dp.ledger.round_counter import RoundCounter
from dp.ledger.signing import LedgerKey
from dp.ledger.writer import Ledger

__all__ = [
    "NO_HEAD",
    "AuditReport",
    "BadRecordError",
    "Central",
    "Close",
    "Figures",
    "Head",
    "Header",
    "Ledger",
    "LedgerError",
    "LedgerKey",
    "LedgerLockedError",
    "LedgerRefusedError",
    "Record",
    "ReleaseReport",
    "Reserve",
    "RoundCounter",
    "RoundRefusedError",
    "Settle",
    "Verdict",
    "audit",
    "decode",
    "encode",
    "line_hash",
    "lock_exclusively",
    "sync_folder",
]
