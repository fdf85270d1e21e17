"""The built wheel, installed with its base dependencies alone into an empty environment.

Whatever works only in a checkout (a file left out of the wheel, an import that needs an extra) fails here.
"""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

# xdist_group: one worker builds and installs once for all the tests of this file.
pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.xdist_group("wheel")]

REPOSITORY = Path(__file__).resolve().parents[2]

SECURE_SUM = """
import numpy as np, secagg
params = secagg.SessionParams.for_cohort(cohort_size=5, vector_length=4, modulus_bits=32)
vectors = {i: np.arange(4, dtype=np.uint32) + i for i in range(1, 6)}
result = secagg.simulate(vectors, params, dropouts={"masked_input": {2}})
survivors = frozenset({1, 3, 4, 5})
assert result.survivors == survivors, result.survivors
expected = [sum(place + client for client in survivors) for place in range(4)]
assert result.sum.tolist() == expected, result.sum
print("summed")
"""

ROOTS = """
import importlib.util
from pathlib import Path
import fl, secagg
for package in (fl, secagg):
    folder = Path(package.__file__).parent
    assert "site-packages" in folder.parts, folder
    assert (folder / "py.typed").is_file(), folder
assert fl.load_digits()[0].shape == (1797, 64)
try:
    import dp
except ImportError as error:
    assert "pip install 'secagg[dp]'" in str(error), error
else:
    raise AssertionError("scipy is not there, and dp was imported")
present = [name for name in ("torch", "typer", "rich", "flwr", "hypothesis") if importlib.util.find_spec(name)]
assert not present, present
print("imported")
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    # Nothing of the checkout or of the environment that runs the tests may leak in. Coverage's variables would make
    # the child look for coverage, which is not there.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_", "COVERAGE_"))}
    kept.pop("VIRTUAL_ENV", None)
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=kept, capture_output=True, text=True, check=False
    )


def succeed(*command: str | Path, cwd: Path) -> str:
    finished = run(*command, cwd=cwd)
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def install(python: Path, *what: str | Path, cwd: Path) -> None:
    # Our own pip installs into the other environment, which needs none; what is imported there is compiled there.
    quietly = ("--quiet", "--disable-pip-version-check", "--no-compile")
    succeed(sys.executable, "-m", "pip", "--python", python, "install", *quietly, *what, cwd=cwd)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    succeed(sys.executable, "-m", "build", "--wheel", "--outdir", folder, REPOSITORY, cwd=folder)
    [built] = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env", with_pip=False)
    executable = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install(executable, wheel, cwd=folder)
    return executable


def test_the_wheel_holds_the_three_packages_and_their_data(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names} == {"secagg", "dp", "fl", "secagg-0.1.0.dist-info"}
    assert {"fl/data/digits.csv.gz", "fl/data/LICENSE-digits.txt", "secagg/py.typed"} <= names
    assert {"dp/ledger.schema.json", "dp/py.typed"} <= names
    assert "secagg-0.1.0.dist-info/licenses/LICENSE" in names


def test_what_needs_no_extra_imports_without_and_dp_says_which_one_it_needs(python: Path, tmp_path: Path):
    assert succeed(python, "-c", ROOTS, cwd=tmp_path) == "imported\n"


def test_a_secure_sum_needs_the_base_dependencies_alone(python: Path, tmp_path: Path):
    assert succeed(python, "-c", SECURE_SUM, cwd=tmp_path) == "summed\n"


def test_the_command_says_which_extra_it_needs(python: Path, tmp_path: Path):
    finished = run(python.with_name("secagg"), "--help", cwd=tmp_path)
    assert finished.returncode != 0
    assert "pip install 'secagg[demo]'" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_dp_needs_scipy_and_nothing_else(python: Path, tmp_path: Path):
    extra = tmp_path / "extra"
    install(python, "--no-deps", "--target", extra, "scipy", cwd=tmp_path)
    code = f"import sys; sys.path.append({str(extra)!r}); import dp; print(dp.RdpAccountant().epsilon(0.1).value)"
    assert succeed(python, "-c", code, cwd=tmp_path) == "0.0\n"
