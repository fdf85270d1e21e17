"""The command `secagg audit`."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from dp import DPError
from dp import audit as run_audit
from dp.ledger import Verdict
from fl.app.audit import plain_data, view
from fl.app.audit.plot import svg
from fl.app.options import require_writable

__all__ = ["audit"]

EXIT_STATUS: Final = {
    Verdict.FINE: 0,
    Verdict.OVER_BUDGET: 1,
    Verdict.WRONG_FIGURE: 1,
    Verdict.FOREIGN: 2,
    Verdict.BROKEN: 3,
}
"""What the command exits with; 2 also for files that cannot be read and options that cannot be used."""


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
        name: None if text is None else _thirty_two_bytes(text, option=name)
        for name, text in (("--expect-head", expect_head), ("--expect-key", expect_key))
    }
    require_writable(plot, "--plot")
    try:
        with view.waiting():
            report = run_audit(ledgers, expected_head=anchors["--expect-head"], expected_key=anchors["--expect-key"])
    except (DPError, OSError) as error:
        typer.echo(f"secagg audit: {error}", err=True)
        raise typer.Exit(2) from None
    if plot is not None:
        plot.write_text(svg(report), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(plain_data.as_json(report, ledgers)))
    else:
        view.show(report, ledgers, rows)
    raise typer.Exit(EXIT_STATUS[report.verdict])


def _thirty_two_bytes(text: str, *, option: str) -> bytes:
    """Returns what a hash or key in hexadecimal says."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 32:
        raise typer.BadParameter("give 64 hexadecimal digits", param_hint=option)
    return value
