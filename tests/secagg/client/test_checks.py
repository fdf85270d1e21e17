"""The client's predicates over sets, each at its edge. The whole rules are attacked in `tests/adversary`."""

import numpy as np
import pytest

from secagg.client.checks import check_dealers, check_majority, check_quorum, check_survivors
from secagg.errors import InconsistentServerError, PolicyViolationError
from secagg.graph.ring import Graph
from secagg.primitives.prg import Suite

SIZE, OWN = 6, 2
PEERS = np.array([0, 1, 3, 4, 5])


def some(*places: int) -> np.ndarray:
    return np.isin(np.arange(SIZE), places)


EVERYONE = some(*range(SIZE))


def survivors(survivors: np.ndarray = EVERYONE, **changes: object) -> None:
    usual = {
        "total": int(np.count_nonzero(survivors)),
        "index": OWN,
        "neighbours": PEERS,
        "dealers": EVERYONE,
        "held": EVERYONE,
        "roster_total": SIZE,
        "threshold": 3,
        "required_survivors": 4,
    }
    check_survivors(survivors, **(usual | changes))


def test_dealers_are_this_client_and_a_threshold_of_peers():
    check_dealers(some(OWN, 0, 1, 3), index=OWN, neighbours=PEERS, threshold=3)
    for dealers in (some(0, 1, 3), some(OWN, 0, 1)):
        with pytest.raises(InconsistentServerError) as caught:
            check_dealers(dealers, index=OWN, neighbours=PEERS, threshold=3)
        assert caught.value.rule == "dealers"


def test_survivors_are_this_client_dealers_and_a_threshold_of_peers():
    survivors()
    survivors(some(OWN, 0, 1, 3))
    survivors(some(OWN, 0, 1, 3), dealers=some(OWN, 0, 1, 3))
    for members, changes in (
        (some(0, 1, 3, 4), {}),
        (some(OWN, 0, 1), {}),
        (EVERYONE, {"dealers": some(OWN, 0, 1, 3)}),
        (EVERYONE, {"total": 5}),
        (EVERYONE, {"total": 7}),
    ):
        with pytest.raises(InconsistentServerError) as caught:
            survivors(members, **changes)
        assert caught.value.rule == "survivors"


def test_a_client_that_sees_a_part_takes_a_total_between_what_it_sees_and_what_can_be():
    for total in range(6, 11):
        survivors(total=total, roster_total=10)
    for total in (5, 11):
        with pytest.raises(InconsistentServerError):
            survivors(total=total, roster_total=10)


def test_only_peers_whose_seal_opened_count_as_required_survivors():
    survivors(held=some(0, 1, 3))
    with pytest.raises(PolicyViolationError) as caught:
        survivors(held=some(0, 1))
    assert (caught.value.rule, caught.value.offered) == ("min_survivors", 3)


def test_a_quorum_is_a_threshold_of_signers_around_everyone_involved():
    graph = Graph(SIZE, neighbours=SIZE - 1, seed=bytes(32), suite=Suite.CHACHA20)

    def quorum(signers: np.ndarray, among: np.ndarray = EVERYONE) -> None:
        check_quorum(signers, survivors=among, involved=np.arange(SIZE), graph=graph, threshold=3)

    quorum(some(0, 1, 3, 4))
    for signers, among in ((some(0, 1, 3), EVERYONE), (some(0, 1, 3, 4), some(0, 1, 3))):
        with pytest.raises(InconsistentServerError) as caught:
            quorum(signers, among)
        assert caught.value.rule == "quorum"


def test_a_majority_counts_this_clients_own_signature_and_for_survivors_opened_seals_too():
    def majority(signers: np.ndarray, held: np.ndarray, signatures: int, needed: int) -> None:
        check_majority(signers, held=held, index=OWN, required_signatures=signatures, required_survivors=needed)

    majority(some(0, 1, 3), some(), 4, 4)
    majority(some(0, 1, 3), some(4, 5), 4, 6)
    with pytest.raises(InconsistentServerError):
        majority(some(0, 1, 3), EVERYONE, 5, 4)
    with pytest.raises(PolicyViolationError):
        majority(some(0, 1, 3), some(4), 4, 6)
