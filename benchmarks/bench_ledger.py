"""Ledgers of ten thousand records: how long an audit takes, and what a reserve costs.

Targets, on two cores: at most 16 plans with a signed head every 100 records in 2 s; 10**4 different plans with every
record signed in 5 s.
"""

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from dp import (
    Gaussian,
    Header,
    Ledger,
    LedgerKey,
    PoissonSampled,
    Relation,
    Reserve,
    SampleKnownTo,
    Settle,
    Unit,
    audit,
)
from dp.ledger import NO_HEAD, Head, Record, Verdict, encode, line_hash
from dp.ledger.epsilon import EpsilonTable
from dp.ledger.events import EventTable

KEY = LedgerKey(bytes(range(32)))
HEADER = Header(
    scope="benchmark",
    unit=Unit.CLIENT,
    relation=Relation.ZERO_OUT,
    delta=Fraction(1, 10**5),
    budget=Fraction(10),
    colluders=2,
    key=KEY.public_key,
)


def reserve(number: int, plan: int) -> Reserve:
    return Reserve(
        round=number,
        session=number.to_bytes(16, "little"),
        mechanism="skellam",
        invited=100,
        min_survivors=70,
        threshold=51,
        squared_norm_bound=10**6,
        l1_bound=10**6,
        dimension=10**6,
        modulus_bits=32,
        local_variance=Fraction(10**11 + 997 * plan, 20),
        context=number.to_bytes(32, "little"),
        roster=number.to_bytes(32, "big"),
        clip_norm=Fraction(0.1),
        scale=Fraction(1234.5678),
        rounding=Fraction(0.6065306597126334),
    )


def write(path: Path, rounds: int, plans: int, signed_every: int, settled: bool) -> bytes:
    """Writes a ledger without syncing every line; returns its head."""
    events, table, lines, head = EventTable(HEADER), EpsilonTable(HEADER.delta), [], NO_HEAD

    def add(record: Record) -> None:
        nonlocal head
        lines.append(encode(record, head))
        head = line_hash(lines[-1])

    add(HEADER)
    unsigned = itertools.count(1)
    for number in range(1, rounds + 1):
        of_round = reserve(number, number % plans)
        records: list[Record] = [replace(of_round, epsilon=table.claim(events.views(of_round).promised))]
        records += [Settle(round=number, survivors=70 + number % 31)] if settled else []
        for record in records:
            add(record)
            if next(unsigned) % signed_every == 0:
                add(Head(signature=KEY.sign_head(head)))
    path.write_bytes(b"".join(lines))
    return head


@pytest.mark.parametrize(
    ("rounds", "plans", "signed_every", "settled"),
    [(5_000, 16, 100, True), (10_000, 16, 100, False), (10_000, 10_000, 1, False), (5_000, 5_000, 1, True)],
    ids=["16 plans, settled", "16 plans", "10000 plans, all signed", "5000 plans, settled, all signed"],
)
def test_audit(benchmark, tmp_path, rounds, plans, signed_every, settled):
    path = tmp_path / "ledger"
    head = write(path, rounds, plans, signed_every, settled)
    options = {"expected_head": head, "expected_key": KEY.public_key}
    report = benchmark.pedantic(audit, ([path],), options, rounds=5, warmup_rounds=1)
    assert report.verdict is Verdict.FINE
    assert len(report.releases) == rounds
    assert 0 < report.total.realised <= report.total.promised < 10
    benchmark.extra_info["records"] = report.files[0].records


def test_audit_of_a_thousand_different_steps_of_a_trainer(benchmark, tmp_path):
    path = tmp_path / "ledger"
    with Ledger.create(path, replace(HEADER, relation=Relation.ADD_REMOVE, unit=Unit.EXAMPLE, key=None)) as ledger:
        for step in range(1000):
            ledger.record_past(
                PoissonSampled(0.001 + 1e-7 * step, Gaussian(1 + 1e-4 * step)), known_to=SampleKnownTo.NOBODY
            )
    report = benchmark.pedantic(audit, ([path],), rounds=3, warmup_rounds=1)
    assert report.verdict is Verdict.FINE
    assert len(report.releases) == 1000


def test_open(benchmark, tmp_path):
    path = tmp_path / "ledger"
    head = write(path, 5_000, 16, 100, settled=True)

    def opened() -> bytes:
        with Ledger.open(path, KEY) as ledger:
            return ledger.head

    assert benchmark.pedantic(opened, rounds=5, warmup_rounds=1) == head


def test_reserve_and_settle(benchmark, tmp_path):
    """Two records, each of them synced to the disk."""
    numbers = itertools.count(1)
    with Ledger.create(tmp_path / "ledger", HEADER, KEY) as ledger:

        def one_round() -> bytes:
            number = next(numbers)
            ledger.reserve(reserve(number, number % 16))
            return ledger.settle(number, 80)

        head = benchmark.pedantic(one_round, rounds=200, warmup_rounds=20)
        assert head == ledger.head
        assert not ledger.unsettled
