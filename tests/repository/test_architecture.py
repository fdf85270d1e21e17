"""docs/architecture.md names every room, in the order of its floor, and only files that exist."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
PACKAGES = ("secagg", "dp", "fl")


def rows() -> list[str]:
    """The rooms in the page's tables."""
    return re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)


def rooms(package: str) -> set[str]:
    """The rooms of a package: folders with a door and modules that stand alone, in the application too."""
    found = set()
    for folder in (ROOT / package, *((ROOT / "fl" / "app",) if package == "fl" else ())):
        found |= {f"{path.parent.relative_to(ROOT)}" for path in folder.glob("*/__init__.py")}
    return found | {f"{path.relative_to(ROOT)}" for path in (ROOT / package).glob("*.py") if path.name != "__init__.py"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_has_a_line_and_every_line_a_room(package: str):
    shown = [row for row in rows() if row.split("/")[0] == package]
    assert sorted(shown) == sorted(rooms(package))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_rooms_stand_in_the_order_of_their_floors(package: str):
    layers = next(c["layers"] for c in CONTRACTS if c["type"] == "layers" and c["containers"] == [package])
    floor = {name.strip(" ()"): number for number, layer in enumerate(layers) for name in re.split(r"[|:]", layer)}
    shown = [row.split("/")[1].removesuffix(".py") for row in rows() if row.split("/")[0] == package]
    floors = [floor[name] for name in shown]
    assert floors == sorted(floors)


def test_every_file_on_the_page_exists():
    kept = {"fl/updates", "fl/adapters", "fl/transport", "fl/analytics"}
    for name in set(re.findall(r"`((?:secagg|dp|fl|tests)/[\w/.]+)`", PAGE)) - kept:
        assert (ROOT / name).exists(), name
