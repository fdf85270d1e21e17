"""The example of two-level aggregation: exact sums, honest print-outs, and losses that stay where they happen."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fl import ArraySchema, WeightedMean

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("two_levels", ROOT / "examples" / "two_levels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks its module up by name.
    sys.modules["two_levels"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_example_prints_what_each_server_learns(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / "two_levels.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    survivors = {"north": "5 of 6", "east": "5 of 5", "south": "6 of 7", "west": "4 of 4", "valley": "5 of 5"}
    for hospital, count in survivors.items():
        assert sum(line.startswith(f"{hospital}: its server learns the mean of {count} dep") for line in lines) == 1
    assert "island: too few of 4 departments are left; its server learns nothing" in lines
    assert lines[6:7] == ["hospitals in the total: east, north, south, west"]
    weights = {line.split(":")[0]: int(line.split()[-1]) for line in lines if "total weight" in line and ":" in line}
    total = sum(weights[name] for name in ("east", "north", "south", "west"))
    assert lines[7:] == [
        f"the central server learns the mean of 20 departments, total weight {total}, and no group's",
        "the sum equals that of one level: True",
        "the mean is within the quantiser's bound of the plain one: True",
    ]


@pytest.mark.slow
def test_two_levels_give_the_plain_sum_of_the_integers_at_any_modulus(example: ModuleType):
    schema = ArraySchema.of([np.zeros(5)])
    for bits in (8, 16, 33):
        codec = WeightedMean(schema, clip=1.0, modulus_bits=bits, clients=20, weight_cap=9)
        rng = np.random.default_rng(bits)
        words = {
            hospital: {number: codec.encode([rng.normal(0, 1, 5)], number % 9 + 1) for number in range(at, at + 5)}
            for hospital, at in (("a", 100), ("b", 200), ("c", 300), ("d", 400))
        }
        groups = {hospital: example.aggregate_group(codec, hospital, group) for hospital, group in words.items()}
        total, survivors, present = example.aggregate_hospitals(codec, groups)
        plain = np.sum([vector.astype(np.uint64) for group in words.values() for vector in group.values()], axis=0)
        # The grid fills the modulus and no more: the plain sum needs no reduction.
        assert total.tolist() == plain.tolist()
        assert (survivors, present) == (20, ["a", "b", "c", "d"])
        assert codec.decode(total, survivors)[1] == sum(number % 9 + 1 for group in words.values() for number in group)
