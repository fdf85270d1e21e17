"""The doors: what a layer above may import of `secagg` and `dp`, by name, and that each of these names is explained."""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

LOWER = (
    "secagg",
    "secagg.graph",
    "secagg.pipeline",
    "secagg.primitives",
    "secagg.protocol",
    "secagg.testing",
    "dp",
    "dp.accounting",
    "dp.durable",
    "dp.ledger",
    "dp.mechanisms",
    "dp.noise",
    "dp.renyi",
    "dp.shares",
)
"""Where a layer above may import from."""

DOORS = (*LOWER, "fl", "fl.arrays", "fl.codecs", "fl.private", "fl.training")


def used(path: Path) -> Iterator[tuple[str, str]]:
    """Yields every module and name that a file imports from `secagg` or `dp`; a module as a whole has no name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] in {"secagg", "dp"})
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"secagg", "dp"}:
            yield from ((str(node.module), alias.name) for alias in node.names)


def files() -> list[Path]:
    return [path for folder in ("fl", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_listed_names_of_the_doors_are_imported(path: Path):
    for door, name in used(path):
        assert door in LOWER, f"{door} is no door"
        assert not name or name in import_module(door).__all__, f"{door} does not list {name}"


def test_this_test_sees_imports(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text("import dp.noise\nfrom secagg.errors import SERVER\nfrom dp import clip as cut\nimport numpy\n")
    assert list(used(program)) == [("dp.noise", ""), ("secagg.errors", "SERVER"), ("dp", "clip")]
    assert sum(len(list(used(path))) for path in files()) > 100


@pytest.mark.parametrize("name", DOORS)
def test_a_door_says_what_it_is_for_and_lists_what_it_has(name: str):
    door = import_module(name)
    assert door.__doc__
    assert len(set(door.__all__)) == len(door.__all__)
    for listed in door.__all__:
        assert not listed.startswith("_")
        assert hasattr(door, listed), f"{name} has no {listed}"


@pytest.mark.parametrize("name", DOORS)
def test_every_listed_class_and_function_is_explained(name: str):
    door = import_module(name)
    for listed in door.__all__:
        thing = getattr(door, listed)
        if inspect.isclass(thing) or inspect.isfunction(thing) or isinstance(thing, ModuleType):
            assert (inspect.getdoc(thing) or "").strip(), f"{name}.{listed} has no docstring"
            assert thing.__doc__, f"{name}.{listed} inherits its docstring"
