"""The command `secagg params`."""

import json
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from fl.app.exit_status import ExitStatus
from fl.app.params import view
from secagg import AdversaryModel, Certificate, SecAggError, certify, choose

__all__ = ["params"]


def params(
    *,
    clients: Annotated[int, typer.Option(help="Clients invited.")],
    corrupt: Annotated[float, typer.Option(help="The part that may collude with the server.")] = 0.1,
    population: Annotated[
        int | None,
        typer.Option(help="Of how many clients that is the part; by default of those invited."),
    ] = None,
    corrupt_clients: Annotated[
        int | None, typer.Option(help="How many of them may collude, in place of the part.")
    ] = None,
    drawn_honestly: Annotated[
        bool,
        typer.Option("--drawn-honestly", help="The cohort is a random part of them, not the server's choice."),
    ] = False,
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
    proved: Callable[..., Certificate] = choose
    if neighbours is not None and threshold is not None:
        proved = partial(certify, neighbours=neighbours, threshold=threshold)
    try:
        certificate = proved(
            clients,
            corrupt=corrupt,
            dropout=dropout,
            adversary=AdversaryModel.ACTIVE if active else AdversaryModel.HONEST_BUT_CURIOUS,
            security_bits=security_bits,
            correctness_bits=correctness_bits,
            rounds=rounds,
            grinding_bits=grinding_bits,
            absent=absent,
            population=population,
            corrupt_clients=corrupt_clients,
            drawn_honestly=drawn_honestly,
        )
    except SecAggError as error:
        typer.echo(f"secagg params: {error}", err=True)
        raise typer.Exit(ExitStatus.UNUSABLE) from None
    if as_json:
        typer.echo(json.dumps(view.as_json(certificate)))
    else:
        view.show(certificate)
    if not certificate.holds:
        raise typer.Exit(ExitStatus.WRONG)
