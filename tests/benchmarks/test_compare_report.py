"""The pure parts of the comparison with other libraries: plans, compositions, ratios, tables, verdicts."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.compare import report, run
from benchmarks.compare.peers import contest

CELL = {"clients": 100, "length": 10**6, "dropout_percent": 0}


def measured(contestant, client_cpu_s=0.1, server_cpu_s=0.2, upload_bytes=4_000_000, **more):
    figures = {"client_cpu_s": client_cpu_s, "server_cpu_s": server_cpu_s, "upload_bytes": upload_bytes}
    return {**CELL, "contestant": contestant, "status": "ok", "measured": "whole", "error": 1e-7, **figures, **more}


def missing(contestant, status="unsupported", reason="no such thing"):
    return {**CELL, "contestant": contestant, "status": status, "reason": reason}


def test_a_composition_is_counts_times_unit_costs():
    assert contest.compose({"masks": (99, 0.01), "mean": (1, 0.5)}) == pytest.approx(1.49)
    assert contest.compose({}) == 0


def test_a_session_is_whole_if_there_is_time_and_composed_or_skipped_if_not():
    assert contest.plan(whole_s=60, composed_s=5, limit_s=60) == "whole"
    assert contest.plan(whole_s=61, composed_s=5, limit_s=60) == "composed"
    assert contest.plan(whole_s=1e9, composed_s=1e9, limit_s=float("inf")) == "whole"
    with pytest.raises(contest.SkippedError, match="predicted to take 70 s even when composed; the limit is 60 s"):
        contest.plan(whole_s=1000, composed_s=70, limit_s=60)


@pytest.mark.parametrize(
    ("clients", "percent", "dropped", "threshold"), [(10, 0, 0, 7), (10, 30, 3, 6), (100, 0, 0, 67), (100, 30, 30, 67)]
)
def test_everyone_uses_a_threshold_that_the_survivors_can_meet(clients, percent, dropped, threshold):
    cell = contest.Cell(clients, 5, percent)
    assert len(cell.dropped) == dropped
    assert set(cell.dropped) | set(cell.survivors) == set(range(clients))
    assert cell.threshold == threshold < len(cell.survivors)


def test_a_cell_out_of_range_is_refused():
    for arguments in [(3, 5, 0), (10, 0, 0), (10, 5, 50), (10, 5, -1)]:
        with pytest.raises(ValueError, match="needs 4 clients"):
            contest.Cell(*arguments)


def test_the_plain_mean_is_over_the_survivors():
    cell = contest.Cell(10, 7, 30)
    by_hand = np.mean([cell.vector(client).astype(np.float64) for client in range(3, 10)], axis=0)
    assert cell.vector(0).dtype == np.float32
    assert contest.largest_error(by_hand, cell) < 1e-15
    assert contest.largest_error(by_hand + np.eye(7)[2], cell) == pytest.approx(1)


def test_a_contestant_reports_one_json_object_and_checks_its_error(monkeypatch, capsys):
    monkeypatch.setattr(contest, "pin_to_one_core", lambda: None)
    identity = contest.Identity("library", "1.0", "scheme", "dropouts", "server", "counts")

    def outcome(error):
        return contest.Outcome(1.0, 2.0, 3, 4, "whole", error, 0.5, 5, {}, {}, "the mean")

    def said(contestant):
        monkeypatch.setattr(sys, "argv", ["contestant", "--clients", "20", "--length", "5"])
        contest.main(identity, contestant, None)
        return json.loads(capsys.readouterr().out)

    seen = []
    fine = said(lambda cell, limit_s: seen.append((cell.clients, limit_s)) or outcome(0.5))
    assert seen == [(contest.WARM_UP_CLIENTS, float("inf")), (20, 60.0)]
    assert (fine["status"], fine["client_cpu_s"], fine["threshold"]) == ("ok", 1.0, 13)
    with pytest.raises(AssertionError, match="exceeds"):
        said(lambda _cell, _limit: outcome(0.6))

    def unsupported(_cell, _limit):
        raise contest.UnsupportedError("no dropouts")

    assert said(unsupported)["reason"] == "no dropouts"


def test_cpu_seconds_are_medians_over_the_runs():
    merged = report.combined([measured("flower", client_cpu_s=seconds) for seconds in (3.0, 1.0, 2.5)])
    assert (merged["client_cpu_s"], merged["runs"]) == (2.5, 3)
    assert merged["every_client_cpu_s"] == [3.0, 1.0, 2.5]


def test_one_failed_run_is_the_contestants_result():
    merged = report.combined([measured("flower"), missing("flower", "failed", "wrong sum")])
    assert (merged["status"], merged["reason"]) == ("failed", "wrong sum")


def test_a_ratio_needs_both_figures():
    ours, peer = measured("ours-active"), measured("flower", client_cpu_s=2.0)
    assert report.ratio(peer, ours, "client_cpu_s") == pytest.approx(20)
    assert report.ratio(missing("declearn"), ours, "client_cpu_s") is None
    assert report.ratio(peer, missing("ours-active"), "client_cpu_s") is None


def test_the_active_model_is_the_reference_wherever_it_stands():
    reports = [measured("flower"), measured("ours-curious"), measured("ours-active")]
    assert report.reference(reports)["contestant"] == "ours-active"
    assert report.reference(reports[:2])["contestant"] == "ours-curious"
    assert report.reference(reports[:1]) is None


def test_a_cell_is_a_table_with_ratios_and_says_what_is_missing():
    reports = [measured("ours-active"), measured("flower", 2.0, 67.0, 8_000_000, runs=3), missing("declearn")]
    lines = report.cell_table(reports).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({len(line) for line in lines}) == 1
    flower = ["flower", "2.00 s", "20.0", "67.00 s", "335", "8.000 MB", "2.00", "whole, median of 3", "1e-07"]
    assert cells[2][:3] == ["ours-active", "100.0 ms", "1.00"]
    assert cells[3] == flower
    assert cells[4][:3] == ["declearn", "unsupported", ""]
    assert report.remarks(reports) == ["declearn, unsupported: no such thing"]


def test_without_our_own_rows_there_are_figures_and_no_ratios():
    assert "2.00 s" in report.cell_table([measured("flower", 2.0)])


def test_a_title_says_how_many_vanish():
    assert report.cell_title(measured("flower")) == "n = 100, d = 1,000,000, nobody vanishes"
    title = report.cell_title(measured("flower", dropout_percent=30, threshold=67))
    assert title == "n = 100, d = 1,000,000, threshold 67, 30 vanish after sharing their keys"


def test_a_composed_figure_says_of_what():
    assert report.remarks([measured("flower", measured="composed", note="3 clients ran")]) == [
        "flower, composed: 3 clients ran"
    ]


def test_targets_are_met_missed_or_without_figures():
    target = report.Target("client_cpu_s", "flower", **CELL, at_least=20)
    reports = [measured("ours-active"), measured("ours-curious", 0.08), measured("flower", 1.9)]
    active, curious = report.verdicts(reports, [target])
    assert active.startswith("MISSED: client_cpu_s of flower")
    assert "19.0 x ours-active; the target is 20" in active
    assert curious.startswith("met: ")
    assert report.verdicts(reports[:2], [target])[0].startswith("not run: ")
    assert report.verdicts([*reports[:1], missing("flower")], [target])[0].startswith("no figure: ")
    elsewhere = [{**each, "length": 10} for each in reports]
    assert report.verdicts(elsewhere, [target])[0].startswith("not run: ")


def test_contestants_are_described_once():
    described = {"library": "flwr", "version": "1", "scheme": "s", "dropouts": "d", "server": "v", "counts": "c"}
    text = report.contestants_table([measured("flower", **described), measured("flower", **described), missing("x")])
    assert text.count("flwr 1") == 1
    assert "| x" not in text


def test_contestants_are_chosen_by_name():
    everyone = [contestant.name for contestant in run.contestants([], [32])]
    assert everyone == ["ours-active", "ours-curious", "flower", "tenseal", "declearn"]
    chosen = [contestant.name for contestant in run.contestants(["flower", "ours"], [32, 20])]
    assert chosen == ["ours-active", "ours-curious", "ours-active-m20", "ours-curious-m20", "flower"]
    with pytest.raises(ValueError, match="no contestant is called nobody"):
        run.contestants(["nobody"], [32])


def test_quick_means_small_cells_once():
    options = run.parse(["--quick", "--dropout", "30"])
    assert options.repeats == 1
    assert {cell["clients"] for cell in run.cells(options)} == {10}
    assert {cell["dropout_percent"] for cell in run.cells(options)} == {30}
    with pytest.raises(SystemExit):
        run.parse(["--only", "nobody"])


def test_a_peer_that_is_not_there_says_why(tmp_path):
    options = run.parse(["--quick", "--venvs", str(tmp_path), "--only", "flower"])
    assert {each["status"] for reports in run.measure(options) for each in reports} == {"not installed"}
    (tmp_path / "flower").mkdir()
    (tmp_path / "flower" / "install-errors.txt").write_text("WARNING: x\nERROR: No matching distribution for flwr\n")
    (flower,) = run.contestants(["flower"], [32])
    assert run.why_missing(flower, tmp_path) == "cannot be installed here: No matching distribution for flwr"


def test_long_runs_are_not_repeated_and_short_ones_take_turns(monkeypatch):
    order = []
    clock = [0.0]

    def fake(contestant, cell, _options):
        order.append(contestant.name)
        clock[0] += 31.0 if contestant.name == "tenseal" else 1.0
        return measured(contestant.name, **cell)

    monkeypatch.setattr(run, "run", fake)
    monkeypatch.setattr(run, "children_cpu_s", lambda: clock[0])
    options = run.parse(["--only", "flower,tenseal", "--clients", "10", "--length", "5", "--dropout", "0"])
    (reports,) = run.measure(options)
    assert order == ["flower", "tenseal", "flower", "flower"]
    assert [each["runs"] for each in reports] == [3, 1]


def test_the_peers_are_pinned():
    folder = Path(run.__file__).parent
    for peer in run.PEERS:
        lines = (folder / f"requirements-{peer.environment}.txt").read_text().splitlines()
        pins = [line for line in lines if line and not line.startswith("#")]
        assert pins
        assert all(line.count("==") == 1 for line in pins)
        assert (run.SCRIPTS / peer.script).is_file()
