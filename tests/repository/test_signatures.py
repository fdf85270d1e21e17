"""No keyword soup: a call cannot swap two arguments of one type, nor count to five."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("secagg", "dp", "fl")
MOST = 4

# Two neighbours of one type that stay positional, each with its reason. The doors' names are in DOORS.
REASONS = {
    "multiply": "left and right give the same product",
    "text": "x comes before y",
    "poisson_gaussian_rdp": "called through one type, with the other formula",
    "poisson_discrete_gaussian_rdp": "called through one type, with the other formula",
    "gaussian_without_replacement_rdp": "called through one type, with the other formula",
}
# The order is that of the formula, of the paper or of the page that documents them, and users already rely on it.
DOORS = {
    "AdaptiveClipping.updated",
    "ErrorFeedback.keep",
    "Ledger.settle",
    "Quantizer.error_bound",
    "RandomK.__init__",
    "RdpAccountant.remaining",
    "RdpAccountant.would_exceed",
    "ServerOptimizer.step",
    "SharedPart.join",
    "apply",
    "calibrate",
    "client_delta",
    "expected_squared_error",
    "noise_multiplier",
    "proximal_gradient",
    "proximal_penalty",
    "sparsifier",
    "thread_pool",
    "unbiased_range_factor",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: str) -> Iterator[tuple[str, Function, list[ast.arg]]]:
    """Yields each function that is not within another one: its name, itself, its positional parameters."""

    def within(node: ast.AST, owner: ast.ClassDef | None) -> Iterator[tuple[str, Function, list[ast.arg]]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                parameters = child.args.posonlyargs + child.args.args
                bound = owner is not None and "staticmethod" not in map(ast.unparse, child.decorator_list)
                name = child.name if owner is None else f"{owner.name}.{child.name}"
                yield name, child, parameters[1:] if bound else parameters
            else:
                yield from within(child, child if isinstance(child, ast.ClassDef) else owner)

    yield from within(ast.parse(source), None)


def alike(parameters: list[ast.arg]) -> list[str]:
    """Returns the types that more than one parameter has."""
    types = [ast.unparse(parameter.annotation) for parameter in parameters if parameter.annotation is not None]
    return sorted({each for each in types if types.count(each) > 1})


def built_from_its_arguments(name: str) -> bool:
    """Whether this constructs an error: pickle and copy build an exception again from its positional arguments."""
    return name.endswith(("Error.__init__", "Error_.__init__"))


def private(name: str) -> bool:
    """Whether this is seen in one file only, where the kernels of numerics keep the order of their formula."""
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def faults(source: str) -> list[str]:
    found = []
    for name, _, parameters in functions(source):
        if built_from_its_arguments(name):
            continue
        if len(parameters) > MOST:
            found.append(f"{name}: {len(parameters)} positional parameters")
        if alike(parameters) and not private(name) and name not in REASONS | dict.fromkeys(DOORS):
            found.append(f"{name}: more than one positional parameter is a {', '.join(alike(parameters))}")
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_more_than_four_arguments_are_positional_and_one_of_each_type(package: str):
    found = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / package).rglob("*.py"))
        if (lines := faults(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_every_exception_is_still_there():
    named = {
        name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name, _, parameters in functions(path.read_text(encoding="utf-8"))
        if alike(parameters)
    }
    assert REASONS.keys() | DOORS <= named


@pytest.mark.parametrize(
    "source",
    [
        "def f(a: int, b: int): ...",
        "def f(a: str, b: int, c: bytes, d: float, e: bool): ...",
        "class C:\n    def f(self, a: int, b: int): ...",
        "class C:\n    @staticmethod\n    def f(a: int, b: int): ...",
        "if True:\n    def f(a: int, b: int): ...",
        "class _C:\n    def f(self, a: str, b: int, c: bytes, d: float, e: bool): ...",
    ],
)
def test_a_signature_that_invites_a_swap_is_found(source: str):
    assert len(faults(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "def f(a: int, *, b: int): ...",
        "class FError(E):\n    def __init__(self, a: str, b: str): ...",
        "def _f(a: int, b: int): ...",
    ],
)
def test_a_signature_that_does_not_is_left_alone(source: str):
    assert faults(source) == []
