"""The commands of `secagg`. Only `fl.app.cli` imports this module, after it has found typer and rich."""

import json
import os
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from dp import DPError
from dp import audit as run_audit
from fl.app.audit import certificate as certificate_view
from fl.app.audit import plot as audit_plot
from fl.app.audit import view as audit_view
from fl.app.bench import view as bench_view
from fl.app.bench.bench import QUICK, Effort, run_bench
from fl.app.demo import view as demo_view
from fl.app.demo.demo import run_demo
from fl.app.demo.page import html as report_page
from fl.app.demo.settings import DemoSettings
from fl.app.run import view as run_view
from fl.app.run.config import read_config
from fl.app.run.training import run_study
from secagg import AdversaryModel, SecAggError, certify, choose

__all__ = ["app"]

app = typer.Typer(name="secagg", no_args_is_help=True, add_completion=False)


@app.callback()
def secagg() -> None:
    """Secure aggregation for federated learning."""


@app.command()
def version(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False
) -> None:
    """Prints the version of the library."""
    number = metadata.version("secagg")
    typer.echo(json.dumps({"version": number}) if as_json else number)


@app.command()
def demo(
    *,
    clients: Annotated[int, typer.Option(help="Clients in the cohort, 4 (curious: 3) to 500.")] = 50,
    rounds: Annotated[int, typer.Option(help="Training rounds, at least 1.")] = 20,
    alpha: Annotated[float, typer.Option(help="Dirichlet concentration of the labels; smaller is more uneven.")] = 0.5,
    dropout: Annotated[
        float, typer.Option(help="Probability that a client vanishes in a round, at any stage; below 1.")
    ] = 0.1,
    modulus_bits: Annotated[int, typer.Option(help="Sums are taken modulo two to this power, at most 64.")] = 32,
    adversary: Annotated[str, typer.Option(help="active or curious.")] = "active",
    epsilon: Annotated[float, typer.Option(help="Privacy budget of all rounds; 0 leaves the private run out.")] = 8.0,
    delta: Annotated[float, typer.Option(help="Of the budget.")] = 1e-5,
    clip: Annotated[float, typer.Option(help="L2 norm that updates of the private run are clipped to.")] = 0.8,
    ledger: Annotated[
        Path | None, typer.Option(help="Keep the private run's ledger and counters in this folder, new or empty.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", help="Write one HTML page with pictures to this file.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of partition, model and dropouts; never of the protocol or noise.")] = 0,
) -> None:
    """Trains on handwritten digits: centrally, by plain FedAvg, by FedAvg through the real protocol, and privately.

    The private run adds noise in shares, through the same protocol, and keeps a ledger that is audited at the end. That
    a round is lost because too many clients vanished is no failure.

    Exit status: 0 if every released sum was exact and the audit found nothing wrong, 1 if one was not, none was
    released or the audit did, 2 for unusable options.
    """
    models = {"active": AdversaryModel.ACTIVE, "curious": AdversaryModel.HONEST_BUT_CURIOUS}
    if adversary not in models:
        raise typer.BadParameter("say active or curious", param_hint="--adversary")
    if json_file is not None:
        _require_writable(json_file)
    if report_file is not None:
        _require_writable(report_file, "--report")
    if ledger is not None and epsilon == 0:
        raise typer.BadParameter("without a private run there is no ledger", param_hint="--ledger")
    try:
        settings = DemoSettings(
            clients=clients,
            rounds=rounds,
            alpha=alpha,
            dropout=dropout,
            modulus_bits=modulus_bits,
            adversary=models[adversary],
            epsilon=epsilon,
            delta=delta,
            clip=clip,
            seed=seed,
        )
        with demo_view.live(settings) as progress:
            outcome = run_demo(settings, progress, ledger_folder=ledger)
    except (SecAggError, DPError, OSError) as error:
        typer.echo(f"secagg demo: {error}", err=True)
        raise typer.Exit(2) from None
    if json_file is not None:
        json_file.write_text(json.dumps(outcome.to_json(), indent=2) + "\n", encoding="utf-8")
    if report_file is not None:
        report_file.write_text(report_page(outcome), encoding="utf-8")
    demo_view.show(outcome, ledger)
    if not outcome.sound:
        raise typer.Exit(1)


@app.command()
def run(
    *,
    config: Annotated[Path, typer.Argument(help="The run's TOML file: docs/run.md has every key.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder; without it there must be none.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Trains your own model on your own data, with noise within a privacy budget or without, and survives crashes.

    All parties are one process, and everything goes through the real protocol. What a crash interrupted goes on with
    --resume: no round is begun twice, no session or key is used again, and the privacy ledger loses nothing.

    Exit status: 0 if all rounds are over and the model has moved; 1 if a round failed (your code, or the disk), which
    --resume goes on after, or no mean was released; 2 if file, study or plan cannot be used; 3 if the privacy budget is
    exhausted; 4 if the folder is in use, damaged, of another plan, or restored from a copy: then nothing was changed.
    """
    try:
        settings = read_config(config)
        with run_view.live() as watcher:
            report = run_study(settings, resume=resume, watcher=watcher)
    except (DPError, SecAggError, OSError) as error:
        run_view.show_error(error)
        raise typer.Exit(run_view.status_of_error(error)) from None
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        run_view.show(report)
    raise typer.Exit(run_view.status(report))


@app.command()
def params(
    *,
    clients: Annotated[int, typer.Option(help="Clients invited.")],
    corrupt: Annotated[float, typer.Option(help="The part that may collude with the server.")] = 0.1,
    dropout: Annotated[float, typer.Option(help="The part that may vanish.")] = 0.1,
    absent: Annotated[
        float, typer.Option(help="The part of all clients that may never advertise keys; counted within --dropout.")
    ] = 0.0,
    active: Annotated[bool, typer.Option("--active", help="Against a lying server, not only a curious one.")] = False,
    security_bits: Annotated[int, typer.Option(help="Privacy fails with probability 2**-this at most.")] = 40,
    correctness_bits: Annotated[int, typer.Option(help="Recovery fails with probability 2**-this at most.")] = 30,
    rounds: Annotated[int, typer.Option(help="Rounds that the two cover together.")] = 1,
    grinding_bits: Annotated[
        int | None,
        typer.Option(help="A server may try 2**this rosters in a sparse graph.", show_default="64 if active, else 0"),
    ] = None,
    neighbours: Annotated[int | None, typer.Option(help="Certify this degree, do not choose.")] = None,
    threshold: Annotated[int | None, typer.Option(help="The threshold that goes with --neighbours.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Chooses neighbours and threshold for a k-regular graph, or certifies given ones, and prints what was proved.

    Exit status: 0 if everything holds, 1 if given neighbours and threshold do not hold, 2 for unusable options.
    """
    if (neighbours is None) != (threshold is None):
        missing = "--threshold" if threshold is None else "--neighbours"
        raise typer.BadParameter("give --neighbours and --threshold together, or neither", param_hint=missing)
    assumptions = (
        corrupt,
        dropout,
        AdversaryModel.ACTIVE if active else AdversaryModel.HONEST_BUT_CURIOUS,
        security_bits,
        correctness_bits,
        rounds,
        grinding_bits,
    )
    try:
        if neighbours is None or threshold is None:
            certificate = choose(clients, *assumptions, absent=absent)
        else:
            certificate = certify(clients, neighbours, threshold, *assumptions, absent=absent)
    except SecAggError as error:
        typer.echo(f"secagg params: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(certificate_view.as_json(certificate)))
    else:
        certificate_view.show(certificate)
    if not certificate.holds:
        raise typer.Exit(1)


@app.command()
def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer timings of less: seconds, and rougher.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Measures this machine: masks next to what the cipher alone can do, packing, sharing, keys, whole sessions.

    Exit status: 0 if every result was right, 1 if one was not.
    """
    with bench_view.live() as progress:
        report = run_bench(QUICK if quick else Effort(), progress)
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        bench_view.show(report)
    if not report.right:
        raise typer.Exit(1)


@app.command()
def audit(
    *,
    ledgers: Annotated[list[Path], typer.Argument(help="The ledger's files, the oldest first; usually one.")],
    expect_head: Annotated[
        str | None, typer.Option(help="A head known from elsewhere, in hexadecimal: the ledger must have had it.")
    ] = None,
    expect_key: Annotated[
        str | None, typer.Option(help="The public key that signs the ledger, in hexadecimal.")
    ] = None,
    rows: Annotated[int, typer.Option(help="Releases to list, from both ends.", min=2)] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write epsilon against the budget to this SVG file.")] = None,
) -> None:
    """Recomputes what a privacy ledger says was spent, from its records alone, and verifies the records.

    Exit status: 0 if all is fine, 1 if the budget is exceeded or a figure is wrong, 2 if a file cannot be read or an
    option not be used, 3 if the chain, a signature or the expected head or key does not hold.
    """
    anchors = {
        name: None if text is None else _thirty_two_bytes(name, text)
        for name, text in (("--expect-head", expect_head), ("--expect-key", expect_key))
    }
    if plot is not None:
        _require_writable(plot, "--plot")
    try:
        with audit_view.waiting():
            report = run_audit(ledgers, expected_head=anchors["--expect-head"], expected_key=anchors["--expect-key"])
    except (DPError, OSError) as error:
        typer.echo(f"secagg audit: {error}", err=True)
        raise typer.Exit(2) from None
    if plot is not None:
        plot.write_text(audit_plot.svg(report), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(audit_view.as_json(report, ledgers)))
    else:
        audit_view.show(report, ledgers, rows)
    raise typer.Exit(audit_view.EXIT_STATUS[report.verdict])


def _thirty_two_bytes(option: str, text: str) -> bytes:
    """Returns what a hash or key in hexadecimal says."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 32:
        raise typer.BadParameter("give 64 hexadecimal digits", param_hint=option)
    return value


def _require_writable(path: Path, option: str = "--json") -> None:
    """Refuses a file that could not be written after the run, before the run."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise typer.BadParameter("its folder does not exist", param_hint=option)
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise typer.BadParameter("it cannot be written", param_hint=option)
