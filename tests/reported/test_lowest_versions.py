"""A declared lower bound is one that was run: `make lowest`, which `.ci/run` calls, installs exactly these versions."""

from pathlib import Path

from tests.kit.lowest_versions import lowest_versions

ROOT = Path(__file__).parents[2]


def test_bounds_leave_out_versions_that_are_known_to_break():
    """msgspec to 0.19 gives decoded memoryviews the whole buffer's shape (jcrist/msgspec, issue 835).

    typer before 0.20 lets a required argument be missing under click 8.3 and later.
    """
    found = dict(line.split("==") for line in lowest_versions())
    assert tuple(map(int, found["msgspec"].split("."))) >= (0, 20)
    assert tuple(map(int, found["typer"].split("."))) >= (0, 20)


def test_every_base_dependency_has_a_lowest_version():
    assert {line.split("==")[0] for line in lowest_versions()} >= {
        "numpy",
        "cryptography",
        "pynacl",
        "msgspec",
        "scipy",
    }


def test_continuous_integration_runs_them():
    assert " lowest " in (ROOT / ".ci/run").read_text(encoding="utf-8")
