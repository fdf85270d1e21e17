"""mypy refuses every line of misuse.py that says so, with the error that it says, and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
EXPECTED = re.compile(r"# expect: ([a-z-]+)$")
FOUND = re.compile(r"^(?P<path>.+?):(?P<line>\d+): error: (?P<text>.*)  \[(?P<code>[a-z-]+)\]$")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[tuple[int, str]]]:
    """Returns by file the lines and codes that mypy complains about."""
    files = [HERE / "use.py", HERE / "misuse.py"]
    # A cache of its own, so that what is found does not depend on what ran before.
    options = ["--strict", "--no-error-summary", "--no-pretty", "--cache-dir", str(tmp_path_factory.mktemp("mypy"))]
    command = [sys.executable, "-m", "mypy", *options, *map(str, files)]
    # The settings of the project hold here as well: this is what its users' own checks see.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    errors: dict[str, set[tuple[int, str]]] = {file.name: set() for file in files}
    for line in done.stdout.splitlines():
        match = FOUND.match(line)
        if match and Path(match["path"]).name in errors:
            errors[Path(match["path"]).name].add((int(match["line"]), match["code"]))
        else:
            assert ": note: " in line, line
    return errors


@pytest.mark.slow
def test_right_uses_are_accepted(found: dict[str, set[tuple[int, str]]]):
    assert found["use.py"] == set()


@pytest.mark.slow
def test_wrong_uses_are_refused_each_with_its_code_and_nothing_else(found: dict[str, set[tuple[int, str]]]):
    expected = {
        (number, match[1])
        for number, line in enumerate((HERE / "misuse.py").read_text().splitlines(), 1)
        if (match := EXPECTED.search(line))
    }
    assert len(expected) > 50
    assert found["misuse.py"] == expected
