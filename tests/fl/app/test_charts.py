"""fl.app.charts: small pictures that are whole whatever is in them."""

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from fl.app.charts import STYLE, Caption, Level, Line, cells, group_chart, line_chart, picture, standalone, text


def named(name: str) -> Caption:
    return Caption(name=name, title="t", description="d")


def every_chart() -> Iterator[str]:
    yield line_chart(named("a"), [Line("one", [(1, 0.0)], 0)], x_label="x", y_label="y")
    yield line_chart(
        named("b"), [Line("x" * 40, [(1, 2.0), (9, 3.0)], 1, "2 3")], [Level("l", 7, 2)], x_label="x", y_label="y"
    )
    yield line_chart(named("e"), [Line("none", [], 0)], x_label="x", y_label="y", highest=1.0)
    yield group_chart(named("c"), [], ["one"], x_label="x", y_label="y", colour=1)
    yield group_chart(named("d"), [("g", [0.0]), ("h", [])], ["one", "two"], x_label="x", y_label="y", colour=1)


def test_charts_of_next_to_nothing_are_whole() -> None:
    for svg in every_chart():
        drawn = ET.fromstring(svg)
        assert "nan" not in svg
        assert "inf" not in svg
        for element in drawn.iter():
            for name in ("x", "y", "x1", "x2", "y1", "y2", "width", "height"):
                assert 0 <= float(element.get(name, "0")) <= 400


def test_cells_of_one_shade_are_one_element() -> None:
    drawn = list(cells([0.0, 1.0, 0.5, 1.0], columns=2, left=10, top=20, size=5, colour=3))
    assert drawn == [
        '<path class="f3" fill-opacity="0.00" d="M10 20h5v5h-5z"/>',
        '<path class="f3" fill-opacity="0.53" d="M10 25h5v5h-5z"/>',
        '<path class="f3" fill-opacity="1.00" d="M15 20h5v5h-5zM15 25h5v5h-5z"/>',
    ]


def test_what_goes_into_a_picture_is_escaped() -> None:
    drawn = ET.fromstring(picture(Caption(name="a", title="<t>&", description="<d>'\"&"), 5, [text(1, 2, "<x>&")]))
    assert [element.text for element in drawn] == ["<t>&", "<d>'\"&", "<x>&"]


def test_a_picture_of_its_own_needs_no_page() -> None:
    chart = line_chart(named("a"), [Line("one", [(1, 1.0), (2, 2.0)], 2)], x_label="x", y_label="y")
    assert "var(--k2)" in STYLE
    alone = standalone(chart)
    assert "var(" not in alone
    assert ET.fromstring(alone).tag == "{http://www.w3.org/2000/svg}svg"
    # The first thing drawn is white ground over all of it.
    assert alone.index('<rect width="100%" height="100%" fill="white"/>') < alone.index("<polyline")
