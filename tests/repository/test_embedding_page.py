"""docs/embedding.md: its program runs as printed, and prints what it says."""

from pathlib import Path

import pytest

from tests.kit.printed_programs import check_programs

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"


@pytest.mark.slow
def test_every_program_prints_what_the_page_says(tmp_path: Path) -> None:
    check_programs(PAGE, tmp_path, at_least=1)
