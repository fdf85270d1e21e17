"""What a server's ledger says of a round beside its privacy: what was released, and who was in it."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from dp import InvalidParameterError, Ledger, Reserve
from dp.ledger import MOST_LISTED, MemberForm, members_bitmap
from secagg import ClientId

__all__ = ["LedgerNotes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerNotes:
    """What the ledger says of rounds beside their privacy. No epsilon depends on it, and clients do not check it.

    Who was in a sum is always said as a bitmap over the invited; `clients` decides whether also who they are. Every
    client of a later round is sent what the ledger says.

    Args:
        label: what is released, 1 to 128 characters of ASCII.
        run: the id of the training or study, 1 to 64 bytes.
        evidence: the SHA-256 of a document about it, such as the protocol of a review.
        clients: what the ledger holds of each client; None for nothing.
        salt: for `MemberForm.SALTED_HASHES`: at least 16 random bytes, one salt for a ledger. Whoever has it can look
            every client up.

    Raises:
        InvalidParameterError: a field is out of its range, or a salt is there without its form or the other way round.
    """

    label: str | None = None
    run: bytes | None = None
    evidence: bytes | None = None
    clients: MemberForm | None = None
    salt: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.clients is MemberForm.SALTED_HASHES) is not (self.salt is not None):
            allowed = f"given if and only if clients is {MemberForm.SALTED_HASHES}"
            raise InvalidParameterError("salt", "<left out>" if self.salt is None else "<given>", allowed)
        if not (self.clients is None or isinstance(self.clients, MemberForm)):
            raise InvalidParameterError("clients", self.clients, f"one of {', '.join(MemberForm)}, or None")
        # Refused here, and not after a round was released.
        members_bitmap((1,), ids=(1,), salt=self.salt)

    def about(self, reserve: Reserve) -> Reserve:
        """Returns a round's record with what these notes say of it."""
        return replace(reserve, label=self.label, run=self.run, evidence=self.evidence)

    def settle(
        self, ledger: Ledger, round_number: int, *, invited: Collection[ClientId], survivors: Collection[ClientId]
    ) -> None:
        """Settles a reserved round.

        Raises:
            LedgerError, OSError: the ledger refused.
        """
        if len(invited) > MOST_LISTED:
            # More than the bits of a record: how many there were is all that it says.
            ledger.settle(round_number, len(survivors))
            return
        cohort = None if self.clients is None else ledger.record_cohort(invited, salt=self.salt)
        bitmap = members_bitmap(invited, ids=survivors, salt=self.salt)
        ledger.settle(round_number, len(survivors), members=bitmap, cohort=cohort)
