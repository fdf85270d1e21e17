"""The search against a scan of every degree and threshold that computes each probability in another way."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import InvalidParameterError
from secagg.graph.choosing import DEFAULT_GRINDING_BITS, SMALL_COHORT, choose
from secagg.params import AdversaryModel

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS

Floats = npt.NDArray[np.float64]

LOG_FACTORIALS = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, 5001)))))


def log_ways(total: npt.NDArray[np.int64] | int, chosen: npt.NDArray[np.int64]) -> Floats:
    """log(total choose chosen), -inf outside of 0 <= chosen <= total."""
    total, chosen = np.broadcast_arrays(total, chosen)
    inside = (chosen >= 0) & (chosen <= total)
    t, c = np.where(inside, total, 0), np.where(inside, chosen, 0)
    return np.where(inside, LOG_FACTORIALS[t] - LOG_FACTORIALS[c] - LOG_FACTORIALS[t - c], -np.inf)


def tails(population: int, marked: int, draws: int) -> Floats:
    """log P[X >= x] for x = 0 .. draws + 1, all terms added up."""
    x = np.arange(draws + 1)
    log_pmf = log_ways(marked, x) + log_ways(population - marked, draws - x) - log_ways(population, np.array(draws))
    with np.errstate(divide="ignore"):
        return np.append(np.log(np.cumsum(np.exp(log_pmf)[::-1])[::-1]), -np.inf)


def joint_tails(population: int, marked: int, window: int) -> Floats:
    """log P[two windows hold w or more each] for w = 0 .. window + 1, over all pairs of counts."""
    x = np.arange(window + 1)
    log_joint = (
        log_ways(window, x)[:, None]
        + log_ways(window, x)[None, :]
        + log_ways(population - 2 * window, marked - x[:, None] - x[None, :])
        - log_ways(population, np.array(marked))
    )
    # Pairs of which the smaller count is w.
    per_smaller = np.bincount(np.minimum(x[:, None], x[None, :]).ravel(), np.exp(log_joint).ravel())
    with np.errstate(divide="ignore"):
        return np.append(np.log(np.cumsum(per_smaller[::-1])[::-1]), -np.inf)


def room(
    n: int, corrupt: int, dropped: int, k: int, adversary: AdversaryModel, secure: float, correct: float
) -> tuple[int, int]:
    """The smallest t that is secure and the largest that is alive, in one roster, from the definitions."""
    active, degree, half = adversary is ACTIVE, min(k, n - 1), k // 2
    if degree == n - 1:
        return (degree + corrupt) // 2 + 1 if active else corrupt + 1, degree - dropped
    seen, lost = tails(n, corrupt, degree), tails(n, dropped, degree)
    opening = int(np.argmax(math.log(n) + seen <= secure))
    lowest = -(-(opening + k) // 2) if active else opening
    highest = k - int(np.argmax(math.log(n) + lost <= correct)) + 1
    if lowest <= highest and active:
        pairs = math.log(n * n / 2) + joint_tails(n, corrupt, half)
        lowest = max(lowest, half + int(np.argmax(pairs <= secure)))
    if not active and k <= corrupt + dropped:
        gone = min(corrupt + dropped, n)
        ways = log_ways(gone, np.array(k)) - log_ways(n, np.array(k))
        if math.log(n * (n - k - 1) / 2) + float(ways) > secure:
            return k + 1, highest
    return lowest, highest


def scan(
    clients: int,
    corrupt: float,
    dropout: float,
    adversary: AdversaryModel,
    *,
    absent: float = 0.0,
    security_bits: int = 40,
    correctness_bits: int = 30,
    grinding_bits: int | None = None,
    all_rosters: bool = True,
) -> tuple[int, int] | None:
    """The smallest sparse k with a t that holds in every roster, and the smallest t; None if there is none."""
    a, d, missing = (math.ceil(round(part * clients, 6)) for part in (corrupt, dropout, absent))
    if grinding_bits is None:
        grinding_bits = DEFAULT_GRINDING_BITS if adversary is ACTIVE else 0
    secure, correct = -(security_bits + 1 + grinding_bits) * math.log(2), -correctness_bits * math.log(2)
    fewest = clients - missing
    for k in range(2, clients - 1, 2):
        lowest, highest = 1, k
        largest_complete = min(max(fewest, k + 1), clients)
        rosters = range(fewest, clients + 1) if all_rosters else {fewest, largest_complete, clients}
        for n in rosters:
            low, high = room(n, min(a, n), max(0, d - (clients - n)), k, adversary, secure, correct)
            lowest, highest = max(lowest, low), min(highest, high)
            if lowest > highest:
                break
        else:
            return k, lowest
    return None


def found(clients: int, *assumptions: Any, **bits: Any) -> tuple[int, int] | None:
    named = dict(zip(("corrupt", "dropout", "adversary"), assumptions, strict=True))
    try:
        chosen = choose(clients, **named, **bits)
    except InvalidParameterError:
        return None
    return None if chosen.neighbours == clients - 1 else (chosen.neighbours, chosen.threshold)


PARTS = st.one_of(st.just(0.0), st.floats(0.0, 0.4), st.floats(0.0, 0.95)).map(lambda part: round(part, 3))
BITS = st.sampled_from([1, 2, 5, 10, 20, 40, 80, 200])
MODELS = st.sampled_from(AdversaryModel)


@pytest.mark.slow
@given(clients=st.integers(33, 400), corrupt=PARTS, dropout=PARTS, adversary=MODELS, bits=st.tuples(BITS, BITS))
@settings(deadline=None, max_examples=80)
def test_the_choice_is_the_first_one_of_a_scan(
    clients: int, corrupt: float, dropout: float, adversary: AdversaryModel, bits: tuple[int, int]
) -> None:
    asked = {"security_bits": bits[0], "correctness_bits": bits[1], "grinding_bits": 0}
    assert found(clients, corrupt, dropout, adversary, **asked) == scan(clients, corrupt, dropout, adversary, **asked)


@pytest.mark.slow
@given(
    clients=st.integers(33, 70),
    corrupt=st.floats(0.0, 0.5).map(lambda part: round(part, 2)),
    dropout=st.floats(0.0, 0.5).map(lambda part: round(part, 2)),
    early=st.floats(0.0, 1.0),
    adversary=MODELS,
    bits=st.tuples(st.sampled_from([1, 2, 5, 10]), st.sampled_from([1, 2, 5, 10])),
)
@settings(deadline=None, max_examples=80)
def test_with_absent_clients_the_choice_is_the_first_that_holds_in_every_roster(
    clients: int, corrupt: float, dropout: float, early: float, adversary: AdversaryModel, bits: tuple[int, int]
) -> None:
    """The search looks at the two rosters that `secagg.graph.conditions` says decide, the scan at all of them."""
    asked: dict[str, Any] = {"security_bits": bits[0], "correctness_bits": bits[1], "grinding_bits": 0}
    asked["absent"] = math.floor(early * dropout * 100) / 100
    assert found(clients, corrupt, dropout, adversary, **asked) == scan(clients, corrupt, dropout, adversary, **asked)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "absent"),
    [
        ((1000, 0.1, 0.1, CURIOUS), 0.0),
        ((1000, 0.1, 0.1, ACTIVE), 0.0),
        ((1000, 0.1, 0.1, ACTIVE), 0.1),
        ((1000, 0.1, 0.3, CURIOUS), 0.2),
        ((2000, 0.25, 0.25, ACTIVE), 0.0),
        ((1500, 0.05, 0.4, ACTIVE), 0.0),
        ((1500, 0.01, 0.4, ACTIVE), 0.01),
        ((3000, 0.5, 0.4, CURIOUS), 0.0),
        ((3000, 0.45, 0.45, CURIOUS), 0.45),
        ((2000, 0.7, 0.05, ACTIVE), 0.0),
    ],
)
def test_the_choice_is_the_first_one_of_a_scan_in_large_cohorts(
    setting: tuple[int, float, float, AdversaryModel], absent: float
) -> None:
    expected = scan(*setting, absent=absent, all_rosters=False)
    assert found(*setting, absent=absent) == expected
    assert expected is not None


@pytest.mark.parametrize(
    ("setting", "absent", "bits"),
    [
        # The last leaps are over degrees at which the runs, and nothing else, need one corrupt client more.
        ((855, 0.22, 0.2, ACTIVE), 0.0, (10, 10)),
        ((779, 0.21, 0.29, ACTIVE), 0.0, (3, 10)),
        ((2013, 0.04, 0.36, ACTIVE), 0.18, (3, 1)),
        # The search passes degrees at which the smallest roster is complete.
        ((220, 0.27, 0.26, ACTIVE), 0.26, (40, 1)),
        ((118, 0.41, 0.41, CURIOUS), 0.2, (1, 1)),
        ((472, 0.12, 0.35, ACTIVE), 0.35, (40, 3)),
    ],
    ids=str,
)
def test_the_choice_is_the_first_one_of_a_scan_where_leaps_are_short(
    setting: tuple[int, float, float, AdversaryModel], absent: float, bits: tuple[int, int]
) -> None:
    asked = {"security_bits": bits[0], "correctness_bits": bits[1], "grinding_bits": 0}
    expected = scan(*setting, absent=absent, all_rosters=False, **asked)
    assert found(*setting, absent=absent, **asked) == expected
    assert expected is not None


def test_small_cohorts_are_not_searched() -> None:
    assert found(SMALL_COHORT, 0.0, 0.0, CURIOUS, security_bits=1, correctness_bits=1) is None
    assert scan(SMALL_COHORT, 0.0, 0.0, CURIOUS, security_bits=1, correctness_bits=1) is not None
