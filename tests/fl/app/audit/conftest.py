"""What tests of `secagg audit` share: a small ledger."""

from pathlib import Path

import pytest

from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import HEADER, KEY, a_round


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Ledger.create(tmp_path / "ledger", HEADER, KEY) as ledger:
        for number in range(1, 4):
            ledger.reserve(a_round(number))
            if number != 2:
                ledger.settle(number, 80 + number)
        ledger.sign_head()
    return tmp_path / "ledger"
