"""The command `secagg bench`."""

import json
from typing import Annotated

import typer

from fl.app.bench import view
from fl.app.bench.bench import QUICK, Effort, run_bench
from fl.app.exit_status import ExitStatus

__all__ = ["bench"]


def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer timings of less: seconds, and rougher.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Measures this machine: masks next to what the cipher alone can do, packing, sharing, keys, whole sessions.

    Exit status: 0 if every result was right, 1 if one was not.
    """
    with view.live() as progress:
        result = run_bench(QUICK if quick else Effort(), progress)
    if as_json:
        typer.echo(json.dumps(result.to_json()))
    else:
        view.show(result)
    if not result.right:
        raise typer.Exit(ExitStatus.WRONG)
