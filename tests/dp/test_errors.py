"""Errors say what happened, and survive the way between processes."""

import pickle

import pytest

from dp.errors import (
    BudgetExceededError,
    ComputationTooLargeError,
    DPError,
    InvalidParameterError,
    MissingExtraError,
    UnlikeEventsError,
    UnsupportedEventError,
)
from dp.events import (
    Gaussian,
)


@pytest.mark.parametrize(
    "error",
    [
        InvalidParameterError("delta", 2.0, "below 1"),
        UnsupportedEventError(Gaussian(1.0), "for a test"),
        UnlikeEventsError("unit", "client", "example"),
        BudgetExceededError(4.5, 4.25),
        ComputationTooLargeError("points", 4.5, 4.25, "do without"),
        MissingExtraError("pld", "dp_accounting"),
    ],
)
def test_errors_survive_pickling_and_say_what_happened(error: DPError) -> None:
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert twin.args == error.args
    assert vars(twin) == vars(error)
    assert str(twin) == str(error)
    for field in vars(error).values():
        assert str(field) in str(error)
