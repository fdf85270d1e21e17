"""The parameter engine at the command line."""

import json

import pytest
from typer.testing import CliRunner

from fl.app.commands import app


def run(*options: str) -> tuple[int, str]:
    outcome = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, ["params", *options])
    return outcome.exit_code, outcome.output


def test_every_assumption_is_an_option() -> None:
    options = ("--clients", "1000", "--corrupt", "0.05", "--dropout", "0.2", "--absent", "0.1", "--active", "--json")
    options += ("--security-bits", "30", "--correctness-bits", "20", "--rounds", "7", "--grinding-bits", "9")
    figures = json.loads(run(*options)[1])
    assert (figures["corrupt_clients"], figures["dropped_clients"], figures["roster"]) == (50, 200, 900)
    assert (figures["security_bits"], figures["correctness_bits"], figures["rounds"]) == (30, 20, 7)
    assert figures["grinding_bits"] == 9


def test_a_population_counts_whole_unless_the_clients_are_drawn() -> None:
    clients = ("--clients", "500", "--corrupt", "0.05", "--dropout", "0.05", "--json")
    assert json.loads(run(*clients)[1])["corrupt_clients"] == 25
    assert json.loads(run(*clients, "--population", "2000")[1])["corrupt_clients"] == 100
    drawn = json.loads(run(*clients, "--population", "2000", "--drawn-honestly")[1])
    assert 25 < drawn["corrupt_clients"] < 100
    assert run("--clients", "500", "--population", "499")[0] == 2


def test_the_corrupt_may_be_given_as_a_number() -> None:
    code, output = run("--clients", "500", "--corrupt-clients", "30", "--dropout", "0.05")
    assert code == 0
    assert "Up to 30 of the 500 clients are taken to be corrupt." in output
    code, output = run("--clients", "500", "--corrupt-clients", "300", "--dropout", "0.3", "--active")
    assert code == 2
    assert "of the clients corrupt with this dropout" in output


def test_an_offer_that_holds_is_certified() -> None:
    code, output = run("--clients", "1000", "--neighbours", "60", "--threshold", "32")
    assert code == 0
    assert "60 neighbours, threshold 32" in output
    assert "does not hold" not in output


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_an_offer_that_does_not_hold_exits_with_1_and_says_what_fails(form: tuple[str, ...]) -> None:
    code, output = run("--clients", "1000", "--neighbours", "52", "--threshold", "27", *form)
    assert code == 1
    if form:
        figures = json.loads(output)
        assert figures["holds"] is False
        assert [bound["name"] for bound in figures["bounds"] if not bound["holds"]] == ["private"]
    else:
        assert "threshold 27 (k-regular graph) - does not hold" in output
        assert [line.split("│")[4].strip() for line in output.splitlines() if "2^" in line] == ["yes", "no", "yes"]


def test_an_offer_is_certified_for_absent_clients_too() -> None:
    offer = ("--clients", "1000", "--neighbours", "52", "--threshold", "28")
    assert run(*offer)[0] == 0
    assert run(*offer, "--absent", "0.1")[0] == 1


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("--clients", "2"), "clients = 2 is refused: it must be a Python int from 3"),
        (("--clients", "100", "--corrupt", "1"), "corrupt = 1.0 is refused: it must be a number, at least 0 and below"),
        (("--clients", "100", "--absent", "0.2"), "absent = 0.2 is refused: it must be at most dropout, 0.1"),
        (("--clients", "100", "--grinding-bits", "-1"), "grinding_bits = -1 is refused: it must be"),
        (
            ("--clients", "100", "--corrupt", "0.4", "--dropout", "0.4", "--active"),
            "it must be dropout at most 0.29 with this corrupt part, or corrupt at most 0.18 with this dropout",
        ),
        (("--clients", "100", "--neighbours", "7", "--threshold", "4"), "it must be even, or exactly clients - 1"),
        (("--clients", "100", "--neighbours", "8", "--threshold", "9"), "threshold = 9 is refused: it must be"),
        (("--clients", "100", "--neighbours", "8"), "give --neighbours and --threshold together"),
        (("--clients", "100", "--threshold", "8"), "give --neighbours and --threshold together"),
        (("--clients", "many"), "--clients"),
    ],
)
def test_what_cannot_be_exits_with_2_and_says_what_could(options: tuple[str, ...], advice: str) -> None:
    code, output = run(*options)
    assert code == 2
    assert advice in output
