"""The command `secagg run`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dp import DPError
from fl.app.run import view
from fl.app.run.config import read_config
from fl.app.run.training import run_study
from secagg import SecAggError

__all__ = ["run"]


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
    --resume goes on after, or no mean was released; 2 if file, study or plan cannot be used; 4 if the folder is in
    use, damaged, of another plan, or restored from a copy: then nothing was changed; 6 if the privacy budget is
    exhausted before all rounds are over.
    """
    try:
        settings = read_config(config)
        with view.live() as watcher:
            result = run_study(settings, resume=resume, watcher=watcher)
    except (DPError, SecAggError, OSError) as error:
        view.show_error(error)
        raise typer.Exit(view.status_of_error(error)) from None
    if as_json:
        typer.echo(json.dumps(result.to_json()))
    else:
        view.show(result)
    raise typer.Exit(view.status(result))
