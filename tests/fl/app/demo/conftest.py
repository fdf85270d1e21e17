"""What tests of the demo share: one small demo with everything in it, run once."""

import pytest

import fl.app.demo.private_run
from fl.app.demo.demo import run_demo
from fl.app.demo.page import html
from fl.app.demo.result import DemoResult
from fl.app.demo.settings import DemoSettings
from tests.kit.planned_once import planned_once


@pytest.fixture(scope="session")
def result() -> DemoResult:
    """Four rounds of six clients, with a private run. Tests change copies of it only."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fl.app.demo.private_run, "make_plan", planned_once)
        return run_demo(DemoSettings(clients=6, rounds=4, dropout=0.1, seed=3))


@pytest.fixture(scope="session")
def page(result: DemoResult) -> str:
    """The demo's page."""
    return html(result)


@pytest.fixture(autouse=True)
def _plans_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan takes a second to make."""
    monkeypatch.setattr(fl.app.demo.private_run, "make_plan", planned_once)
