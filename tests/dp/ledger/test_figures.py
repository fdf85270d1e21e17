"""The figures of an audit: each recomputed from the records alone, and wrong ones told."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from dp.accounting.accountant import RdpAccountant
from dp.events import Gaussian, PoissonSampled, SampledWithoutReplacement, Skellam
from dp.ledger.audit import AuditReport, Figures, Verdict, audit
from dp.ledger.errors import BadRecordError, Fault
from dp.ledger.writer import Ledger
from dp.vocabulary import Relation, SampleKnownTo, Sampling, Unit
from tests.kit.ledger_scene import HEADER, KEY, a_ledger, a_round, changed, lines_of, rechained


def found(path: Path, **options: bytes) -> AuditReport:
    return audit([path], **options)


def faults(report: AuditReport) -> list[tuple[int, str]]:
    return [(fault.record, fault.fault) for fault in report.faults]


def test_every_figure_is_recomputed_from_the_records(tmp_path: Path):
    path = tmp_path / "ledger"
    sampling = Sampling(SampleKnownTo.PARTICIPANTS, population=1000, sample=100)
    header = replace(HEADER, relation=Relation.REPLACE_ONE, budget=Fraction(50))
    with Ledger.create(path, header, KEY) as ledger:
        for number, survivors in ((1, 100), (2, 85), (4, None)):
            ledger.reserve(a_round(number, sampling=sampling, local_variance=Fraction(10**7)))
            if survivors is not None:
                ledger.settle(number, survivors)
        head, spent = ledger.sign_head(), ledger.spent
    report = found(path, expected_head=head, expected_key=KEY.public_key)
    assert report.verdict is Verdict.FINE
    assert report.faults == ()
    assert report.unsettled == (4,)
    assert report.after_expected == 0
    assert [release.round for release in report.releases] == [1, 2, 4]
    assert [release.place.record for release in report.releases] == [2, 4, 6]
    assert [release.survivors for release in report.releases] == [100, 85, None]

    def seen(shares: int) -> Skellam:
        return Skellam(shares * Fraction(10**7), 4 * 10**6, 2 * 10**6, Relation.REPLACE_ONE)

    def epsilon(*honest: int) -> float:
        accountant = RdpAccountant()
        for shares in honest:
            accountant.compose(seen(shares))
        return accountant.epsilon(1e-5).value

    assert report.total.promised == pytest.approx(epsilon(68, 68, 68), rel=1e-9)
    assert report.total.promised == spent
    assert report.total.realised == pytest.approx(epsilon(98, 83, 68), rel=1e-9)
    assert report.total.server == report.total.promised
    outside = RdpAccountant().compose(SampledWithoutReplacement(1000, 100, seen(68)), 3).epsilon(1e-5).value
    assert report.total.outsider == pytest.approx(outside, rel=1e-9)
    assert outside < report.total.server
    for release, honest in zip(report.releases, (98, 83, 68), strict=True):
        assert release.epsilon.promised == pytest.approx(epsilon(68), rel=1e-9)
        assert release.epsilon.realised == pytest.approx(epsilon(honest), rel=1e-9)
        assert release.epsilon.server == release.epsilon.promised
        assert release.claimed == pytest.approx(epsilon(68), rel=0.01)
    so_far = [release.so_far.promised for release in report.releases]
    assert so_far == sorted(so_far)
    assert so_far[-1] == report.total.promised
    assert so_far[1] == pytest.approx(epsilon(68, 68), rel=0.01)


def test_no_bound_is_above_another_that_holds_too(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=30)
    report = found(path)
    for figures in (report.total, *(release.epsilon for release in report.releases)):
        assert figures.realised <= figures.promised
        assert figures.outsider <= figures.server
    for release in report.releases:
        assert all(part <= whole for part, whole in zip(release.so_far, report.total, strict=True))
        assert all(part <= whole for part, whole in zip(release.epsilon, report.total, strict=True))


def test_central_and_distributed_noise_share_a_ledger(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        ledger.reserve(a_round(1))
        ledger.spend(Gaussian(5.0, Relation.ZERO_OUT, Unit.CLIENT), 7)
        event = PoissonSampled(0.01, Gaussian(2.0, Relation.ZERO_OUT, Unit.CLIENT))
        ledger.spend(event, 3, known_to=SampleKnownTo.PARTICIPANTS)
    report = found(path)
    assert [(release.mechanism, release.count) for release in report.releases] == [
        ("skellam", 1),
        ("gaussian", 7),
        ("gaussian", 3),
    ]
    assert report.continuous == 10
    assert report.releases[2].epsilon.outsider < report.releases[2].epsilon.server / 3
    assert report.total.outsider < report.total.server == report.total.promised
    accountant = RdpAccountant().compose(Skellam(68 * a_round(1).local_variance, 10**6, 10**6))
    accountant.compose(Gaussian(5.0, Relation.ZERO_OUT, Unit.CLIENT), 7)
    accountant.compose(Gaussian(2.0, Relation.ZERO_OUT, Unit.CLIENT), 3)
    assert report.total.server == pytest.approx(accountant.epsilon(1e-5).value, rel=1e-9)


def test_an_empty_ledger_has_spent_nothing(tmp_path: Path):
    path = tmp_path / "ledger"
    Ledger.create(path, HEADER).close()
    report = found(path)
    assert report.verdict is Verdict.FINE
    assert report.total == Figures(0.0, 0.0, 0.0, 0.0)
    assert report.releases == ()
    assert report.header == HEADER


def swap(lines: list[bytes], i: int, j: int) -> list[bytes]:
    lines[i], lines[j] = lines[j], lines[i]
    return lines


WRONG: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "more survivors than invited": (lambda n: [*n[:2], changed(n[2], survivors=101), *n[3:]], 3, "survivors"),
    "fewer survivors than the minimum": (lambda n: [*n[:2], changed(n[2], survivors=69), *n[3:]], 3, "survivors"),
    "settled twice": (lambda n: [*n[:3], n[2], *n[3:]], 4, "settled already"),
    "settled before it was reserved": (lambda n: swap(n, 1, 2), 2, "no reserve"),
    "one round twice": (lambda n: [*n, n[1]], 8, "rounds rise"),
    "a smaller claim": (lambda n: [*n[:3], changed(n[3], epsilon="1/2"), *n[4:]], 4, "epsilon"),
    "less noise than claimed": (lambda n: [*n[:3], changed(n[3], local_variance="400000/1"), *n[4:]], 4, "epsilon"),
    "fewer survivors than claimed": (lambda n: [*n[:3], changed(n[3], min_survivors=60), *n[4:]], 4, "epsilon"),
    "a longer vector than claimed": (
        lambda n: [*n[:3], changed(n[3], squared_norm_bound=2 * 10**6, l1_bound=2 * 10**6), *n[4:]],
        4,
        "epsilon",
    ),
    "a smaller delta": (lambda n: [changed(n[0], delta="1/1000000000"), *n[1:]], 2, "epsilon"),
    "more colluders": (lambda n: [changed(n[0], colluders=20), *n[1:]], 2, "epsilon"),
    "an l1 bound below what follows": (lambda n: [*n[:1], changed(n[1], l1_bound=10), *n[2:]], 2, "l1_bound"),
    "a threshold above the invited": (lambda n: [*n[:1], changed(n[1], threshold=101), *n[2:]], 2, "threshold"),
    "as many colluders as survivors": (lambda n: [changed(n[0], colluders=70), *n[1:]], 2, "colluders"),
    "shares under add/remove": (lambda n: [changed(n[0], relation="add-remove"), *n[1:]], 2, "relation"),
    "too little noise for the proof": (
        lambda n: [*n[:1], changed(n[1], mechanism="distributed-discrete-gaussian", local_variance="1/5"), *n[2:]],
        2,
        "local_variance",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_figure_is_told_from_a_broken_chain(tmp_path: Path, name: str):
    change, record, word = WRONG[name]
    path = tmp_path / "ledger"
    a_ledger(path, key=None)
    # Whoever writes wrong figures into an unsigned ledger makes its hashes anew.
    path.write_bytes(rechained(change(lines_of(path))))
    report = found(path)
    assert faults(report) == [(record, Fault.FIGURE)]
    assert word in report.faults[0].detail
    assert report.verdict is Verdict.WRONG_FIGURE
    with pytest.raises(Exception, match=f"record {record}: figure"):
        Ledger.open(path)


def test_a_larger_claim_than_needed_is_no_wrong_figure(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, key=None)
    for claim in ("5/1", None):
        path.write_bytes(
            rechained(changed(line, epsilon=claim) if b'"reserve"' in line else line for line in lines_of(path))
        )
        assert found(path).verdict is Verdict.FINE


def test_a_wrong_figure_and_then_a_broken_chain_are_both_named(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, key=None)
    lines = rechained([*lines_of(path)[:2], *lines_of(path)[1:]]).splitlines(keepends=True)
    lines[4] = changed(lines[4], threshold=3)
    path.write_bytes(b"".join(lines))
    report = found(path)
    assert faults(report) == [(3, Fault.FIGURE), (5, Fault.CHAIN)]
    assert report.verdict is Verdict.BROKEN
    # Figures are of what comes before the first fault.
    assert len(report.releases) == 1


def test_what_follows_a_false_claim_counts_for_nothing(tmp_path: Path) -> None:
    """A round that was settled after it is unsettled in the audit, and a later file is not looked at."""
    path, more = tmp_path / "ledger", tmp_path / "more"
    with Ledger.create(path, HEADER) as ledger:
        ledger.reserve(a_round(1))
        ledger.reserve(a_round(2))
        ledger.settle(1, 90)
        ledger.finish()
    lines = lines_of(path)
    lines[2] = changed(lines[2], epsilon="1/1000")
    path.write_bytes(rechained(lines))
    more.write_bytes(path.read_bytes())
    report = audit([path, more])
    assert report.verdict is Verdict.WRONG_FIGURE
    assert [fault.record for fault in report.faults] == [3]
    assert [release.round for release in report.releases] == [1]
    assert report.releases[0].survivors is None
    assert report.releases[0].epsilon.realised == report.releases[0].epsilon.promised
    assert report.unsettled == (1,)
    assert len(report.files) == 1
    with pytest.raises(BadRecordError) as error:
        Ledger.open(path)
    assert error.value.record == 3
