"""dp.durable.whole_files: a file is there as a whole, or as it was."""

from contextlib import suppress
from pathlib import Path

import pytest

from dp.durable import create_file, replace_file


def test_a_file_is_replaced_as_a_whole(tmp_path: Path):
    path = tmp_path / "file"
    create_file(path, b"one", mode=0o600)
    replace_file(path, [b"t", b"wo"], mode=0o600)
    assert path.read_bytes() == b"two"
    assert sorted(tmp_path.iterdir()) == [path]
    with pytest.raises(FileExistsError):
        create_file(path, b"three", mode=0o600)
    assert path.read_bytes() == b"two"


def test_a_link_at_the_new_files_name_is_not_followed(tmp_path: Path):
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_bytes(b"untouched")
    for name in ("file.new", "file.tmp"):
        (tmp_path / name).symlink_to(victim)
    with suppress(OSError):
        replace_file(path, [b"content"], mode=0o600)
    assert victim.read_bytes() == b"untouched"
