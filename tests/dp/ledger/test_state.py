"""The rules between records: what may follow what."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dp.errors import InvalidParameterError
from dp.ledger.errors import Fault, LedgerRefusedError
from dp.ledger.records import Close, Settle
from dp.ledger.signing import LedgerKey
from dp.ledger.state import Place, replay
from dp.ledger.writer import Ledger
from dp.vocabulary import Relation, SampleKnownTo, Sampling
from tests.kit.ledger_scene import HEADER, KEY, a_round


@pytest.mark.parametrize("survivors", [69, 101, 0, 80.0, True])
def test_a_settle_names_survivors_between_the_minimum_and_the_invited(tmp_path: Path, survivors: Any):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        ledger.reserve(a_round(1))
        before = path.read_bytes()
        with pytest.raises(InvalidParameterError, match="survivors"):
            ledger.settle(1, survivors)
        assert path.read_bytes() == before
        ledger.settle(1, 70)


def test_a_settle_needs_a_reserve_and_comes_once(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        with pytest.raises(LedgerRefusedError, match="there is no reserve of it"):
            ledger.settle(1, 80)
        ledger.reserve(a_round(1))
        ledger.reserve(a_round(2))
        ledger.settle(2, 80)
        ledger.settle(1, 80)
        before = path.read_bytes()
        with pytest.raises(LedgerRefusedError, match="settle of round 1 is refused: it is settled already"):
            ledger.settle(1, 80)
        assert path.read_bytes() == before


@pytest.mark.parametrize("number", [1, 3, 4])
def test_rounds_rise(tmp_path: Path, number: int):
    with Ledger.create(tmp_path / "ledger", HEADER) as ledger:
        ledger.reserve(a_round(4))
        with pytest.raises(LedgerRefusedError, match=f"reserve of round {number}"):
            ledger.reserve(a_round(number))
        ledger.reserve(a_round(9))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_survivors", 101),
        ("min_survivors", 2),
        ("threshold", 101),
        ("l1_bound", 10**6 - 1),
        ("sampling", Sampling(SampleKnownTo.PARTICIPANTS, population=1000, sample=99)),
        ("local_variance", 0.5),
    ],
)
def test_figures_that_cannot_be_true_together_are_refused(tmp_path: Path, name: str, value: Any):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        before = path.read_bytes()
        with pytest.raises(InvalidParameterError, match=name):
            ledger.reserve(a_round(1, **{name: value}))
        with pytest.raises(InvalidParameterError, match=name):
            ledger.would_exceed(a_round(1, **{name: value}))
        assert path.read_bytes() == before


def test_distributed_noise_has_no_add_remove(tmp_path: Path):
    with (
        Ledger.create(tmp_path / "ledger", replace(HEADER, relation=Relation.ADD_REMOVE)) as ledger,
        pytest.raises(InvalidParameterError, match="relation"),
    ):
        ledger.reserve(a_round(1))


@pytest.mark.parametrize("key", [None, KEY])
def test_nothing_follows_the_last_record(tmp_path: Path, key: LedgerKey | None):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER, key) as ledger:
        ledger.reserve(a_round(1))
        final = ledger.finish()
    with Ledger.open(path, key) as ledger:
        assert ledger.head == final
        for call in (
            lambda: ledger.reserve(a_round(2)),
            lambda: ledger.settle(1, 80),
            ledger.finish,
            *([] if key is None else [ledger.sign_head]),
        ):
            with pytest.raises(LedgerRefusedError, match="closed"):
                call()
        assert ledger.head == final


def test_a_replay_stops_at_the_first_record_that_may_not_come_next() -> None:
    replayed = replay([HEADER, a_round(1), Settle(round=1, survivors=80), a_round(1), a_round(2)])
    assert replayed.state is not None
    assert [release.place for release in replayed.state.releases] == [Place(0, 2)]
    assert replayed.stopped == Place(0, 4)
    assert replayed.fault is not None
    assert (replayed.fault.record, replayed.fault.fault) == (4, Fault.FIGURE)


def test_places_count_on_in_the_next_file() -> None:
    replayed = replay([HEADER, a_round(1), Close(signature=None), HEADER, a_round(2)])
    assert replayed.state is not None
    assert [release.place for release in replayed.state.releases] == [Place(0, 2), Place(1, 2)]


def test_no_record_leads_to_no_state() -> None:
    assert replay([]).state is None
    assert replay([a_round(1)]).state is None


def test_a_release_before_it_is_settled_is_what_it_promises() -> None:
    replayed = replay([HEADER, a_round(1), a_round(2), Settle(round=1, survivors=90)])
    assert replayed.state is not None
    settled = replayed.state.releases[0]
    assert settled.views.realised is not settled.views.promised
    before = settled.as_before(Place(0, 4))
    assert (before.survivors, before.settled) == (None, None)
    assert before.views.realised is before.views.promised
    assert settled.as_before(Place(0, 5)) is settled
