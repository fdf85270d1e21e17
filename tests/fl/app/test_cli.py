"""fl.app.cli: the entry point finds its packages or says how to get them."""

import json
import pickle
import sys
from importlib import metadata

import pytest

from fl.app import cli
from fl.errors import MissingExtraError


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_its_packages_the_command_says_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    # A text as exit status goes to standard error, and the process ends with 1.
    assert caught.value.code == f"secagg: the package '{package}' is not installed; run: pip install 'secagg[demo]'"


def test_a_broken_package_keeps_its_own_error(monkeypatch: pytest.MonkeyPatch):
    def fail(_: str) -> None:
        raise ModuleNotFoundError("No module named 'click'", name="click")

    monkeypatch.setattr(cli.importlib, "import_module", fail)
    with pytest.raises(ModuleNotFoundError, match="click"):
        cli.main()


def test_version_is_printed_as_text_and_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    number = metadata.version("secagg")
    for arguments, expected in [(["version"], number), (["version", "--json"], json.dumps({"version": number}))]:
        monkeypatch.setattr(sys, "argv", ["secagg", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code == 0
        assert capsys.readouterr().out.strip() == expected


def test_the_error_survives_pickling():
    error = pickle.loads(pickle.dumps(MissingExtraError("demo", "typer")))
    assert (error.extra, error.package) == ("demo", "typer")
    assert isinstance(error, ImportError)
