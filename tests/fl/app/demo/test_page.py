"""The report: one well-formed page that needs nothing else."""

import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from fl.app.demo.demo import run_demo
from fl.app.demo.page import html
from fl.app.demo.result import DemoResult
from fl.app.demo.sentences import private_sentences, secure_sentences
from fl.app.demo.settings import DemoSettings
from fl.arrays.schema import ArraySchema
from fl.private.plan_page import sections
from fl.private.planning import make_plan
from secagg.params import AdversaryModel
from tests.kit.page import parsed, words


@pytest.fixture(scope="module")
def tree(page: str) -> ET.Element:
    return parsed(page)


@pytest.mark.slow
def test_it_needs_nothing_else(page: str, tree: ET.Element) -> None:
    assert len(page.encode()) < 2_000_000
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:|data:", page)
    tags = {element.tag for element in tree.iter()}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use", "a"}
    attributes = {name for element in tree.iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or name in {"src", "href", "style"}}
    policy = next(meta for meta in tree.iter("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.get("content") == "default-src 'none'; style-src 'unsafe-inline'"


def test_it_says_how_wide_a_phone_is_and_in_which_language_it_is(tree: ET.Element) -> None:
    assert tree.get("lang") == "en"
    viewport = next(meta for meta in tree.iter("meta") if meta.get("name") == "viewport")
    assert viewport.get("content") == "width=device-width, initial-scale=1"
    assert next(tree.iter("meta")).get("charset") == "utf-8"
    assert next(tree.iter("title")).text


def test_every_picture_has_a_title_a_description_and_a_view_box(tree: ET.Element) -> None:
    pictures = list(tree.iter("svg"))
    assert len(pictures) == 6
    ids = {element.get("id"): element for element in tree.iter() if element.get("id")}
    for svg in pictures:
        assert [float(number) for number in str(svg.get("viewBox")).split()][:3] == [0, 0, 400]
        assert svg.get("role") == "img"
        named = [ids[name] for name in str(svg.get("aria-labelledby")).split()]
        assert [element.tag for element in named] == ["title", "desc"]
        assert all(element.text for element in named)
        assert not svg.get("width")
    captions = [words(caption) for caption in tree.iter("figcaption")]
    assert len(captions) == 6
    assert all(captions)


def test_no_two_elements_share_an_id(tree: ET.Element) -> None:
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) >= 12


def test_headings_begin_with_one_and_leave_out_no_level(tree: ET.Element) -> None:
    levels = [int(element.tag[1]) for element in tree.iter() if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))


def test_it_has_the_plan_the_ledgers_head_and_the_same_sentences_as_the_terminal(
    result: DemoResult, tree: ET.Element
) -> None:
    assert result.private is not None
    content = words(tree)
    for section in sections(result.private.plan):
        assert section.title in content
        assert all(" ".join(paragraph.split()) in content for paragraph in section.paragraphs)
    assert result.private.head.hex() in content
    assert result.private.anchor is not None
    assert result.private.anchor.hex() in content
    for sentence in (*secure_sentences(result), *private_sentences(result)):
        assert sentence in content


def test_the_tables_hold_the_numbers(result: DemoResult, tree: ET.Element) -> None:
    tables = {words(next(table.iter("caption"))): table for table in tree.iter("table")}
    rows = [[words(cell) for cell in row] for row in tables["Round by round"].iter("tr")]
    head, body = rows[0], rows[1:]
    assert len(body) == len(result.rounds)
    for one, row in zip(result.rounds, body, strict=True):
        shown = dict(zip(head, row, strict=True))
        assert one.private is not None
        assert shown["round"] == str(one.number)
        assert shown["secure"] == f"{one.accuracy_secure:.3f}"
        assert shown["private"] == f"{one.private.accuracy:.3f}"
        assert shown["trusted server"] == f"{one.private.accuracy_trusted:.3f}"
        assert shown["epsilon spent"] == f"{one.private.spent:.3f}"
    assert result.evidence is not None
    errors = [[words(cell) for cell in row] for row in tables["Rounding error of a coordinate of the mean"].iter("tr")]
    assert [row[0] for row in errors[1:]] == [str(one.modulus_bits) for one in result.evidence.rounding]
    assert len(list(tables["Bytes per client"].iter("tr"))) == 5


def test_whatever_goes_into_the_page_is_escaped(result: DemoResult) -> None:
    assert result.private is not None
    scope = "<script>alert('1')</script>&amp;\""
    plan = make_plan(
        scope=scope.replace('"', ""),
        schema=ArraySchema.of({"w": np.zeros(9)}),
        clients=6,
        max_dropouts=1,
        colluders=0,
        clip=1.0,
        epsilon=8.0,
        delta=1e-5,
        rounds=4,
    )
    page = html(replace(result, private=replace(result.private, plan=plan)))
    assert "<script" not in page
    assert "<script>alert('1')</script>&amp;" in words(parsed(page))


@pytest.mark.parametrize("adversary", AdversaryModel)
def test_without_a_private_run_there_are_five_pictures_and_no_plan(adversary: AdversaryModel) -> None:
    result = run_demo(DemoSettings(clients=5, rounds=1, epsilon=0, dropout=0, adversary=adversary))
    tree = parsed(html(result))
    assert len(list(tree.iter("svg"))) == 5
    assert "rivacy" not in words(tree)
    assert ("signature" in words(next(svg for svg in tree.iter("svg") if "still there" in words(svg)))) is (
        adversary is AdversaryModel.ACTIVE
    )


@pytest.mark.parametrize("exact", [False, None])
def test_a_demo_that_went_wrong_is_shown_as_such(result: DemoResult, exact: bool | None) -> None:
    rounds = [replace(one, exact=exact) for one in result.rounds]
    page = html(replace(result, rounds=rounds))
    assert '<div class="verdict bad">' in page
    assert ("A RELEASED SUM WAS NOT EXACT" in page) is (exact is False)
    assert ("NO SUM WAS RELEASED" in page) is (exact is None)
    assert "verdict bad" not in html(result)
