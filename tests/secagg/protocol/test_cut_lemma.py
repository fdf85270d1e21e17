"""The lemma of docs/protocol.md, by trying every strategy of a lying server at small sizes.

What a server can do to one client is one of six roles; a strategy is a role for each place on the ring. The rules of
rounds 1 to 4 decide whose shares it gets, and from those follows which sums of honest inputs it can compute.
No code of the package is used: this is the page, in sets.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

ROLES = 6
CORRUPT, LEFT_OUT, DROPPED, SIGNS, ANSWERS, ASTRAY = range(ROLES)
"""LEFT_OUT: not in U2. DROPPED: in U2, not in S. SIGNS: in S, signs it where its own checks allow, is not asked for
shares. ANSWERS: is asked as well. ASTRAY: in S, but was told of other dealers, so that it masked in a context of its
own. More signatures never hurt the server, so that whoever can sign does; corrupt clients do everything for it."""


@dataclass(frozen=True)
class Outcome:
    """Every strategy that the honest clients' checks let through, by row."""

    roles: Counts
    open_sets: Counts
    """How many sums of honest inputs the server can compute."""
    misses: Bools
    """Whether one of them leaves somebody out who answered."""
    windows: Bools
    """Whether there are two disjoint runs of h clients with w corrupt ones in each."""


def around(values: npt.NDArray[np.generic], half: int) -> list[npt.NDArray[np.generic]]:
    """The values at the places -half .. half around each, itself left out."""
    return [np.roll(values, -step, axis=1) for step in range(-half, half + 1) if step]


def count(values: Bools, half: int) -> Counts:
    """How many of each client's neighbours are marked."""
    return np.sum(around(values, half), axis=0, dtype=np.int64)


def every_strategy(size: int) -> Counts:
    return np.indices((ROLES,) * size).reshape(size, -1).T


def two_windows(corrupt: Bools, half: int, needed: int) -> Bools:
    """Whether two disjoint runs of `half` places hold `needed` corrupt clients each."""
    size = corrupt.shape[1]
    rich = np.sum([np.roll(corrupt, -step, axis=1) for step in range(half)], axis=0) >= needed
    found = np.zeros(len(corrupt), np.bool_)
    for first, second in itertools.combinations(range(size), 2):
        if half <= second - first <= size - half:
            found |= rich[:, first] & rich[:, second]
    return found


def play(size: int, neighbours: int, threshold: int) -> Outcome:
    half, roles = neighbours // 2, every_strategy(size)
    corrupt = roles == CORRUPT
    # The lemma's premise, and that nobody's neighbourhood opens it alone.
    roles = roles[(2 * threshold > neighbours + count(corrupt, half)).all(axis=1)]
    corrupt, dropped, answers, astray = (roles == role for role in (CORRUPT, DROPPED, ANSWERS, ASTRAY))
    in_set = corrupt | answers | astray | (roles == SIGNS)
    dealt = in_set | dropped

    # Rounds 1 and 3: |V_u| >= t, |S n N(u)| >= t.
    sound = (count(dealt, half) >= threshold) & (count(in_set, half) >= threshold)
    signed = corrupt | (in_set & ~astray & sound)
    # Round 4: a quorum for everyone in V_u and for u, and more than half of roster and corrupt clients together.
    covered = count(signed, half) >= threshold
    peers_covered = count(dealt & ~covered, half) == 0
    enough = signed.sum(axis=1) >= (size + corrupt.sum(axis=1)) // 2 + 1
    allowed = (~answers | (sound & covered & peers_covered & enough[:, np.newaxis])).all(axis=1)
    roles, corrupt, dropped, answers, astray, in_set, dealt = (
        array[allowed] for array in (roles, corrupt, dropped, answers, astray, in_set, dealt)
    )

    # Whose secrets the shares rebuild: t of its neighbours are corrupt or answered.
    rebuilt = dealt & ~corrupt & (count(corrupt | answers, half) >= threshold)
    bare = rebuilt & in_set
    known = corrupt | (rebuilt & dropped)
    # An unknown mask to somebody whose input stays covered hides an input, and hides all that it is connected to.
    others_hidden = dealt & ~known & ~(bare & ~astray)
    linked = bare & ~astray
    hidden = linked & (count(others_hidden, half) > 0)
    label = np.where(linked, np.arange(size), -1)
    for _ in range(size):
        hidden |= linked & (count(hidden, half) > 0)
        label = np.where(linked, np.max([label, *around(label, half)], axis=0), -1)
    visible = linked & ~hidden
    components = (visible & (label == np.arange(size))).sum(axis=1)
    # One that masked in a context of its own chose t peers or more; if all can be known ones, it is bare alone.
    alone = bare & astray & (count(known, half) >= threshold)
    joined = answers & visible
    one_of_them = np.where(joined, label, -1).max(axis=1, keepdims=True)
    misses = (visible.any(axis=1) & (answers & (~visible | (label != one_of_them))).any(axis=1)) | (
        alone.any(axis=1) & answers.any(axis=1)
    )
    return Outcome(
        roles,
        components + alone.sum(axis=1),
        misses,
        two_windows(corrupt, half, threshold - half),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "neighbours", "threshold"), [(5, 2, 2), (6, 2, 2), (7, 2, 2), (6, 4, 3), (7, 4, 3), (7, 4, 4), (8, 4, 3)]
)
def test_without_two_windows_a_server_learns_one_sum_of_everyone_who_answered(
    size: int, neighbours: int, threshold: int
):
    outcome = play(size, neighbours, threshold)
    safe = ~outcome.windows
    assert (outcome.open_sets[safe] <= 1).all(), outcome.roles[safe][outcome.open_sets[safe] > 1][:3]
    assert not outcome.misses[safe].any(), outcome.roles[safe][outcome.misses[safe]][:3]
    assert (outcome.open_sets[safe] == 1).any(), "sessions must be possible at all"


@pytest.mark.slow
@pytest.mark.parametrize(("size", "neighbours", "threshold"), [(7, 2, 2), (8, 2, 2), (8, 4, 4)])
def test_with_two_windows_some_server_learns_two_sums(size: int, neighbours: int, threshold: int):
    outcome = play(size, neighbours, threshold)
    assert (outcome.open_sets[outcome.windows] >= 2).any()


@pytest.mark.parametrize("size", range(2, 9))
def test_two_survivor_sets_never_both_have_the_signatures(size: int):
    """Every honest client signs one set at most, every corrupt one both."""
    for corrupt in range(size + 1):
        needed = (size + corrupt) // 2 + 1
        honest = size - corrupt
        for first in range(honest + 1):
            for second in range(honest - first + 1):
                assert min(first, second) + corrupt < needed
        if honest > 1:
            # One signature fewer, and there is a way.
            assert honest // 2 + corrupt >= needed - 1
