"""The tree of tests mirrors the packages: the test of a module is found without a search.

`PACKAGE/ROOM/MODULE.py` is tested in `tests/PACKAGE/ROOM/test_MODULE.py`, or in several files whose names begin so.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOVES = "moves with its room"

ELSEWHERE: dict[str, tuple[str, str]] = {
    "dp/accounting/conversion.py": ("tests/dp/accounting", MOVES),
    "dp/accounting/opacus_history.py": ("tests/dp/accounting", MOVES),
    "dp/accounting/order_search.py": ("tests/dp/accounting", MOVES),
    "dp/accounting/roots.py": ("tests/dp/accounting", MOVES),
    "dp/checks.py": ("tests/dp", MOVES),
    "dp/errors.py": ("tests/dp", MOVES),
    "dp/exact_json.py": ("tests/dp", MOVES),
    "dp/ledger/audit_report.py": ("tests/dp/ledger", MOVES),
    "dp/ledger/central.py": ("tests/dp/ledger", MOVES),
    "dp/ledger/chain.py": ("tests/dp/ledger", MOVES),
    "dp/ledger/curves.py": ("tests/dp/ledger", MOVES),
    "dp/ledger/epsilon.py": ("tests/dp/ledger", MOVES),
    "dp/ledger/errors.py": ("tests/dp/ledger", MOVES),
    "dp/ledger/reading.py": ("tests/dp/ledger", MOVES),
    "dp/ledger/signing.py": ("tests/dp/ledger", MOVES),
    "dp/ledger/state.py": ("tests/dp/ledger", MOVES),
    "dp/mechanisms/float_vectors.py": ("tests/dp/mechanisms", MOVES),
    "dp/mechanisms/lattice.py": ("tests/dp/mechanisms", MOVES),
    "dp/mechanisms/rounding.py": ("tests/dp/mechanisms", MOVES),
    "dp/mechanisms/square_root.py": ("tests/dp/mechanisms", MOVES),
    "dp/renyi/binomials.py": ("tests/dp/renyi", MOVES),
    "dp/renyi/curve.py": ("tests/dp/renyi", MOVES),
    "dp/renyi/sampled_without_replacement.py": ("tests/dp/renyi", MOVES),
    "dp/renyi/turning_order.py": ("tests/dp/renyi", MOVES),
    "dp/shares/plan.py": ("tests/dp/shares", MOVES),
    "dp/special.py": ("tests/dp", MOVES),
    "dp/vocabulary.py": ("tests/dp", MOVES),
    "fl/app/audit/view.py": ("tests/fl/app/audit", MOVES),
    "fl/app/audit_plot.py": ("tests/fl/app", MOVES),
    "fl/app/bench/timing.py": ("tests/fl/app/bench", MOVES),
    "fl/app/bench/view.py": ("tests/fl/app/bench", MOVES),
    "fl/app/charts.py": ("tests/fl/app", MOVES),
    "fl/app/commands.py": ("tests/fl/app", MOVES),
    "fl/app/demo/evidence.py": ("tests/fl/app/demo", MOVES),
    "fl/app/demo/model.py": ("tests/fl/app/demo", MOVES),
    "fl/app/demo/outcome.py": ("tests/fl/app/demo", MOVES),
    "fl/app/demo/pictures.py": ("tests/fl/app/demo", MOVES),
    "fl/app/demo/private_run.py": ("tests/fl/app/demo", MOVES),
    "fl/app/demo/scene.py": ("tests/fl/app/demo", MOVES),
    "fl/app/demo/sentences.py": ("tests/fl/app/demo", MOVES),
    "fl/app/demo/settings.py": ("tests/fl/app/demo", MOVES),
    "fl/app/demo/view.py": ("tests/fl/app/demo", MOVES),
    "fl/app/run/folder.py": ("tests/fl/app/run", MOVES),
    "fl/app/run/opening.py": ("tests/fl/app/run", MOVES),
    "fl/app/run/outcome.py": ("tests/fl/app/run", MOVES),
    "fl/app/run/plan.py": ("tests/fl/app/run", MOVES),
    "fl/app/run/rounds.py": ("tests/fl/app/run", MOVES),
    "fl/app/run/view.py": ("tests/fl/app/run", MOVES),
    "fl/errors.py": ("tests/fl", MOVES),
    "fl/study.py": ("tests/fl", MOVES),
    "fl/training/optimizer_state.py": ("tests/fl/training", MOVES),
}
"""Module: where it is tested, and why not in the place of its name."""

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
def test_every_module_has_a_test_file_of_its_name_or_says_where(module: Path):
    if str(module) in ELSEWHERE:
        assert not own_tests(module), "it has one now: take it off the list"
        assert (ROOT / ELSEWHERE[str(module)][0]).exists()
    else:
        assert own_tests(module), f"tests/{module.parent}/test_{module.stem}.py is missing"


def test_the_list_names_modules_that_exist():
    assert not set(ELSEWHERE) - {str(module) for module in MODULES}
