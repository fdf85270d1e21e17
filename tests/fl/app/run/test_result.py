"""What there is after a run, as data."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.kit.run_scene import PLAIN, SIGNED, run


def test_plain_data_has_every_round_and_the_budget(place: Path, finish: Callable[[str], Path]):
    result = run(finish(SIGNED), resume=True)
    assert result.public_key is not None
    assert result.head is not None
    figures = json.loads(json.dumps(result.to_json()))
    assert [one["round"] for one in figures["rounds"]] == [1, 2, 3]
    assert figures["outcomes"] == {"released": 3, "too few clients": 0, "no mean": 0, "lost": 0}
    assert figures["metrics"] == figures["rounds"][-1]["metrics"]
    assert figures["model"] == str(place / "run" / "model.npz")
    privacy = figures["privacy"]
    assert (privacy["scope"], privacy["unit"], privacy["budget"]) == ("ward 7", "client", 20.0)
    assert (privacy["head"], privacy["public_key"]) == (result.head.hex(), result.public_key.hex())


def test_a_plain_run_says_nothing_of_privacy(finish: Callable[[str], Path]):
    result = run(finish(PLAIN), resume=True)
    assert result.to_json()["privacy"] is None
    assert (result.ledger, result.head, result.public_key, result.epsilon) == (None, None, None, None)
