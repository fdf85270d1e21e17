"""The ledger: two records a round, a budget that is kept, a chain that is signed and continued."""

import pickle
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dp.accounting.accountant import RdpAccountant
from dp.errors import BudgetExceededError, InvalidParameterError, UnlikeEventsError, UnsupportedEventError
from dp.events import (
    Composed,
    DiscreteGaussian,
    Event,
    Gaussian,
    NonPrivate,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.ledger import epsilon as ledger_epsilon
from dp.ledger.errors import BadRecordError, Fault, LedgerLockedError, LedgerRefusedError, RoundRefusedError
from dp.ledger.records import NO_HEAD, Central, Header, Settle, decode, line_hash
from dp.ledger.signing import LedgerKey
from dp.ledger.writer import Ledger
from dp.vocabulary import Adversary, Relation, SampleKnownTo, Sampling, Unit
from tests.kit.ledger_scene import HEADER, KEY, a_ledger, a_round, lines_of

CENTRAL = Header(
    scope="training",
    unit=Unit.EXAMPLE,
    relation=Relation.ADD_REMOVE,
    delta=Fraction(1, 10**5),
    budget=Fraction(4),
)


def records_of(path: Path) -> list[Any]:
    return [decode(line, number)[0] for number, line in enumerate(lines_of(path), 1)]


# --- Rounds ---


def test_a_round_is_two_records_in_a_chain(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        first = ledger.head
        assert (ledger.unsettled, ledger.spent) == ((), 0.0)
        reserved = ledger.reserve(a_round(1))
        assert ledger.unsettled == (1,)
        settled = ledger.settle(1, 84)
        assert ledger.unsettled == ()
        assert ledger.head == settled
        assert ledger.header == HEADER
    lines = lines_of(path)
    assert [line_hash(line) for line in lines] == [first, reserved, settled]
    assert [decode(line, 1)[1] for line in lines] == [NO_HEAD, first, reserved]
    header, reserve, settle = records_of(path)
    assert header == HEADER
    assert replace(reserve, epsilon=None) == a_round(1)
    assert settle == Settle(round=1, survivors=84)


def test_what_counts_is_the_fewest_survivors_settled_or_not(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", HEADER) as ledger:
        ledger.reserve(a_round(1))
        unsettled = ledger.spent
        ledger.settle(1, 100)
        assert ledger.spent == unsettled
    # 70 survivors less 2 colluders.
    event = Skellam(68 * a_round(1).local_variance, 10**6, 10**6)
    assert unsettled == pytest.approx(RdpAccountant().compose(event).epsilon(1e-5).value, rel=1e-9)


def test_totals_add_curves_and_not_epsilons(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", HEADER) as ledger:
        ledger.reserve(a_round(1))
        one = ledger.spent
        for number in range(2, 5):
            ledger.reserve(a_round(number))
        assert ledger.spent < 3 * one
        event = Skellam(68 * a_round(1).local_variance, 10**6, 10**6)
        assert ledger.spent == pytest.approx(RdpAccountant().compose(event, 4).epsilon(1e-5).value, rel=1e-9)


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


# --- The budget ---


def test_a_round_over_the_budget_is_refused_and_leaves_nothing(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, replace(HEADER, budget=Fraction(1))) as ledger:
        ledger.reserve(a_round(1))
        ledger.reserve(a_round(2))
        before, spent, head = path.read_bytes(), ledger.spent, ledger.head
        assert ledger.would_exceed(a_round(3))
        with pytest.raises(BudgetExceededError) as refused:
            ledger.reserve(a_round(3))
        assert refused.value.budget == 1
        assert refused.value.spent > 1
        assert (path.read_bytes(), ledger.spent, ledger.head) == (before, spent, head)
        # More noise fits.
        quiet = a_round(3, local_variance=Fraction(10**9))
        assert not ledger.would_exceed(quiet)
        ledger.reserve(quiet)
        assert spent < ledger.spent <= 1


def test_the_budget_is_used_to_the_last_round_that_fits(tmp_path: Path):
    event = Skellam(68 * a_round(1).local_variance, 10**6, 10**6)
    budget = Fraction(RdpAccountant().compose(event, 7).epsilon(1e-5).value * (1 + 1e-9))
    with Ledger.create(tmp_path / "ledger", replace(HEADER, budget=budget)) as ledger:
        for number in range(1, 8):
            ledger.reserve(a_round(number))
        with pytest.raises(BudgetExceededError):
            ledger.reserve(a_round(8))


def test_a_budget_is_kept_over_a_restart_by_unsettled_rounds_too(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, replace(HEADER, budget=Fraction(1))) as ledger:
        ledger.reserve(a_round(1))
        ledger.reserve(a_round(2))
        spent = ledger.spent
    with Ledger.open(path) as ledger:
        assert ledger.spent == spent
        assert ledger.unsettled == (1, 2)
        with pytest.raises(BudgetExceededError):
            ledger.reserve(a_round(3))


def test_a_promise_that_is_not_finite_is_over_any_budget(tmp_path: Path):
    with (
        Ledger.create(tmp_path / "ledger", replace(HEADER, budget=Fraction(10**150))) as ledger,
        pytest.raises(BudgetExceededError),
    ):
        ledger.reserve(a_round(1, local_variance=Fraction(1, 10**6)))


def test_the_samplers_take_their_share_of_delta(tmp_path: Path):
    # 2^32 participants, 2^40 coordinates: 2^72 samples are off by 2^-28 together.
    many = {"invited": 2**32, "min_survivors": 2**31, "dimension": 2**40}
    with Ledger.create(tmp_path / "few", HEADER) as ledger:
        few = a_round(1, invited=2**31, min_survivors=2**31, dimension=2**40)
        assert not ledger.would_exceed(few)
    with Ledger.create(tmp_path / "many", replace(HEADER, delta=Fraction(1, 2**28))) as ledger:
        assert ledger.would_exceed(a_round(1, **many))
    with Ledger.create(tmp_path / "delta", replace(HEADER, delta=Fraction(1, 2**25))) as ledger:
        ledger.reserve(a_round(1, **many))
        event = Skellam((2**31 - 2) * a_round(1).local_variance, 10**6, 10**6)
        epsilon = ledger.spent
        left = 2**-25 - (1 + 2.718281828459045**epsilon) * 2**-28
        assert epsilon == pytest.approx(RdpAccountant().compose(event).epsilon(left).value, rel=1e-6)
        assert epsilon > RdpAccountant().compose(event).epsilon(2**-25).value * 1.001


# --- Noise of one trusted party ---


@pytest.mark.parametrize(
    "event",
    [
        Gaussian(5.0),
        PoissonSampled(0.01, Gaussian(1.0)),
        Composed(((PoissonSampled(0.02, Gaussian(2.0)), 3), (Gaussian(9.0), 1), (Gaussian(8.0), 0))),
        DiscreteGaussian(Fraction(10**8, 3), 10**6, Relation.ADD_REMOVE, Unit.EXAMPLE),
        PoissonSampled(0.1, DiscreteGaussian(Fraction(10**8), 10**6, Relation.ADD_REMOVE, Unit.EXAMPLE)),
    ],
    ids=repr,
)
def test_central_noise_is_spent_as_the_accountant_says(tmp_path: Path, event: Event):
    path = tmp_path / "ledger"
    with Ledger.create(path, CENTRAL) as ledger:
        ledger.spend(event, 10)
        spent = ledger.spent
    assert spent == pytest.approx(RdpAccountant().compose(event, 10).epsilon(1e-5).value, rel=1e-9)
    with Ledger.open(path) as ledger:
        assert ledger.spent == spent


def test_sampling_that_participants_know_does_not_count(tmp_path: Path):
    event = PoissonSampled(0.01, Gaussian(5.0))
    with Ledger.create(tmp_path / "ledger", CENTRAL) as ledger:
        ledger.spend(event, known_to=SampleKnownTo.PARTICIPANTS)
        assert ledger.spent == pytest.approx(RdpAccountant().compose(Gaussian(5.0)).epsilon(1e-5).value, rel=1e-9)
    with Ledger.create(tmp_path / "outside", replace(CENTRAL, adversary=Adversary.OUTSIDER)) as ledger:
        ledger.spend(event, known_to=SampleKnownTo.PARTICIPANTS)
        assert ledger.spent == pytest.approx(RdpAccountant().compose(event).epsilon(1e-5).value, rel=1e-9)


def test_a_fixed_sample_amplifies_under_replace_one(tmp_path: Path):
    inner = Gaussian(3.0, Relation.REPLACE_ONE)
    event = SampledWithoutReplacement(1000, 10, inner)
    with Ledger.create(tmp_path / "ledger", replace(CENTRAL, relation=Relation.REPLACE_ONE)) as ledger:
        ledger.spend(event, 5)
        assert ledger.spent == pytest.approx(RdpAccountant().compose(event, 5).epsilon(1e-5).value, rel=1e-9)


def test_several_events_are_spent_together_or_not_at_all(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, CENTRAL) as ledger:
        before = path.read_bytes()
        with pytest.raises(BudgetExceededError):
            ledger.spend(Composed(((Gaussian(2.0), 1), (Gaussian(1.9), 4))))
        assert path.read_bytes() == before
        ledger.spend(Composed(((Gaussian(2.0), 1), (Gaussian(3.0), 1))))
    assert [type(record) for record in records_of(path)] == [Header, Central, Central]


def test_what_happened_is_recorded_whatever_the_budget(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, CENTRAL) as ledger:
        ledger.record_past(Gaussian(0.5))
        assert ledger.spent > 4
        with pytest.raises(BudgetExceededError):
            ledger.spend(Gaussian(100.0))
    with Ledger.open(path) as ledger:
        assert ledger.spent > 4


@pytest.mark.parametrize(
    ("event", "error", "text"),
    [
        (NonPrivate(Relation.ADD_REMOVE, Unit.EXAMPLE), UnsupportedEventError, "one trusted party"),
        (Skellam(Fraction(9), 1, 1), UnsupportedEventError, "reserved"),
        (PoissonSampled(0.5, PoissonSampled(0.5, Gaussian(1.0))), UnsupportedEventError, "trusted"),
        (Gaussian(9.0, Relation.ZERO_OUT), UnlikeEventsError, "relation"),
        (Gaussian(9.0, unit=Unit.CLIENT), UnlikeEventsError, "unit"),
        ("gaussian", UnsupportedEventError, "trusted"),
    ],
    ids=repr,
)
def test_other_events_are_refused(tmp_path: Path, event: Any, error: type[Exception], text: str):
    with Ledger.create(tmp_path / "ledger", CENTRAL) as ledger:
        with pytest.raises(error, match=text):
            ledger.spend(event)
        assert ledger.spent == 0


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_counts_are_positive_integers(tmp_path: Path, count: Any):
    with (
        Ledger.create(tmp_path / "ledger", CENTRAL) as ledger,
        pytest.raises(InvalidParameterError, match="count"),
    ):
        ledger.spend(Gaussian(9.0), count)


# --- Heads, keys and continued files ---


def test_heads_are_signed_by_the_key_of_the_header(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1)
    with Ledger.open(path, KEY) as ledger:
        ledger.sign_head()
        ledger.finish()
    with pytest.raises(InvalidParameterError, match="key"):
        Ledger.open(path)
    with pytest.raises(InvalidParameterError, match="key") as refused:
        Ledger.open(path, LedgerKey(bytes(32)))
    assert bytes(32).hex() not in str(refused.value)


def test_an_unsigned_ledger_signs_nothing(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger, pytest.raises(LedgerRefusedError, match="no key"):
        ledger.sign_head()
    with pytest.raises(InvalidParameterError, match="key"):
        Ledger.open(path, KEY)


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


def test_a_ledger_continues_another_with_all_that_was_spent(tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    with Ledger.create(old, HEADER) as ledger:
        ledger.reserve(a_round(1))
        ledger.reserve(a_round(2))
        ledger.settle(1, 80)
        ledger.finish()
        spent, head = ledger.spent, ledger.head
    with Ledger.create(new, HEADER, KEY, predecessors=[old]) as ledger:
        assert ledger.spent == spent
        ledger.settle(2, 90)
        with pytest.raises(LedgerRefusedError, match="rounds rise"):
            ledger.reserve(a_round(2))
        ledger.reserve(a_round(3))
        both = ledger.spent
        assert len(ledger.lines_since(head)) == 3
    assert both > spent
    assert decode(lines_of(new)[0], 1)[1] == head
    with pytest.raises(LedgerRefusedError, match="give that one too, first"):
        Ledger.open(new, KEY)
    with Ledger.open(new, KEY, predecessors=[old]) as ledger:
        assert ledger.spent == both
        assert ledger.unsettled == (3,)
        assert len(ledger.lines_since(head)) == 3


def test_an_open_ledger_is_not_continued(tmp_path: Path):
    a_ledger(tmp_path / "old", rounds=1, key=None)
    with pytest.raises(LedgerRefusedError, match="not closed"):
        Ledger.create(tmp_path / "new", HEADER, predecessors=[tmp_path / "old"])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "change",
    [{"scope": "other"}, {"delta": Fraction(1, 10)}, {"budget": Fraction(9)}, {"colluders": 0}],
    ids=str,
)
def test_a_continued_ledger_keeps_the_budget_and_its_assumptions(tmp_path: Path, change: dict[str, Any]):
    with Ledger.create(tmp_path / "old", HEADER) as ledger:
        ledger.finish()
    with pytest.raises(LedgerRefusedError, match="another header"):
        Ledger.create(tmp_path / "new", replace(HEADER, **change), predecessors=[tmp_path / "old"])


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path):
    for name, rounds in (("one", 1), ("two", 2)):
        with Ledger.create(tmp_path / name, HEADER) as ledger:
            for number in range(rounds):
                ledger.reserve(a_round(number + 1))
            ledger.finish()
    Ledger.create(tmp_path / "next", HEADER, predecessors=[tmp_path / "one"]).close()
    with pytest.raises(BadRecordError) as refused:
        Ledger.open(tmp_path / "next", predecessors=[tmp_path / "two"])
    assert (refused.value.record, refused.value.fault) == (1, Fault.CHAIN)


def test_lines_since_a_head_are_those_that_were_added(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        first = ledger.head
        second = ledger.reserve(a_round(1))
        ledger.settle(1, 80)
        lines = lines_of(path)
        assert ledger.lines_since(NO_HEAD) == tuple(lines)
        assert ledger.lines_since(first) == tuple(lines[1:])
        assert ledger.lines_since(second) == tuple(lines[2:])
        assert ledger.lines_since(ledger.head) == ()
        with pytest.raises(InvalidParameterError, match="head"):
            ledger.lines_since(bytes(31) + b"\1")
    with Ledger.open(path) as ledger:
        assert ledger.lines_since(second) == tuple(lines[2:])


@pytest.mark.parametrize(
    "change", [{"delta": Fraction(0)}, {"delta": Fraction(1)}, {"delta": 1e-5}, {"budget": -1}, {"colluders": -1}]
)
def test_a_header_out_of_range_makes_no_file(tmp_path: Path, change: dict[str, Any]):
    with pytest.raises(InvalidParameterError, match=next(iter(change))):
        Ledger.create(tmp_path / "ledger", replace(HEADER, **change))
    assert not (tmp_path / "ledger").exists()


# --- Keys and errors ---


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33), "a" * 32, bytearray(32)])
def test_a_key_is_32_bytes(seed: Any):
    with pytest.raises(InvalidParameterError) as refused:
        LedgerKey(seed)
    assert repr(seed) not in str(refused.value)


def test_a_key_shows_its_public_half_alone():
    key = LedgerKey.generate()
    assert key.seed().hex() not in repr(key)
    assert repr(key) == f"<LedgerKey {key.public_key.hex()[:16]}>"
    assert LedgerKey(key.seed()).public_key == key.public_key
    assert LedgerKey.generate().seed() != key.seed()


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


def test_one_more_round_of_a_plan_computes_no_new_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Ledger.create(tmp_path / "ledger", replace(HEADER, budget=Fraction(10**9))) as ledger:
        ledger.reserve(a_round(1))
        new: list[object] = []
        real = ledger_epsilon.many_curves

        def noting(events: Iterable[Event]) -> dict[Event, Any]:
            noted = list(events)
            new.extend(noted)
            return real(noted)

        monkeypatch.setattr(ledger_epsilon, "many_curves", noting)
        ledger.reserve(a_round(2))
        ledger.settle(2, 90)
        assert new == []
        ledger.reserve(a_round(3, local_variance=Fraction(10**10)))
        assert len(new) == 1
