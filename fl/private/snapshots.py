"""What the snapshots of a client's and of a server's private round have in common."""

from typing import TypeVar

from fl.errors import PlanMismatchError
from fl.private.plan import PrivatePlan
from secagg import InvalidStateError
from secagg.protocol import Concealed, SnapshotRole, read_snapshot

__all__ = ["VERSION", "RoundSnapshot", "read_round_snapshot"]

VERSION = 2


class RoundSnapshot(Concealed, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The first fields of a snapshot. It is not shown: it holds a session's secrets."""

    version: int
    plan_digest: bytes


Content = TypeVar("Content", bound=RoundSnapshot)


def read_round_snapshot(
    role: SnapshotRole, data: bytes, content: type[Content], *, plan: PrivatePlan, wrapping_key: bytes | None
) -> Content:
    """Returns the content of a snapshot that `secagg.protocol.write_snapshot` wrote.

    Raises:
        InvalidStateError: it is damaged, of another role or of another version.
        PlanMismatchError: it is of another plan.
        InvalidInputError: the wrapping key has a wrong type or length.
    """
    read = read_snapshot(role, data, content, wrapping_key)
    if read.version != VERSION:
        raise InvalidStateError("the snapshot is of another version")
    if read.plan_digest != plan.digest:
        raise PlanMismatchError("plan", read.plan_digest.hex(), plan.digest.hex())
    return read
