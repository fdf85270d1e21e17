"""The parameter engine at the command line."""

import json
import re

import pytest
from typer.testing import CliRunner

from fl.app.commands import app


def run(*options: str) -> tuple[int, str]:
    outcome = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, ["params", *options])
    return outcome.exit_code, outcome.output


def test_a_choice_is_printed_with_its_bounds_in_words() -> None:
    code, output = run("--clients", "1000")
    assert code == 0
    assert "1000 clients, HONEST_BUT_CURIOUS: 52 neighbours, threshold 28 (k-regular graph)\n" in output
    assert all(name in output for name in ("connected", "private", "alive"))
    assert "28 of them as neighbours, who could open its secrets." in " ".join(re.sub("[│\n]", " ", output).split())
    assert "a client sends about 9,984 bytes: 192 for each of 52 neighbours." in output
    assert re.search(r"A sum of fewer than \d+ clients is not released\.", output)
    assert "of all peers" not in output
    assert "rosters" not in output


def test_the_same_choice_as_plain_data() -> None:
    code, output = run("--clients", "1000", "--active", "--json")
    figures = json.loads(output)
    assert code == 0
    assert figures["holds"] is True
    assert figures["adversary"] == "ACTIVE"
    assert (figures["neighbours"], figures["threshold"], figures["grinding_bits"]) == (152, 110, 64)
    assert (figures["roster"], figures["min_survivors"], figures["complete"]) == (1000, 551, False)
    assert figures["bytes_besides_vector"] == 152 * 192
    assert {bound["name"] for bound in figures["bounds"]} == {"uncuttable", "private", "alive"}
    assert all(bound["holds"] for bound in figures["bounds"])


def test_every_assumption_is_an_option() -> None:
    options = ("--clients", "1000", "--corrupt", "0.05", "--dropout", "0.2", "--absent", "0.1", "--active", "--json")
    options += ("--security-bits", "30", "--correctness-bits", "20", "--rounds", "7", "--grinding-bits", "9")
    figures = json.loads(run(*options)[1])
    assert (figures["corrupt_clients"], figures["dropped_clients"], figures["roster"]) == (50, 200, 900)
    assert (figures["security_bits"], figures["correctness_bits"], figures["rounds"]) == (30, 20, 7)
    assert figures["grinding_bits"] == 9


def test_a_probability_of_zero_is_null() -> None:
    figures = json.loads(run("--clients", "20", "--json")[1])
    assert figures["complete"] is True
    assert [bound["log2_probability"] for bound in figures["bounds"]] == [None] * 3
    assert "(complete graph)" in run("--clients", "20")[1]


def test_absent_clients_and_grinding_are_spelled_out() -> None:
    output = run("--clients", "1000", "--active", "--absent", "0.1")[1]
    assert "This is for rosters of 900 to 1000 clients." in output
    assert "A server may try 2^64 rosters" in output


def test_much_dropout_against_a_lying_server_gets_a_hint() -> None:
    assert "% of all peers. Against a lying server" in run("--clients", "1000", "--active", "--dropout", "0.3")[1]
    assert "of all peers" not in run("--clients", "1000", "--dropout", "0.3")[1]
    assert "of all peers" not in run("--clients", "20", "--active")[1]


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
