"""A ledger says what was released, without noise too, and who was in it; an audit tells what was only recomputed."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from dp import (
    BudgetExceededError,
    Composed,
    DiscreteGaussian,
    Gaussian,
    Header,
    InvalidParameterError,
    Ledger,
    NonPrivate,
    PoissonSampled,
    RdpAccountant,
    Relation,
    SampleKnownTo,
    Unit,
    UnsupportedEventError,
    audit,
    from_opacus,
)
from dp.ledger import Assurance, AuditTimeError, LedgerKey, Sum, Verdict, members_bitmap
from tests.kit.audit_scene import run
from tests.kit.ledger_scene import HEADER, KEY, a_ledger, a_round, changed, lines_of, rechained

EXAMPLES = Header(
    scope="one study", unit=Unit.EXAMPLE, relation=Relation.ADD_REMOVE, delta=Fraction(1, 10**5), budget=Fraction(8)
)
NOBODY = SampleKnownTo.NOBODY


# --- Releases without noise ---


def test_steps_without_noise_are_recorded_and_nothing_bounds_them(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, EXAMPLES) as ledger:
        ledger.record_past(from_opacus([(1.1, 0.01, 100), (0.0, 0.01, 10)]), known_to=NOBODY, label="a run of May")
        assert ledger.spent == float("inf")
        with pytest.raises(BudgetExceededError):
            ledger.spend(Gaussian(100.0))
    code, output = run(path)
    assert code == 1
    assert "Nothing bounds what these releases give away: record 3." in output
    assert output.splitlines()[-1] == "OVER BUDGET: eps_promised is unbounded of 8."
    figures = json.loads(run(path, "--json")[1])
    assert [release["label"] for release in figures["releases"]] == ["a run of May"] * 2
    assert [release["epsilon"]["promised"] is None for release in figures["releases"]] == [False, True]


def test_what_has_no_noise_is_not_spent_on_a_budget(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", EXAMPLES) as ledger:
        head = ledger.head
        for event in (
            from_opacus([(0.0, 0.01, 10)]),
            NonPrivate(Relation.ADD_REMOVE, Unit.EXAMPLE),
            PoissonSampled(0.5, Composed(((Gaussian(1.0), 1), (NonPrivate(Relation.ADD_REMOVE, Unit.EXAMPLE), 1)))),
        ):
            with pytest.raises(UnsupportedEventError, match="recorded as past"):
                ledger.spend(event, known_to=NOBODY)
        assert ledger.head == head


def test_a_sum_without_noise_is_a_record_and_who_was_in_it_can_be_asked(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        cohort = ledger.record_cohort([11, 12, 13])
        ledger.record_sum(
            Sum(
                session=b"a session",
                invited=3,
                survivors=2,
                members=members_bitmap([11, 12, 13], ids=[11, 13]),
                cohort=cohort,
                context=bytes(32),
                roster=bytes(32),
                label="counts by ward",
                run=b"study 7",
                evidence=bytes(range(32)),
            )
        )
    code, output = run(path, "--participant", 13)
    assert code == 1
    assert "The participant was in 1 of 1 sums: record 3." in output
    assert "The participant was in 0 of 1 sums." in run(path, "--participant", 12)[1]
    release = json.loads(run(path, "--participant", 13, "--json")[1])["releases"][0]
    assert (release["mechanism"], release["label"], release["members"]) == ("none", "counts by ward", [0, 2])
    assert bytes.fromhex(release["run"]) == b"study 7"
    assert bytes.fromhex(release["evidence"]) == bytes(range(32))


def test_a_history_of_too_many_levels_is_refused_by_its_own_name():
    with pytest.raises(InvalidParameterError) as refused:
        from_opacus([(1.0 + level / 2**20, 0.01, 1) for level in range(70_000)])
    assert refused.value.parameter == "history"
    assert "split it" in str(refused.value)


# --- Several records of one call ---


SAMPLED = PoissonSampled(0.1, Composed(((Gaussian(1.0), 2), (Gaussian(3.0), 1))))
SAMPLED_DISCRETELY = PoissonSampled(
    0.1, Composed(((DiscreteGaussian(Fraction(4), 1, Relation.ADD_REMOVE, Unit.EXAMPLE), 2), (Gaussian(3.0), 1)))
)


@pytest.mark.parametrize("event", [SAMPLED, SAMPLED_DISCRETELY], ids=["gaussian", "discrete"])
def test_a_composition_on_one_sample_is_on_the_ledger_as_in_the_accountant(tmp_path: Path, event: PoissonSampled):
    path = tmp_path / "ledger"
    with Ledger.create(path, EXAMPLES) as ledger:
        ledger.record_past(event, 3, known_to=NOBODY)
        spent = ledger.spent
    accountant = RdpAccountant().compose(event, 3)
    # The ledger also pays for the samplers, a total variation of 2**-100 a sample.
    assert spent == pytest.approx(accountant.epsilon(1e-5).value, rel=1e-6)
    assert spent >= accountant.epsilon(1e-5).value * (1 - 1e-12)
    report = audit([path])
    assert (len(report.releases), report.total.promised) == (1, pytest.approx(spent))


@pytest.mark.parametrize("kept", range(4))
def test_half_of_a_call_does_not_count(tmp_path: Path, kept: int):
    path = tmp_path / "ledger"
    parts = Composed(tuple((Gaussian(10.0 + part), 1) for part in range(4)))
    with Ledger.create(path, EXAMPLES) as ledger:
        head = ledger.head
        ledger.spend(parts)
        spent = ledger.spent
    lines = lines_of(path)
    assert len(lines) == 5
    for torn in (b"", lines[1 + kept][:-1]):
        path.write_bytes(b"".join(lines[: 1 + kept]) + torn)
        assert audit([path]).total.promised == 0
        with Ledger.open(path) as ledger:
            assert (ledger.spent, ledger.head, ledger.torn is not None) == (0, head, bool(kept or torn))
            ledger.spend(parts)
            assert ledger.spent == spent


# --- Recomputed is not anchored ---


def bare(path: Path) -> None:
    a_ledger(path, key=None)


def signed(path: Path) -> None:
    a_ledger(path)


def closed(path: Path) -> None:
    with Ledger.create(path, HEADER, KEY) as ledger:
        ledger.reserve(a_round(1))
        ledger.finish()


def signed_by_another(path: Path) -> None:
    with Ledger.create(path, HEADER, LedgerKey(bytes(32))) as ledger:
        ledger.reserve(a_round(1))
        ledger.finish()


KEY_OPTION = ("--expect-key", KEY.public_key.hex())


@pytest.mark.parametrize(
    ("write", "options", "required", "unmet"),
    [
        (bare, (), "signed", ["signed"]),
        (bare, (), "anchored", ["anchored"]),
        (bare, (), "closed", ["closed"]),
        (bare, ("--expect-head", "HEAD"), "anchored", []),
        (bare, ("--expect-head", "HEAD"), "signed,anchored", ["signed"]),
        (bare, ("--expect-head", "OLDER"), "anchored", ["anchored"]),
        (signed, (), "signed", []),
        (signed, (), "signed,anchored", ["anchored"]),
        (signed, KEY_OPTION, "signed,anchored", []),
        (signed, KEY_OPTION, "signed, anchored, closed", ["closed"]),
        (closed, KEY_OPTION, "signed,anchored,closed", []),
        (closed, (), "signed,closed", []),
        (closed, ("--expect-head", "OLDER"), "anchored", ["anchored"]),
        (closed, ("--expect-head", "OLDER", *KEY_OPTION), "anchored", []),
        (signed_by_another, (), "signed,anchored,closed", ["anchored"]),
    ],
)
def test_a_script_gets_what_it_requires_or_status_4(
    tmp_path: Path, write: Callable[[Path], None], options: tuple[str, ...], required: str, unmet: list[str]
):
    path = tmp_path / "ledger"
    write(path)
    heads = _heads(path)
    given = [{"HEAD": heads[-1], "OLDER": heads[-2]}.get(option, option) for option in options]
    assert run(path, *given)[0] == 0
    code, output = run(path, *given, "--require", required)
    assert code == (4 if unmet else 0)
    if unmet:
        assert output.splitlines()[-1].startswith("NOT ANCHORED AS REQUIRED")
    figures = json.loads(run(path, *given, "--require", required, "--json")[1])
    assert figures["unmet"] == unmet
    assert figures["verdict"] == ("not anchored as required" if unmet else "fine")


def _heads(path: Path) -> list[str]:
    return [*(json.loads(line)["previous"] for line in lines_of(path)[1:]), audit([path]).files[-1].head.hex()]


def test_a_key_that_is_not_the_expected_one_is_broken_whatever_is_required(tmp_path: Path):
    signed_by_another(tmp_path / "ledger")
    assert run(tmp_path / "ledger", *KEY_OPTION, "--require", "signed,anchored,closed")[0] == 3


def test_a_rewritten_file_and_one_that_was_cut_are_fine_only_where_nothing_is_required(tmp_path: Path):
    path = tmp_path / "ledger"
    bare(path)
    lines = lines_of(path)
    rewritten = rechained([lines[0], changed(lines[1], label="something else"), *lines[2:]])
    for content in (b"".join(lines[:3]), rewritten):
        path.write_bytes(content)
        code, output = run(path)
        assert code == 0
        assert "recomputed, not anchored" in output
        for required in Assurance:
            assert run(path, "--require", required)[0] == 4


def test_what_the_words_of_a_requirement_are_is_said(tmp_path: Path):
    bare(tmp_path / "ledger")
    code, output = run(tmp_path / "ledger", "--require", "notarised")
    assert code == 2
    assert "signed, anchored, closed" in " ".join(output.replace("│", "").split())
    for wrong in ("signed", ["notarised"], 5):
        with pytest.raises(InvalidParameterError, match="required"):
            audit([tmp_path / "ledger"], required=wrong)  # type: ignore[arg-type]


# --- Files made to be slow ---


def test_an_audit_stops_when_its_time_is_over(tmp_path: Path):
    path = tmp_path / "ledger"
    bare(path)
    with pytest.raises(AuditTimeError) as stopped:
        audit([path], max_seconds=1e-9)
    assert (stopped.value.step, stopped.value.max_seconds) == ("reading records", 1e-9)
    code, output = run(path, "--max-seconds", "0.000000001")
    assert code == 2
    assert "--max-seconds" in output
    assert audit([path], max_seconds=float("inf")).verdict is Verdict.FINE
    for wrong in (0, -1, float("nan"), "60", True):
        with pytest.raises(InvalidParameterError, match="max_seconds"):
            audit([path], max_seconds=wrong)  # type: ignore[arg-type]


# --- The file of version 1 ---


def test_a_ledger_of_version_1_is_read_audited_and_continued(tmp_path: Path):
    path = tmp_path / "ledger"
    path.write_bytes((Path(__file__).parents[1] / "dp" / "ledger" / "version_1.jsonl").read_bytes())
    report = audit([path], expected_key=KEY.public_key, required=list(Assurance))
    assert report.verdict is Verdict.FINE
    assert report.total.promised == pytest.approx(0.9972374101926385, rel=1e-9)
    with Ledger.create(tmp_path / "next", HEADER, KEY, predecessors=[path]) as ledger:
        ledger.record_cohort([1, 2, 3])
        ledger.reserve(a_round(3, label="of version 2"))
    assert audit([path, tmp_path / "next"]).verdict is Verdict.FINE
