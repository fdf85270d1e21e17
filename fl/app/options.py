"""What several commands check of their options."""

import os
from pathlib import Path

import typer

__all__ = ["require_writable"]


def require_writable(path: Path | None, option: str) -> None:
    """Refuses, before a command does its work, a file that could not be written after it.

    Args:
        path: of the file; None is always right.
        option: that names the file.

    Raises:
        typer.BadParameter: the file cannot be written.
    """
    if path is None:
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise typer.BadParameter("its folder does not exist", param_hint=option)
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise typer.BadParameter("it cannot be written", param_hint=option)
