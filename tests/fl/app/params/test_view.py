"""A certificate as a table, in sentences, and as plain data."""

import json
import re

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
