"""Key files: only their owner may read them, and a missing one is not made anew."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dp.ledger import LedgerKey
from fl.app.run.errors import RunRefusedError
from tests.kit.run_scene import (
    SIGNED,
    run,
    write,
)


def test_keys_that_others_may_read_or_that_are_gone_are_refused(place: Path, finish: Callable[[str], Path]):
    config = finish(SIGNED)
    for key in (place / "ledger.key", place / "run" / "identities" / "7"):
        key.chmod(0o644)
        with pytest.raises(RunRefusedError, match="chmod 600"):
            run(config, resume=True)
        key.chmod(0o600)
        hidden = key.rename(key.with_suffix(".away"))
        # A missing key is not made anew when a run is resumed.
        with pytest.raises(RunRefusedError, match="the key is not there"):
            run(config, resume=True)
        hidden.rename(key)
    run(config, resume=True)


def test_a_key_that_is_there_signs_a_new_run(place: Path):
    (place / "ledger.key").write_text("ab" * 32 + "\n")
    (place / "ledger.key").chmod(0o600)
    config = write(place, SIGNED)
    assert run(config).public_key == LedgerKey(b"\xab" * 32).public_key
