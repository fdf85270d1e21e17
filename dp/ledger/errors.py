"""What can be wrong with a ledger, as types: the file, the call, the writer beside this one, or the server's claim."""

import enum

from dp.errors import DPError, FileLockedError, FileRefusedError

__all__ = [
    "AuditTimeError",
    "BadRecordError",
    "Fault",
    "LedgerError",
    "LedgerLockedError",
    "LedgerRefusedError",
    "RolledBackError",
    "RoundRefusedError",
]


class Fault(enum.StrEnum):
    """What is wrong with a record."""

    NOT_A_LEDGER = "not a ledger"
    """The first line has nothing of a header, or there is no complete line."""

    CANONICAL_FORM = "canonical form"
    """The bytes are not the one form that the record's values have."""

    FIELDS = "fields"
    """A field is missing, unknown, of another type or out of its range."""

    SCHEMA_VERSION = "schema version"
    """The file says that it follows rules other than those implemented here."""

    CHAIN = "chain"
    """A record does not hold the hash of the one before it."""

    SIGNATURE = "signature"
    """A head's signature does not verify, or the key is not the expected one."""

    ANCHOR = "anchor"
    """A head known from elsewhere is not the head of this file: whole records were removed, added or replaced."""

    FIGURE = "figure"
    """The bytes are intact and what they say cannot be true, or is less than what follows from the rest."""


class LedgerError(DPError):
    """Base of everything that can go wrong with a ledger, and of what a client refuses about one."""


class BadRecordError(LedgerError):
    """A complete record is not what an honest writer wrote. Fields: `record`, `fault`, `detail`.

    `record` is the number of the line, from 1: the header is record 1.
    """

    def __init__(self, record: int, fault: Fault, detail: str) -> None:
        super().__init__(record, fault, detail)
        self.record = record
        self.fault = fault
        self.detail = detail

    def __str__(self) -> str:
        return f"record {self.record}: {self.fault}: {self.detail}"


class LedgerLockedError(LedgerError, FileLockedError):
    """Somebody else has the file open for writing, or nobody can lock it here. Fields: `path`, `reason`."""


class LedgerRefusedError(LedgerError, FileRefusedError):
    """A call that the ledger's rules forbid; nothing was written. Fields: `action`, `reason`."""


class RolledBackError(LedgerError):
    """A counter or a ledger is behind what its witness outside has seen. Fields: `state`, `found`, `witnessed`.

    Its host was restored from a copy, or the file was. Nothing is counted and nothing is joined with it: what happened
    since the copy is on no disk here, and would happen twice. `found` and `witnessed` are the witness' numbers.
    """

    def __init__(self, state: str, found: int, witnessed: int) -> None:
        super().__init__(state, found, witnessed)
        self.state = state
        self.found = found
        self.witnessed = witnessed

    def __str__(self) -> str:
        return (
            f"the {self.state} is at {self.found}, and its witness has seen {self.witnessed}: it was restored from an "
            "older copy, and takes no part any more; bring the latest one back"
        )


class AuditTimeError(LedgerError):
    """An audit would take longer than it may; nothing was found. Fields: `step`, `max_seconds`.

    `step` says what it was at.
    """

    def __init__(self, step: str, max_seconds: float) -> None:
        super().__init__(step, max_seconds)
        self.step = step
        self.max_seconds = max_seconds

    def __str__(self) -> str:
        return (
            f"the audit takes more than {self.max_seconds:g} s, and was {self.step}. A file can be made to be slow. If "
            "you trust its writer, allow more: max_seconds, or --max-seconds"
        )


class RoundRefusedError(LedgerError):
    """A client does not take part in what the server offers. Fields: `rule`, `offered`, `accepted`.

    `rule` is "scope", "rounds", "round", "extension" or "reserve".
    """

    def __init__(self, rule: str, offered: object, accepted: object) -> None:
        super().__init__(rule, offered, accepted)
        self.rule = rule
        self.offered = offered
        self.accepted = accepted

    def __str__(self) -> str:
        return f"this client's counter refuses the {self.rule}: offered {self.offered}, accepted {self.accepted}"
