"""Scipy is loaded when it is first needed, and said to be missing at once."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import special as of_scipy

from dp.special import erf, erfcinv, erfcx, ndtr, ndtri


def in_a_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize("package", ["dp", "dp.durable", "fl.private"])
def test_an_import_does_not_load_scipy(package: str) -> None:
    loaded = in_a_fresh_process(f"import sys, {package}; print(*sys.modules)").split()
    assert package in loaded
    assert not [name for name in loaded if name.split(".")[0] == "scipy"]


@pytest.mark.slow
@pytest.mark.parametrize("package", ["dp", "dp.durable", "fl.private"])
def test_without_scipy_the_import_says_what_to_install(package: str) -> None:
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        f"try:\n import {package}\nexcept ImportError as error:\n print(repr(error), error)"
    )
    said = in_a_fresh_process(code)
    assert said.startswith("MissingExtraError('dp', 'scipy')")
    assert "pip install 'secagg[dp]'" in said


def test_the_functions_are_scipys() -> None:
    x = np.array([0.25, 0.5])
    assert np.array_equal(erf(x), of_scipy.erf(x))
    assert np.array_equal(erfcx(x), of_scipy.erfcx(x))
    assert erfcinv(0.25) == of_scipy.erfcinv(0.25)
    assert ndtr(0.25) == of_scipy.ndtr(0.25)
    assert ndtri(0.25) == of_scipy.ndtri(0.25)
