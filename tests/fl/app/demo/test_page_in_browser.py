"""The report in a real browser, as wide as a phone and as a desk: nothing sticks out, nothing is cut off, no complaint.

Needs a Chromium of any make on the path, such as Debian's `chromium-headless-shell`; without one it is skipped.
"""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from fl.app.demo.demo import run_demo
from fl.app.demo.page import html
from fl.app.demo.settings import DemoSettings

NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
BROWSER = next((path for path in map(shutil.which, NAMES) if path), None)

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason=f"no browser found: none of {', '.join(NAMES)} is installed"),
    pytest.mark.slow,
]

WIDTHS = (390, 1280)

# The page's own policy forbids scripts; the copy that is measured has none.
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*/>')

MEASURE = """
<script>
const wide = document.documentElement.clientWidth;
const out = [...document.querySelectorAll("body *")].filter(element => {
  const box = element.getBoundingClientRect();
  return !element.closest(".wide") && (box.right > wide + 0.5 || box.left < -0.5);
});
const cut = [...document.querySelectorAll("svg text")].filter(text => {
  const box = text.getBBox(), view = text.ownerSVGElement.viewBox.baseVal;
  return box.x < -0.5 || box.y < -0.5 || box.x + box.width > view.width + 0.5 || box.y + box.height > view.height + 0.5;
});
const clash = [...document.querySelectorAll("svg")].flatMap(svg => {
  const boxes = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBBox()]);
  return boxes.flatMap(([a, one], place) => boxes.slice(place + 1).filter(([b, other]) =>
    one.x + 1 < other.x + other.width && other.x + 1 < one.x + one.width &&
    one.y + 4 < other.y + other.height && other.y + 4 < one.y + one.height).map(([b]) => a + " / " + b));
});
const first = document.querySelector("svg text");
const measured = {
  wide,
  scrolls: document.documentElement.scrollWidth,
  out: out.map(element => element.tagName + " " + element.textContent.slice(0, 40)),
  cut: cut.map(text => text.textContent),
  clash,
  texts: document.querySelectorAll("svg text").length,
  smallest: Math.min(...[...document.querySelectorAll("svg text")].map(text => {
    const scale = text.ownerSVGElement.getBoundingClientRect().width / text.ownerSVGElement.viewBox.baseVal.width;
    return scale * parseFloat(getComputedStyle(text).fontSize);
  })),
  paper: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(first).fill,
};
parent.document.getElementById("measured").textContent = JSON.stringify(measured);
</script></body>
"""

# In a frame, for some browsers have no window as narrow as a phone; what a page is told of its width is the frame's.
FRAME = (
    '<!DOCTYPE html><html><head><meta charset="utf-8"/></head><body style="margin: 0"><pre id="measured"></pre>'
    '<iframe style="border: 0; width: {width}px; height: 900px" srcdoc="{page}"></iframe></body></html>'
)


@pytest.fixture(scope="module")
def page() -> str:
    return html(run_demo(DemoSettings(clients=10, rounds=3, seed=1)))


def browse(page: str, folder: Path, width: int, *options: str) -> tuple[str, list[str]]:
    """Returns the page's document as it is after loading, and what the browser's console said."""
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",  # in containers the tests often run as root
        "--disable-gpu",
        "--no-first-run",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},900",
        "--enable-logging=stderr",
        *options,
        "--dump-dom",
        path.as_uri(),
    ]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return outcome.stdout, [line for line in outcome.stderr.splitlines() if "CONSOLE" in line]


def measured(page: str, folder: Path, width: int, *options: str) -> dict[str, Any]:
    inner = POLICY.sub("", page).replace("</body>", MEASURE)
    document, complaints = browse(FRAME.format(width=width, page=escape(inner)), folder, 1400, *options)
    assert not complaints
    found = re.search(r'<pre id="measured">(.*?)</pre>', document, re.DOTALL)
    assert found is not None
    return dict(json.loads(unescape(found[1])))


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_is_cut_off_or_lies_over_something_else(page: str, tmp_path: Path, width: int) -> None:
    found = measured(page, tmp_path, width)
    assert found["wide"] == width
    assert found["scrolls"] <= width
    assert found["out"] == []
    assert found["cut"] == []
    assert found["clash"] == []
    assert found["texts"] > 60
    # Pixels: what can be read on a phone held in a hand.
    assert found["smallest"] >= 9.5


@pytest.mark.parametrize("width", WIDTHS)
def test_the_browser_has_nothing_to_complain_about(page: str, tmp_path: Path, width: int) -> None:
    document, complaints = browse(page, tmp_path, width)
    assert complaints == []
    assert document.count("<svg") == 6


def test_a_dark_theme_is_dark(page: str, tmp_path: Path) -> None:
    light = measured(page, tmp_path, 390, "--blink-settings=preferredColorScheme=1")
    dark = measured(page, tmp_path, 390, "--blink-settings=preferredColorScheme=0")
    assert brightness(light["paper"]) > 200 > 100 > brightness(light["ink"])
    assert brightness(dark["paper"]) < 50 < 150 < brightness(dark["ink"])


def test_faults_would_be_seen(page: str, tmp_path: Path) -> None:
    wrong = page.replace("</h1>", '</h1><p style="width: 2000px">wide</p><img src="http://127.0.0.1:1/a.png"/>')
    _, complaints = browse(wrong, tmp_path, 390)
    assert any("Content Security Policy" in line for line in complaints)
    text = '<text x="390" y="20">cut off</text><text x="391" y="20">over it</text></svg>'
    found = measured(page.replace("</svg>", text, 1).replace("<h1>", '<h1 style="width: 2000px">'), tmp_path, 390)
    assert found["scrolls"] > 390
    assert any(line.startswith("H1") for line in found["out"])
    assert found["cut"] == ["cut off", "over it"]
    assert "cut off / over it" in found["clash"]


def brightness(colour: str) -> float:
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3
