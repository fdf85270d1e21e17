"""Figures at the ends of what floats hold: never an epsilon that is too small, and never one that is no number."""

import math
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from dp.accounting.accountant import RdpAccountant
from dp.accounting.analytic_gaussian import gaussian_epsilon
from dp.errors import DPError, InvalidParameterError
from dp.events import (
    Composed,
    DiscreteGaussian,
    Gaussian,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.ledger.audit import audit
from dp.ledger.audit_report import Verdict
from dp.ledger.errors import LedgerRefusedError, RoundRefusedError
from dp.ledger.records import NO_HEAD, encode, line_hash
from dp.ledger.round_counter import RoundCounter
from dp.ledger.writer import Ledger
from dp.mechanisms.clipping import clip
from dp.renyi.sampled_gaussian import poisson_gaussian_rdp
from dp.vocabulary import Adversary, Relation, SampleKnownTo, Sampling, Unit
from tests.kit.ledger_scene import HEADER, a_round

REPLACE_ONE, CLIENT = Relation.REPLACE_ONE, Unit.CLIENT


def exact_rdp(q: float, sigma: float, alpha: float) -> float:
    """By quadrature of (1 + r)^alpha against the unsampled Gaussian, its peaks made known."""
    with mp.workdps(40):
        q, s, a = mp.mpf(q), mp.mpf(sigma), mp.mpf(alpha)

        def term(z):
            return mp.npdf(z, 0, s) * (1 + q * mp.expm1((2 * z - 1) / (2 * s * s))) ** a

        turn = mp.mpf(1) / 2 + s * s * mp.log(1 / q)
        # Beyond the turn it is q^alpha times a Gaussian about alpha, before it a Gaussian about 0, nearly.
        places = sorted({-12 * s, mp.mpf(0), turn, a - 12 * s, a - 3 * s, a, a + 3 * s, a + 12 * s})
        return float(mp.log(mp.quad(term, places)) / (a - 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sigma", "alpha"),
    [(0.02, 1.5), (0.03, 1.9), (0.035, 1.99), (0.04, 1.99), (0.045, 1.99), (0.05, 1.2), (0.012, 1.0001), (0.1, 1.7)],
)
@pytest.mark.parametrize("q", [0.5, 1e-3])
def test_hardly_any_noise_between_orders_1_and_2_loses_nothing(q: float, sigma: float, alpha: float):
    found = float(poisson_gaussian_rdp(alpha, probability=np.array([q]), noise_multiplier=np.array([sigma]))[0])
    assert found >= exact_rdp(q, sigma, alpha) * (1 - 1e-11)


@pytest.mark.parametrize("sigma", [0.0078, 0.0095, 0.01, 0.0113, 0.02])
def test_a_million_releases_of_hardly_any_noise_are_no_privacy(sigma: float):
    assert RdpAccountant().compose(PoissonSampled(0.5, Gaussian(sigma)), 10**6).epsilon(1e-5).value > 1e7


@pytest.mark.parametrize(
    "event",
    [
        Skellam(Fraction(1, 10**300), 2**96, 2**96, REPLACE_ONE, CLIENT),
        SampledWithoutReplacement(10, 1, Skellam(Fraction(1, 10**300), 2**96, 2**96, REPLACE_ONE, CLIENT)),
        SampledWithoutReplacement(10, 1, DiscreteGaussian(Fraction(1, 10**300), 2**96, REPLACE_ONE, CLIENT)),
        DiscreteGaussian(Fraction(1, 10**300), 2**96, REPLACE_ONE, CLIENT),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_overflows_is_infinite_and_not_nothing(event):
    accountant = RdpAccountant().compose(event, 3)
    assert accountant.epsilon(1e-5).value > 1e5
    assert not np.isnan(accountant.rdp([1.0, 1.5, 2.0, 3.0, 7.5, 64.0])).any()
    assert accountant.delta(1.0).value > 0.05
    assert accountant.would_exceed(event, 1, 100.0, 1e-5)


def test_a_record_without_noise_is_refused(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", HEADER) as ledger:
        for changes in ({"local_variance": Fraction(1, 2**81)}, {"clip_bit_variance": Fraction(1, 2**81)}):
            with pytest.raises(InvalidParameterError, match=next(iter(changes))):
                ledger.reserve(a_round(1, **changes))


@pytest.mark.parametrize(
    ("header", "changes", "field"),
    [
        (
            {"unit": Unit.EXAMPLE, "relation": REPLACE_ONE, "adversary": Adversary.OUTSIDER},
            {"sampling": Sampling(SampleKnownTo.PARTICIPANTS, population=10**4, sample=100)},
            "sampling",
        ),
        ({"unit": Unit.EXAMPLE}, {"clip_bit_variance": Fraction(4)}, "clip_bit_variance"),
        (
            {"relation": REPLACE_ONE},
            {"sampling": Sampling(SampleKnownTo.NOBODY, population=10**6, sample=100)},
            "sampling.known_to",
        ),
    ],
)
def test_amplification_and_bits_that_are_not_proved_are_wrong_figures(tmp_path: Path, header, changes, field):
    header = replace(HEADER, budget=Fraction(10**6), **header)
    path = tmp_path / "ledger"
    with Ledger.create(path, header) as ledger, pytest.raises(InvalidParameterError) as caught:
        ledger.reserve(a_round(1, **changes))
    assert caught.value.parameter == field
    # Nor is such a record believed that somebody else wrote.
    with path.open("ab") as file:
        file.write(encode(a_round(1, **changes), line_hash(path.read_bytes())))
    report = audit([path])
    assert report.verdict is Verdict.WRONG_FIGURE
    assert field in str(report.faults[0])


def test_denormal_deltas_are_not_rounded_away():
    with mp.workdps(30):
        for mu, delta in ((1.0, 1e-318), (5.0, 5e-324)):
            found = mp.mpf(gaussian_epsilon(mu, delta=delta))
            actual = mp.ncdf(mu / 2 - found / mu) - mp.exp(found) * mp.ncdf(-mp.mpf(mu) / 2 - found / mu)
            assert actual <= mp.mpf(delta) * (1 + mp.mpf(10) ** -6)


def test_compositions_of_compositions_have_an_end():
    deep = many = Gaussian(1.0)
    for _ in range(16):
        deep = Composed(((deep, 2),))
    with pytest.raises(InvalidParameterError, match="deep"):
        Composed(((deep, 2),))
    for _ in range(10):
        many = Composed(((many, 1), (many, 1), (many, 1)))
    with pytest.raises(InvalidParameterError, match="parts"):
        Composed(((many, 1), (many, 1)))
    with pytest.raises(InvalidParameterError, match="releases"):
        Composed(((Composed(((Gaussian(1.0), 2**62),)), 4),))


def test_an_error_about_a_huge_number_can_be_printed():
    for refused in (lambda: DiscreteGaussian(Fraction(10**5000), 1, REPLACE_ONE, CLIENT), lambda: Gaussian(-1.0)):
        with pytest.raises(DPError) as caught:
            refused()
        assert len(str(caught.value)) < 600


def test_masked_arrays_are_refused():
    with pytest.raises(InvalidParameterError, match="MaskedArray"):
        clip(np.ma.masked_array([1.0, 100.0], mask=[False, True]), 1.0)


def test_pipes_and_links_are_no_ledgers_and_nobody_waits_for_them(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for attempt in (lambda: audit([pipe]), lambda: Ledger.open(pipe), lambda: Ledger.create(pipe, HEADER)):
        with pytest.raises((LedgerRefusedError, OSError)):
            attempt()
    with pytest.raises(LedgerRefusedError, match="no regular file"):
        RoundCounter(pipe, "ward", 3)
    path = tmp_path / "ledger"
    Ledger.create(path, HEADER).close()
    with path.open("ab") as file:
        file.write(b"torn")
    (tmp_path / "ledger.torn").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="torn"):
        Ledger.open(path)
    assert not (tmp_path / "elsewhere").exists()
    assert path.read_bytes().endswith(b"torn")


def chained(*records) -> list[bytes]:
    lines, head = [], NO_HEAD
    for record in records:
        lines.append(encode(record, head))
        head = line_hash(lines[-1])
    return lines


def test_a_client_believes_no_second_header_and_no_second_reserve(tmp_path: Path):
    counter = RoundCounter(tmp_path / "counter", HEADER.scope, 10)
    two = chained(HEADER, replace(HEADER, budget=Fraction(10**6)))
    with pytest.raises(RoundRefusedError, match="another header"):
        counter.accept(1, two)
    header = chained(HEADER)
    counter.accept(1, header)
    twice = chained(HEADER, a_round(1), a_round(1, local_variance=Fraction(1)))
    with pytest.raises(RoundRefusedError, match="round 1"):
        counter.witness(twice[1:])
    for lines in (None, "text", b"bytes", ["text"]):
        with pytest.raises(InvalidParameterError, match="lines"):
            counter.witness(lines)
    assert counter.witness(twice[1:2]).round == 1


def test_nan_is_not_within_a_budget():
    assert math.isnan(math.inf - math.inf)
    accountant = RdpAccountant()
    event = SampledWithoutReplacement(10, 1, Skellam(Fraction(1, 10**300), 2**96, 2**96, REPLACE_ONE, CLIENT))
    assert accountant.remaining(event, 1e6, 1e-5) == 0


def test_a_header_that_follows_no_close_is_no_continuation(tmp_path: Path):
    """A server that lost its ledger begins another file that names the head of the lost one."""
    path = tmp_path / "ledger"
    counter = RoundCounter(tmp_path / "counter", HEADER.scope, 10)
    with Ledger.create(path, HEADER) as ledger:
        counter.accept(1, ledger.lines_since(NO_HEAD))
        forged = encode(HEADER, ledger.head)
        with pytest.raises(RoundRefusedError, match="another header"):
            counter.accept(2, [forged])
        before = ledger.head
        ledger.finish()
        counter.accept(2, ledger.lines_since(before))
    # After a close, also one that was seen an exchange ago, a file may follow.
    with Ledger.create(tmp_path / "next", HEADER, predecessors=[path]) as ledger:
        counter.accept(3, ledger.lines_since(counter.head))
