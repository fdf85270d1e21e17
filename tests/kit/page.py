"""How tests read a page and its pictures."""

import re
from xml.etree import ElementTree as ET

__all__ = ["FRAME", "parsed", "points", "words"]

FRAME = (44, 392, 22, 222)
"""Left, right, top and bottom of what lines are drawn in."""


def parsed(page: str) -> ET.Element:
    """Returns the page's tree; ET knows no entity but XML's own five and takes no unclosed tag."""
    assert page.startswith("<!DOCTYPE html>\n")
    return ET.fromstring(page)


def words(element: ET.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def points(svg: str) -> list[list[tuple[float, float]]]:
    """Returns the lines of a picture as drawn."""
    drawn = re.findall(r'<polyline[^>]* points="([^"]*)"', svg)
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in drawn]  # type: ignore[misc]
