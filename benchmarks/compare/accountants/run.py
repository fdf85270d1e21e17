"""Runs the accountants side by side: `python -m benchmarks.compare.accountants.run`, or `make bench-accountants`.

Every contestant answers the same settings in an environment of its own, and is timed on the same tasks in turns, pinned
to the same core; see README.md beside this file. Ends with status 1 if our epsilon is above a valid one of the others.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare.accountants import exact, report
from benchmarks.compare.accountants.peers import contest
from benchmarks.compare.run import ONE_THREAD, ROOT, Contestant, interpreter, machine, why_missing

SCRIPTS = Path(__file__).resolve().parent / "peers"

CONTESTANTS = (
    Contestant("ours", "ours.py", None),
    Contestant("opacus", "opacus_rdp.py", "opacus"),
    Contestant("opacus-extended", "opacus_rdp.py", "opacus", ("--extended",)),
    Contestant("dp-accounting", "dp_accounting_rdp.py", "dp-accounting"),
    Contestant(report.REFERENCE, "dp_accounting_pld.py", "dp-accounting"),
)
TIMED = ("ours", "opacus", "dp-accounting")

DEADLINE_S = 1800.0

"""Rows; all of them are in the JSON."""


def run(contestant: Contestant, venvs: Path, *arguments: str) -> dict[str, Any]:
    """Returns what a contestant reports, or why there is no report."""
    missing = why_missing(contestant, venvs)
    if missing:
        return {"status": "not installed", "reason": missing}
    command = [str(interpreter(contestant, venvs)), str(SCRIPTS / contestant.script), *contestant.arguments, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | ONE_THREAD
    if contestant.environment is None:
        environment["PYTHONPATH"] = str(ROOT)  # This checkout, whatever is installed.
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        return {"status": "timed out", "reason": f"after {DEADLINE_S:.0f} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"status": "failed", "reason": last}
    return {"status": "ok", **json.loads(done.stdout.splitlines()[-1])}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare.accountants.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer settings, one turn")
    parser.add_argument("--all", action="store_true", help="print every setting, not some")
    parser.add_argument("--turns", type=int, help="of the timed tasks; the fastest counts; default 3")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--venvs", type=Path, default=ROOT / ".venv-peers", help="where the peers are installed")
    options = parser.parse_args(arguments)
    options.turns = options.turns or (1 if options.quick else 3)
    return options


def answers(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Returns every contestant's values for the matrix of settings."""
    reports = {}
    for contestant in CONTESTANTS:
        started = time.perf_counter()
        reports[contestant.name] = done = run(
            contestant, options.venvs, "--matrix", "quick" if options.quick else "full"
        )
        said = (
            f"{time.perf_counter() - started:.0f} s"
            if done["status"] == "ok"
            else f"{done['status']}: {done['reason']}"
        )
        print(f"{contestant.name}: {said}", flush=True)
    return reports


def timings(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Returns what each turn of each contestant took. They take turns, so that a slow minute hits everyone."""
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in TIMED}
    for turn in range(options.turns):
        for contestant in CONTESTANTS:
            if contestant.name in TIMED:
                done = run(contestant, options.venvs, "--turn", str(turn))
                if done["status"] == "ok":
                    turns[contestant.name].append(done)
                else:
                    print(f"{contestant.name} is not timed, {done['status']}: {done['reason']}", flush=True)
    return {name: done for name, done in turns.items() if done}


def shown(everything: report.Everything, options: argparse.Namespace) -> list[contest.Setting]:
    """Returns the settings that are printed: all, or the headline and each pair of q and sigma once."""
    if options.all:
        return list(everything)
    usual = [setting for setting in everything if setting.count in (1000, 10**4) and setting.delta == 1e-7]
    return [contest.HEADLINE, *usual]


def main() -> None:
    options = parse()
    started = time.perf_counter()
    described = machine()
    print(f"{described['cpu']}, one core, one thread, Python {platform.python_version()}", flush=True)
    reports = answers(options)
    if reports["ours"]["status"] != "ok":
        sys.exit(reports["ours"]["reason"])
    versions = {
        name: f"{done['library']} {done['version']}" for name, done in reports.items() if done["status"] == "ok"
    }
    everything = {
        setting: {name: report.judged(setting, value, exact.renyi) for name, value in values.items()}
        for setting, values in report.by_setting(reports).items()
    }
    print("\nepsilon; -: no figure, or none that is compared\n")
    print(report.values_table(everything, shown(everything, options)))
    print(f"\n{report.summary(everything, versions)}")
    turns = timings(options)
    fastest = {name: report.fastest_of([turn["seconds"] for turn in done]) for name, done in turns.items()}
    rounds = {name: done[0]["rounds"] for name, done in turns.items()}
    print(
        f"\nCPU seconds, the fastest of {options.turns} turns; x: times ours\n\n{report.times_table(fastest, rounds)}"
    )
    for name, done in turns.items():
        print(f"{name}: sigma = {done[0]['sigma']:.9f}, at which it says epsilon = {done[0]['epsilon_at_sigma']:.9f}")
    wrong = report.violations(everything, exact.gaussian_epsilon)
    print("\n" + "\n".join(wrong or [f"In all {len(everything)} settings ours is at most the smallest valid epsilon."]))
    minutes = (time.perf_counter() - started) / 60
    print(f"The whole run took {minutes:.1f} minutes.")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        kept = {"machine": described, "minutes": round(minutes, 1), "reports": reports, "times": turns, "wrong": wrong}
        options.json.write_text(json.dumps(kept, indent=1) + "\n")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
