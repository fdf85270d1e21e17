"""docs/training.md: its programs run as printed, and it knows every public method of training and sending less."""

import re
from pathlib import Path

import fl.codecs
import fl.training
from tests.kit.printed_programs import check_programs

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def test_every_program_prints_what_the_page_says(tmp_path: Path) -> None:
    check_programs(PAGE, tmp_path, at_least=8)


def test_the_page_links_to_its_own_sections() -> None:
    text = PAGE.read_text(encoding="utf-8")
    sections = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.*)$", text, re.MULTILINE)}
    assert set(re.findall(r"\(#([a-z-]+)\)", text)) == sections


def test_each_section_says_when_not_to_use_it_and_names_its_source() -> None:
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        assert "* **Not** " in section
        assert "\n* Source" in section


def test_the_names_that_the_page_is_about_are_listed_by_their_doors() -> None:
    named = set(re.findall(r"(?:training|codecs)\.([A-Za-z_]+)", PAGE.read_text(encoding="utf-8"))) - {"md"}
    assert named
    assert named <= {*fl.training.__all__, *fl.codecs.__all__}
