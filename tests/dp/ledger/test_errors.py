"""What can be wrong with a ledger survives the way between processes."""

import pickle
from pathlib import Path

import pytest

from dp.ledger.errors import BadRecordError, Fault, LedgerLockedError, LedgerRefusedError, RoundRefusedError


@pytest.mark.parametrize(
    "error",
    [
        BadRecordError(3, Fault.CHAIN, "detail"),
        LedgerLockedError(Path("ledger"), "reason"),
        LedgerRefusedError("a settle", "reason"),
        RoundRefusedError("scope", "one", "two"),
    ],
    ids=repr,
)
def test_errors_survive_pickling(error: Exception):
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert vars(twin) == vars(error)
