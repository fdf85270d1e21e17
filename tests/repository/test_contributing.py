"""What the pages for contributors say is what the project does: every command in them is run, here or by `.ci/run`."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = ("CONTRIBUTING.md", "docs/architecture.md", "tests/README.md")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def commands(page: str) -> list[str]:
    """The lines of a page's console blocks that begin with a prompt, without their comments."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line.removeprefix("$ ").split(" #")[0].strip() for line in lines if line.startswith("$ ")]


def recipe(word: str) -> list[str]:
    """The commands of one word of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    rule = re.search(rf"^{word}:[^\n]*\n((?:\t[^\n]*\n)+)", text, re.MULTILINE)
    assert rule is not None, f"make has no word {word}"
    venv = {"$(RUN)": ".venv/bin/python -m", "$(VENV)": ".venv"}
    lines = [line.strip() for line in rule[1].splitlines()]
    return [re.sub(r"\$\(\w+\)", lambda match: venv.get(match[0], match[0]), line) for line in lines]


def run_by_ci() -> set[str]:
    """The words of make that continuous integration says."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    return {word for line in re.findall(r"^make (.+)$", script, re.MULTILINE) for word in line.split()}


@pytest.mark.parametrize("page", PAGES)
def test_every_word_of_make_on_a_page_exists(page: str):
    for word in re.findall(r"`make (\w+)", (ROOT / page).read_text(encoding="utf-8")):
        assert recipe(word)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_a_page_is_run(page: str):
    for command in commands(page):
        words = shlex.split(command)
        if words[0] == "make":
            assert set(words[1:]) <= run_by_ci(), command
        elif words[0] == ".venv/bin/pre-commit":
            # Installing would write into the repository's own hooks: the configuration is what can be wrong.
            done = subprocess.run(
                [sys.executable, "-m", "pre_commit", "validate-config", ROOT / ".pre-commit-config.yaml"], check=False
            )
            assert done.returncode == 0
        else:
            assert words[:3] == [".venv/bin/python", "-m", "pytest"], command
            done = subprocess.run(
                [sys.executable, *words[1:], "-q", "-p", "no:cacheprovider"],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout


def test_the_hooks_before_a_commit_are_what_make_check_runs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == recipe("check")


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_a_change_is_listed_before_a_release():
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
