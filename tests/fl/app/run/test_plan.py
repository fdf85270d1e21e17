"""From a configuration to a plan, and whether it is the plan that the run began with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fl.app.run.opening
import fl.app.run.plan
import fl.app.run.training
from fl.app.run.config import read_config
from fl.app.run.plan import plan_run
from fl.arrays.schema import ArraySchema
from fl.private import make_plan
from tests.kit.run_scene import (
    PLAIN,
    PRIVATE,
    refuses,
    write,
)

ANOTHER_PLAN = [
    ("epsilon = 20", "epsilon = 21", "noise.target_epsilon", "21/1", "20/1"),
    ("delta = 1e-5", "delta = 1e-6", "noise.delta", None, None),
    ("rounds = 1", "rounds = 2", "noise.rounds", "2", "1"),
    ("max_dropouts = 1", "max_dropouts = 0", "noise.min_survivors", "4", "3"),
    ("clip = 2.0", "clip = 1.0", "clip", "1/1", "2/1"),
    ("clip = 2.0", "clip = 2.0\nmodulus_bits = 20", "noise.modulus_bits", "20", None),
    ("clip = 2.0", "clip = 2.0\nweight_cap = 2", "weight_cap", "2", "1"),
    ('"ward 7"', '"ward 8"', "scope", "ward 8", "ward 7"),
    ("colluders = 0", 'colluders = 0\nadversary = "curious"', "session.adversary", "1", "2"),
    ("rounds = 1", 'rounds = 1\noptimizer = {kind = "FedAvgM"}', "optimizer", "FedAvgM", "FedAvg"),
    ("clip = 2.0", 'clip = 2.0\nledger_key = "new.key"', "ledger key", None, None),
]


@pytest.mark.slow
def test_another_plan_is_refused_and_the_figure_is_named(place: Path, finish: Callable[[str], Path]):
    text = PRIVATE.replace("rounds = 3", "rounds = 1")
    finish(text)
    (place / "new.key").write_text("0" * 64 + "\n")
    (place / "new.key").chmod(0o600)
    for old, new, what, offered, expected in ANOTHER_PLAN:
        error = refuses(write(place, text, (old, new)), what)
        assert offered is None or error.offered == offered
        assert expected is None or str(error.expected).split(",")[0] == expected


def test_a_plain_run_and_one_with_noise_do_not_continue_each_other(place: Path, finish: Callable[[str], Path]):
    finish(PLAIN)
    refuses(write(place, PRIVATE), "ledger.jsonl")
    (place / "run" / "ledger.jsonl").write_text("")
    refuses(write(place, PRIVATE), "schema")
    for old, new, what in (("rounds = 3", "rounds = 4", "rounds"), ("clip = 1.0", "clip = 1.5", "clip")):
        refuses(write(place, PLAIN, (old, new)), what)


def test_the_plan_of_the_scene_is_the_one_that_is_made_anew(place: Path, monkeypatch: pytest.MonkeyPatch):
    """Tests make each plan once; it is the same when it is made again."""
    config = read_config(write(place, PRIVATE))
    schema = ArraySchema.of({"w": np.zeros(2), "n": np.array(0.0)})
    cached = plan_run(config, schema, 4)
    monkeypatch.setattr(fl.app.run.plan, "make_plan", make_plan)
    assert plan_run(config, schema, 4) == cached
