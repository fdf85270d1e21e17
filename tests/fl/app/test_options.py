"""What several commands check of their options."""

import os
from pathlib import Path

import pytest
import typer

from fl.app.options import require_writable


def test_a_file_that_can_be_written_is_accepted(tmp_path: Path):
    require_writable(None, "--json")
    require_writable(tmp_path / "new", "--json")
    (tmp_path / "old").touch()
    require_writable(tmp_path / "old", "--json")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["no/such/folder", "."])
def test_a_file_that_cannot_be_written_is_refused_with_its_option(tmp_path: Path, name: str):
    with pytest.raises(typer.BadParameter) as caught:
        require_writable(tmp_path / name, "--plot")
    assert caught.value.param_hint == "--plot"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everything")
def test_a_file_that_is_only_read_is_refused(tmp_path: Path):
    (tmp_path / "read").touch(mode=0o400)
    with pytest.raises(typer.BadParameter, match="it cannot be written"):
        require_writable(tmp_path / "read", "--json")
