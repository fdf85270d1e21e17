"""The plan as a page: every figure is the plan's, and no promise is made to look better than it is."""

import math
import re
from typing import Any

import numpy as np
import pytest

from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from dp.vocabulary import DISTRIBUTED_DISCRETE_GAUSSIAN, Adversary, SampleKnownTo, Sampling, Unit
from fl.arrays.schema import ArraySchema
from fl.private.plan import PrivatePlan
from fl.private.plan_page import _chance, _factor, _figure, describe, sections
from fl.private.planning import make_plan
from fl.private.side_values import SideValue
from secagg.params import AdversaryModel

SCHEMA = ArraySchema.of({"w": np.zeros((6, 5)), "b": np.zeros(3)})


def a_plan(**changes: Any) -> PrivatePlan:
    arguments: dict[str, Any] = {
        "scope": "ward 7",
        "schema": SCHEMA,
        "clients": 12,
        "max_dropouts": 2,
        "colluders": 1,
        "clip": 0.5,
        "epsilon": 3.0,
        "delta": 1e-5,
        "rounds": 4,
    }
    return make_plan(**arguments | changes)


def page(**changes: Any) -> str:
    """Returns the page with all white space as single spaces."""
    return " ".join(describe(a_plan(**changes)).split())


@pytest.fixture(scope="module")
def plan() -> PrivatePlan:
    return a_plan()


def test_every_part_is_there_and_lines_are_short(plan: PrivatePlan) -> None:
    text = describe(plan)
    assert text.startswith("Private training: ward 7\n========================\n")
    assert [section.title for section in sections(plan)] == [
        "What is protected",
        "Against whom",
        "What is released",
        "The budget",
        "The noise",
        "What this rests on",
        "What would break it",
        "How to check it",
    ]
    assert all(f"\n{section.title}\n{'-' * len(section.title)}\n* " in text for section in sections(plan))
    assert all(len(line) <= 88 for line in text.splitlines())
    whole = " ".join(text.replace("\n* ", " ").split())
    assert all(paragraph in whole for section in sections(plan) for paragraph in section.paragraphs)


def test_the_figures_are_the_plans(plan: PrivatePlan) -> None:
    text = " ".join(describe(plan).split())
    assert "Epsilon 3 at delta 1e-05, for all 4 rounds together. Allowed is 3." in text
    assert "for a probability of 1 in 100,000" in text
    assert "33 numbers, with noise. First, each update is cut to the length 0.5." in text
    assert "Up to 1 of the clients of a round may work together with the server." in text
    assert "only the sum of at least 10 clients" in text.lower()
    assert "Of at least 10 shares, 9 are counted on." in text
    assert f"{plan.noise_stddev(10):.3g} (10 clients) to {plan.noise_stddev(12):.3g} (12)" in text
    assert f"in {plan.noise.modulus_bits} bits" in text
    assert plan.digest.hex() in text
    assert "a round beyond the 4" in text
    assert "this one is called 'ward 7'" in text


def test_odds_and_guesses_follow_from_epsilon(plan: PrivatePlan) -> None:
    text = " ".join(describe(plan).split())
    epsilon, delta = float(plan.noise.promised_epsilon), float(plan.noise.delta)
    factor = int(re.search(r"more than ([\d,]+) times as probable", text)[1].replace(",", ""))  # type: ignore[index]
    assert math.exp(epsilon) <= factor < math.exp(epsilon) + 1
    right = float(re.search(r"probability of up to ([\d.]+) %", text)[1])  # type: ignore[index]
    # Randomised response, which is right so often, is private to exactly this epsilon and delta.
    best = (math.exp(epsilon) + delta) / (1 + math.exp(epsilon))
    assert best <= right / 100 < best + 2e-4


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({}, "All the data of any one client", "one training example"),
        ({}, "had been nothing but zeros", "any other data"),
        ({}, "counts on no luck", "drawn at random"),
        ({}, "The server may lie", "only to look"),
        ({}, "clients that exist", "two honest"),
        ({}, "Skellam noise", "discrete Gaussian"),
        ({}, "The server, every other client, and everybody", "weaker"),
        ({"adversary": AdversaryModel.HONEST_BUT_CURIOUS}, "only to look", "The server may lie"),
        ({"colluders": 0}, "No client may work together with the server", "Up to"),
        ({"unit": Unit.EXAMPLE, "examples_per_client": 40}, "at most 40 of them in a round", "All the data of"),
        ({"unit": Unit.EXAMPLE, "examples_per_client": 40}, "each example's update is cut", "each update is cut"),
        ({"weight_cap": 128}, "weighted, by at most 128", "reports its"),
        ({"side_values": [SideValue(name="loss", low=0, high=5)]}, "reports its 'loss', from 0 to 5", "weighted"),
        ({"adaptive": AdaptiveClipping.for_contributors(0.5, 100)}, "whether its update was longer", "weighted"),
        ({"mechanism": DISTRIBUTED_DISCRETE_GAUSSIAN}, "discrete Gaussian noise", "Skellam"),
        ({"small_consortium": True}, "only two honest ones may be left", "weighted"),
    ],
)
def test_what_the_plan_has_is_said_and_nothing_else(changes: dict[str, Any], said: str, unsaid: str) -> None:
    text = page(**changes)
    assert said in text
    assert unsaid not in text


@pytest.mark.slow
def test_a_promise_against_outsiders_says_what_it_is_against_the_server() -> None:
    sampling = Sampling(known_to=SampleKnownTo.PARTICIPANTS, population=1200, sample=12)
    plan = a_plan(sampling=sampling, privacy_against=Adversary.OUTSIDER, modulus_bits=20)
    text = " ".join(describe(plan).split())
    inside, outside = plan.noise.participant_epsilon().value, float(plan.noise.promised_epsilon)
    assert inside > outside
    assert f"epsilon {_figure(inside)} instead of {_figure(outside)}" in text
    assert "12 clients being drawn at random and in secret from 1,200" in text
    assert "any other data" in text


def test_text_is_not_interpreted() -> None:
    assert "<b>&'" in describe(a_plan(scope="<b>&'"))


@pytest.mark.parametrize(
    ("epsilon", "shown"),
    [(8.0, "8"), (7.9999991, "8"), (7.9981, "7.999"), (0.12341, "0.1235"), (12345.0, "1.235e+04"), (math.inf, "inf")],
)
def test_an_epsilon_is_never_rounded_down(epsilon: float, shown: str) -> None:
    assert _figure(epsilon) == shown
    assert float(shown) >= epsilon


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (1e-5, "1 in 100,000"),
        (1e-6, "1 in 1,000,000"),
        (3e-4, "1 in 3,300"),
        (9.9e-7, "1 in 1,000,000"),
        (0.2, "0.2"),
        (0.0, "0"),
    ],
)
def test_a_probability_is_never_rounded_down(probability: float, shown: str) -> None:
    assert _chance(probability) == shown


@pytest.mark.parametrize(
    ("epsilon", "shown"), [(0.1, "1.11"), (1.0, "2.72"), (3.0, "21"), (16.0, "8,886,111"), (20.0, "10^9")]
)
def test_a_factor_is_never_rounded_down(epsilon: float, shown: str) -> None:
    assert _factor(epsilon) == shown
