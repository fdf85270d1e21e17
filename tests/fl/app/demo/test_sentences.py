"""What a demo says of itself, on the terminal and on its page."""

from dataclasses import replace

from fl.app.demo.result import DemoResult
from fl.app.demo.sentences import private_sentences, secure_sentences


def test_a_sound_demo_says_what_was_compared_and_what_was_spent(result: DemoResult) -> None:
    assert "bit-exact" in " ".join(secure_sentences(result))
    said = " ".join(private_sentences(result))
    assert f"of {result.settings.epsilon:g} is spent" in said
    assert "A trusted server would add" in said


def test_without_a_private_run_nothing_is_said_of_privacy(result: DemoResult) -> None:
    assert private_sentences(replace(result, private=None)) == []


def test_a_sum_that_is_not_exact_is_said_loudly(result: DemoResult) -> None:
    rounds = [replace(result.rounds[0], exact=False), *result.rounds[1:]]
    assert "A RELEASED SUM WAS NOT EXACT" in " ".join(secure_sentences(replace(result, rounds=rounds)))
