"""Prints the lowest version of every package that pyproject.toml allows, as constraints for pip.

`make lowest` runs the tests with them: a bound that was never run is a promise that nobody checked.
"""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
LOWEST = re.compile(r"(?P<name>[A-Za-z0-9_-]+)>=(?P<version>[0-9.]+)")


def lowest_versions() -> list[str]:
    """Returns a line for each requirement with a lower bound, such as numpy==1.26."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    required = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    found = [LOWEST.fullmatch(line) for line in required]
    return sorted({f"{match['name']}=={match['version']}" for match in found if match is not None})


if __name__ == "__main__":
    print("\n".join(lowest_versions()))
