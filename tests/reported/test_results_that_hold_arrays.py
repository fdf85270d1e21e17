"""Two results are compared without an error of numpy's: a comparison of arrays is no truth value."""

import ast
import re
from pathlib import Path

import numpy as np

import secagg

ROOT = Path(__file__).parents[2]
ARRAYS = re.compile(r"NDArray|ndarray|_Array|\bVector\b|\bWords\b|\bArrays\b|NamedArrays|\bCounts\b|\bPresent\b")


def test_results_of_simulations_are_compared_by_identity():
    params = secagg.SessionParams.for_cohort(cohort_size=4, vector_length=3, modulus_bits=32)
    one, other = (secagg.simulate({client: np.arange(3) for client in range(4)}, params) for _ in range(2))
    assert (one == other) is False
    assert one == one
    assert len({one, other}) == 2


def test_no_dataclass_with_an_array_compares_it():
    found = []
    for package in ("secagg", "dp", "fl"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.ClassDef):
                    continue
                made = [text for text in map(ast.unparse, node.decorator_list) if text.startswith("dataclass")]
                types = [ast.unparse(line.annotation) for line in node.body if isinstance(line, ast.AnnAssign)]
                if made and "eq=False" not in made[0] and any(map(ARRAYS.search, types)):
                    found.append(f"{path.name}: {node.name}")
    assert found == []
