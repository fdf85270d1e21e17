"""The command `secagg demo`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dp import DPError
from fl.app.demo import page, view
from fl.app.demo.demo import run_demo
from fl.app.demo.settings import DemoSettings
from fl.app.exit_status import ExitStatus
from fl.app.options import require_writable
from secagg import AdversaryModel, SecAggError

__all__ = ["demo"]


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
    require_writable(json_file, "--json")
    require_writable(report_file, "--report")
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
        with view.live(settings) as progress:
            result = run_demo(settings, progress, ledger_folder=ledger)
    except (SecAggError, DPError, OSError) as error:
        typer.echo(f"secagg demo: {error}", err=True)
        raise typer.Exit(ExitStatus.UNUSABLE) from None
    if json_file is not None:
        json_file.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
    if report_file is not None:
        report_file.write_text(page.html(result), encoding="utf-8")
    view.show(result, ledger)
    if not result.sound:
        raise typer.Exit(ExitStatus.WRONG)
