"""fl.private.snapshots: a round's snapshot is of this version and this plan, and its repr shows no secret."""

import pytest

from fl.errors import PlanMismatchError
from fl.private.snapshots import VERSION, RoundSnapshot, read_round_snapshot
from secagg import InvalidInputError, InvalidStateError
from secagg.protocol import SnapshotRole, write_snapshot
from tests.kit.private_round_scene import CURIOUS, WRAPPING_KEY, planned

ROLE = SnapshotRole.CLIENT_ROUND
PLAN = planned(adversary=CURIOUS)


class Example(RoundSnapshot, array_like=True, frozen=True, forbid_unknown_fields=True):
    secret: bytes


def written(version: int = VERSION, digest: bytes = PLAN.digest, key: bytes | None = None) -> bytes:
    return write_snapshot(ROLE, Example(version, digest, b"a secret"), key)


@pytest.mark.parametrize("key", [None, WRAPPING_KEY], ids=["plain", "wrapped"])
def test_what_was_written_comes_back(key: bytes | None):
    read = read_round_snapshot(ROLE, written(key=key), Example, plan=PLAN, wrapping_key=key)
    assert read == Example(VERSION, PLAN.digest, b"a secret")


def test_another_version_role_plan_or_key_is_refused():
    with pytest.raises(InvalidStateError, match="of another version"):
        read_round_snapshot(ROLE, written(version=VERSION + 1), Example, plan=PLAN, wrapping_key=None)
    with pytest.raises(InvalidStateError, match="role"):
        read_round_snapshot(SnapshotRole.SERVER_ROUND, written(), Example, plan=PLAN, wrapping_key=None)
    with pytest.raises(PlanMismatchError) as refused:
        read_round_snapshot(ROLE, written(digest=bytes(32)), Example, plan=PLAN, wrapping_key=None)
    assert (refused.value.what, refused.value.offered) == ("plan", bytes(32).hex())
    with pytest.raises(InvalidInputError):
        read_round_snapshot(ROLE, written(), Example, plan=PLAN, wrapping_key=b"short")


def test_the_repr_shows_the_type_alone():
    assert repr(Example(VERSION, PLAN.digest, b"a secret")) == "<Example>"
