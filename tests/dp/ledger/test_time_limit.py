"""dp.ledger.time_limit: a question ends in time, and says where it was."""

import math
from typing import Any

import pytest

from dp.errors import InvalidParameterError
from dp.ledger.errors import AuditTimeError
from dp.ledger.time_limit import TimeLimit


def test_without_a_limit_nothing_is_refused():
    limit = TimeLimit()
    limit.check("anything")
    assert list(limit.watch([1, 2], "counting")) == [1, 2]


def test_after_the_time_the_step_is_named(monkeypatch: pytest.MonkeyPatch):
    clock = [100.0]
    monkeypatch.setattr("dp.ledger.time_limit.time.monotonic", lambda: clock[0])
    limit = TimeLimit(5.0)
    watched = limit.watch([1, 2, 3], "counting")
    assert next(watched) == 1
    clock[0] = 105.0
    assert next(watched) == 2
    clock[0] = 105.1
    with pytest.raises(AuditTimeError) as refused:
        next(watched)
    assert (refused.value.step, refused.value.max_seconds) == ("counting", 5.0)
    with pytest.raises(AuditTimeError, match="reading"):
        limit.check("reading")


@pytest.mark.parametrize("seconds", [0, -1, math.nan, -math.inf, None, "5", True, [1]])
def test_what_is_no_time_is_refused(seconds: Any):
    with pytest.raises(InvalidParameterError, match="max_seconds"):
        TimeLimit(seconds)
