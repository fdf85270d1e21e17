"""The commands of `secagg`, assembled. Only `fl.app.cli` imports this module, after it has found typer and rich."""

import json
from importlib import metadata
from typing import Annotated

import typer

from fl.app.audit.command import audit
from fl.app.bench.command import bench
from fl.app.demo.command import demo
from fl.app.params.command import params
from fl.app.run.command import run

__all__ = ["app"]

# A crash shows no local variables: they may be a client's data.
app = typer.Typer(name="secagg", no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


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


for command in (demo, run, params, bench, audit):
    app.command()(command)
