"""Opening a run: a new one is begun once, an old one only if asked, and settings that promise nothing may change."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.kit.run_scene import (
    MODES,
    PRIVATE,
    both_modes,
    command,
    content,
    refuses,
    run,
    run_until,
    write,
)


@both_modes
def test_a_run_is_begun_once_and_resumed_only_if_asked(place: Path, mode: str):
    config = write(place, MODES[mode])
    status, output, errors = command(config, "--resume")
    assert (status, output) == (4, "")
    assert "there is no run to resume here" in " ".join(errors.split())
    (place / "run").mkdir()
    assert command(config, "--resume")[0] == 4
    # An empty folder is none.
    assert command(config)[0] == 0
    before = content(place / "run")
    status, _, errors = command(config)
    assert status == 4
    assert "it holds a run already: say --resume" in errors
    assert content(place / "run") == before
    # What is finished stays so.
    status, output, _ = command(config, "--resume", "--json")
    assert status == 0
    assert json.loads(output)["outcomes"]["released"] == 3
    assert content(place / "run") == before


def test_settings_that_promise_nothing_may_change(place: Path):
    config = write(place, PRIVATE)
    run_until(1, config)
    changes = [
        ("rounds = 3", 'rounds = 3\noptimizer = {kind = "FedAvg", learning_rate = 0.5}'),
        ("colluders = 0", "colluders = 0\nsimulated_dropout = 0.01"),
    ]
    assert len(run(write(place, PRIVATE, *changes), resume=True).done) == 3


def test_a_damaged_file_is_refused_and_named(place: Path, finish: Callable[[str], Path]):
    config = finish(PRIVATE)
    whole = content(place / "run")
    for name, text in {
        "checkpoint": "checkpoint: the checkpoint is damaged or truncated",
        "rounds.jsonl": "rounds.jsonl: line 2 ",
        "ledger.jsonl": "record 2: ",
        "identities/3": "a key is 64 hexadecimal digits",
        "counters/3": "damaged",
    }.items():
        damaged = whole[name].replace(b'"', b"'", 30) if name.endswith("jsonl") else whole[name][:-2] + b"?\n"
        if name.endswith("jsonl"):
            lines = whole[name].splitlines(keepends=True)
            damaged = b"".join([lines[0], lines[1].replace(b'"', b"'", 1), *lines[2:]])
        (place / "run" / name).write_bytes(damaged)
        before = content(place / "run")
        status, _, errors = command(config, "--resume")
        assert status == 4, name
        assert text in " ".join(errors.split()), name
        assert content(place / "run") == before
        (place / "run" / name).write_bytes(whole[name])
    for stored in (b"[1]", b"{", whole["plan.json"] + b" ", b"\xff"):
        (place / "run" / "plan.json").write_bytes(stored)
        refuses(config, "plan.json")
    (place / "run" / "plan.json").write_bytes(whole["plan.json"])
    assert command(config, "--resume")[0] == 0
