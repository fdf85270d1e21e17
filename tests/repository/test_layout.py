"""The tree of tests mirrors the packages: the test of a module is found without a search.

`PACKAGE/ROOM/MODULE.py` is tested in `tests/PACKAGE/ROOM/test_MODULE.py`, or in several files whose names begin so.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path.relative_to(ROOT)
    for package in ("secagg", "dp", "fl")
    for path in (ROOT / package).rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


def own_tests(module: Path) -> list[Path]:
    """Returns the test files of a module's name, in the place that mirrors its own."""
    folder = ROOT / "tests" / module.parent
    return [*folder.glob(f"test_{module.stem}.py"), *folder.glob(f"test_{module.stem}_*.py")]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_a_test_file_of_its_name(module: Path):
    assert own_tests(module), f"tests/{module.parent}/test_{module.stem}.py is missing"
