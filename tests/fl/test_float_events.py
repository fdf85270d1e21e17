"""Events are ignored within the call, and the host's settings hold after it, in every thread and in calls of calls."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fl.float_events import ignoring

TINY = np.array([1e-300])


@ignoring("under")
def underflows(depth: int = 0) -> float:
    """Returns zero."""
    if depth:
        underflows(depth - 1)
    return float((TINY * TINY)[0])


def test_it_is_ignored_within_and_an_error_after():
    with np.errstate(all="raise"):
        assert underflows(3) == 0
        assert np.geterr()["under"] == "raise"
        with pytest.raises(FloatingPointError):
            TINY * TINY


def test_other_events_stay_the_hosts():
    @ignoring("under")
    def overflows() -> object:
        return 1 / TINY / TINY

    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match="overflow"):
        overflows()


def test_threads_within_the_same_call_keep_their_own_settings():
    both = threading.Barrier(2)

    @ignoring("over", "under")
    def meets() -> None:
        both.wait(10)

    def host(setting: str) -> str:
        np.seterr(all=setting)
        meets()
        return np.geterr()["under"]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(host, ["raise", "warn"])) == ["raise", "warn"]


def test_the_function_keeps_its_name_and_its_words():
    assert (underflows.__name__, underflows.__doc__) == ("underflows", "Returns zero.")
