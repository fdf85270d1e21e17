"""The entry point of the command `secagg`: finds the command line's own packages, or says how to get them.

The commands themselves live in `fl.app.commands`, which imports typer and rich; this module imports
neither, so that it can explain their absence.
"""

import importlib
import io
import sys
from typing import Final

from fl.errors import MissingExtraError

__all__ = ["main"]

_PACKAGES: Final = ("typer", "rich")


def main() -> None:
    """Runs the command line; without the extra `demo` it says what to install and exits with status 1."""
    try:
        for package in _PACKAGES:
            _require(package)
    except MissingExtraError as error:
        sys.exit(f"secagg: {error}")
    for stream in (sys.stdout, sys.stderr):
        # A terminal or pipe that cannot hold a table's lines gets question marks, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    from fl.app.commands import app  # noqa: PLC0415 -- imports typer, which was absent until checked above

    app()


def _require(package: str) -> None:
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        # A package that is there but broken is another fault, and keeps its own message.
        if error.name != package:
            raise
        raise MissingExtraError("demo", package) from error
