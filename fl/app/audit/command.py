"""The command `secagg audit`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from dp import DPError
from dp import audit as run_audit
from dp.ledger import DEFAULT_MAX_SECONDS, Assurance, Verdict
from fl.app.audit import plain_data, view
from fl.app.audit.plot import svg
from fl.app.exit_status import ExitStatus
from fl.app.options import require_writable

__all__ = ["audit"]

EXIT_STATUS: Final = {
    Verdict.FINE: ExitStatus.FINE,
    Verdict.OVER_BUDGET: ExitStatus.WRONG,
    Verdict.WRONG_FIGURE: ExitStatus.WRONG,
    Verdict.NOT_A_LEDGER: ExitStatus.UNUSABLE,
    Verdict.FOREIGN: ExitStatus.UNUSABLE,
    Verdict.BROKEN: ExitStatus.BROKEN,
    Verdict.NOT_ANCHORED: ExitStatus.REFUSED,
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
    require: Annotated[
        list[str] | None,
        typer.Option(help="What else has to hold, for scripts: signed, anchored or closed, several with commas."),
    ] = None,
    participant: Annotated[
        int | None, typer.Option(help="Also say in which sums the participant of this id was.")
    ] = None,
    salt_file: Annotated[
        Path | None, typer.Option(help="The salt of the members' hashes, in hexadecimal, for --participant.")
    ] = None,
    rows: Annotated[int, typer.Option(help="Releases to list, from both ends.", min=2)] = 40,
    max_seconds: Annotated[
        float, typer.Option(help="Stop after this long: a file can be made to be slow.")
    ] = DEFAULT_MAX_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write epsilon against the budget to this SVG file.")] = None,
) -> None:
    """Recomputes what a privacy ledger says was spent, from its records alone, and verifies the records.

    Exit status: 0 if all is fine; 1 if the budget is exceeded or a figure is wrong; 2 if a file cannot be read, is no
    ledger or takes too long, or an option cannot be used; 3 if the chain, a signature or the expected head or key does
    not hold; 4 if all is fine but something of --require does not hold.
    """
    anchors = {
        name: None if text is None else _thirty_two_bytes(text, option=name)
        for name, text in (("--expect-head", expect_head), ("--expect-key", expect_key))
    }
    required = _required(require or [])
    require_writable(plot, "--plot")
    try:
        salt = None if salt_file is None else _salt(salt_file)
        with view.waiting():
            report = run_audit(
                ledgers,
                expected_head=anchors["--expect-head"],
                expected_key=anchors["--expect-key"],
                required=required,
                max_seconds=max_seconds,
            )
        asked = None if participant is None else report.participation(participant, salt=salt)
    except (DPError, OSError) as error:
        typer.echo(f"secagg audit: {error}", err=True)
        raise typer.Exit(ExitStatus.UNUSABLE) from None
    if plot is not None:
        plot.write_text(svg(report), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(plain_data.as_json(report, ledgers, asked)))
    else:
        view.show(report, ledgers, rows=rows, asked=asked)
    raise typer.Exit(EXIT_STATUS[report.verdict])


def _required(texts: Sequence[str]) -> frozenset[Assurance]:
    words = [word.strip() for text in texts for word in text.split(",")]
    try:
        return frozenset(map(Assurance, words))
    except ValueError:
        allowed = f"say {', '.join(Assurance)}, or several of them with commas"
        raise typer.BadParameter(allowed, param_hint="--require") from None


def _salt(path: Path) -> bytes:
    """Returns the salt in a file; nothing of it is ever shown."""
    try:
        return bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        raise typer.BadParameter("the file has to hold hexadecimal digits", param_hint="--salt-file") from None


def _thirty_two_bytes(text: str, *, option: str) -> bytes:
    """Returns what a hash or key in hexadecimal says."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 32:
        raise typer.BadParameter("give 64 hexadecimal digits", param_hint=option)
    return value
