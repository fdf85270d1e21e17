"""Switches off what a client refuses at the invitation, to reach what it refuses later all the same."""

import pytest


@pytest.fixture
def minimum_accepted_at_the_invitation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client joins though it insists on more survivors than the server offers."""
    monkeypatch.setattr("secagg.policy._check_minimum", lambda _params, _required: None)
