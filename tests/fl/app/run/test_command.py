"""`secagg run` as its user runs it: what is printed, and what the exit status says."""

import json
import re
import stat
from pathlib import Path

import pytest

from dp.ledger.audit import Verdict, audit
from tests.kit.run_scene import (
    PLAIN,
    PRIVATE,
    SIGNED,
    change_study,
    command,
    write,
)


def test_a_run_with_noise_spends_its_budget_and_no_more(place: Path):
    config = write(place, SIGNED)
    status, output, _ = command(config)
    text = " ".join(output.split())
    assert status == 0
    assert "3 of 3 rounds: 3 released." in text
    assert "Spent: epsilon 20 of 20 at delta 1e-05, for each client, with up to 0 colluders." in text
    folder = place / "run"
    head, key = re.findall(r"--expect-head ([0-9a-f]{64}) --expect-key ([0-9a-f]{64})", output)[0]
    report = audit([folder / "ledger.jsonl"], expected_head=bytes.fromhex(head), expected_key=bytes.fromhex(key))
    assert report.verdict is Verdict.FINE
    assert report.files[0].closed
    # Signed after every round, and closed: all of it is covered.
    assert report.files[0].signed == report.files[0].records
    assert sorted(path.name for path in (folder / "identities").iterdir()) == ["18446744073709551615", "3", "5", "7"]
    for secret in (place / "ledger.key", *(folder / "identities").iterdir()):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_run_that_releases_nothing_is_status_1(place: Path):
    config = write(place, PLAIN, ("colluders = 0", "colluders = 0\nsimulated_dropout = 0.999999"))
    status, output, errors = command(config)
    assert status == 1
    assert "NO ROUND RELEASED A MEAN" in output
    assert "3 of 3 rounds: 3 too few clients." in output
    assert "round 2: too few clients: at advertise_keys" in " ".join(errors.split()) or "round 2: too few" in errors
    assert json.loads(command(config, "--resume", "--json")[1])["metrics"] == {}


@pytest.mark.parametrize(
    ("text", "changes", "says"),
    [
        (PRIVATE, ("rounds = 3", "rounds = 0"), "training.rounds: Expected int >= 1"),
        (PRIVATE, ("max_dropouts = 1", "max_dropouts = 4"), "session.max_dropouts: "),
        (PRIVATE, ("epsilon = 20", "epsilon = nan"), "privacy.epsilon: "),
        (PRIVATE, ("epsilon = 20", "epsilon = 0"), "privacy.epsilon: "),
        (PRIVATE, ("epsilon = 20", "epsilon = 1e-9"), "privacy"),
        (PRIVATE, ("delta = 1e-5", "delta = inf"), "privacy.delta: "),
        (PRIVATE, ("clip = 2.0", "clip = nan"), "privacy.clip: "),
        (PRIVATE, ("clip = 2.0", "clip = 2.0\nmodulus_bits = 2"), "privacy.modulus_bits: "),
        (PRIVATE, ("clip = 2.0", "clip = 2.0\nbytes_per_parameter = nan"), "privacy"),
        (PRIVATE, ("clip = 2.0", "clip = 2.0\nadaptive = {bit_stddev = inf}"), "privacy"),
        (PRIVATE, ("clip = 2.0", "clip = 2.0\nadaptive = {largest = 1.0}"), "privacy"),
        (PRIVATE, ("clip = 2.0", 'clip = 2.0\nside_values = [{name = "a", low = nan, high = 1}]'), "privacy"),
        (PRIVATE, ("clip = 2.0", 'clip = 2.0\nside_values = [{name = "a", low = 1, high = 1}]'), "privacy"),
        (PLAIN, ("clip = 1.0", "clip = nan"), "plain.clip: "),
        (PLAIN, ("clip = 1.0", "clip = 1.0\nmodulus_bits = 2"), "plain.modulus_bits: the sum of 4 clients"),
        (PLAIN, ("max_dropouts = 1", "max_dropouts = 2"), "session.max_dropouts: "),
        (PLAIN, ('"a_study:Study"', '"a_study:Stduy"'), "the study's entry 'a_study:Stduy': AttributeError"),
    ],
)
def test_what_cannot_be_used_is_status_2_and_nothing_is_begun(
    place: Path, text: str, changes: tuple[str, str], says: str
):
    status, output, errors = command(write(place, text, changes))
    assert (status, output) == (2, "")
    assert says in " ".join(errors.split())
    assert not (place / "run").exists()
    assert not list(place.glob(".run*"))


def test_a_missing_file_is_status_2(tmp_path: Path):
    status, _, errors = command(tmp_path / "nothing.toml")
    assert status == 2
    assert "nothing.toml: it cannot be read: No such file" in errors
    assert command()[0] == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return [7, 3, 2**64 - 1, 5]", "return [7, 3, 5, 5]"),
        ("return [7, 3, 2**64 - 1, 5]", "return [1, 2, 3]"),
        ("np.array([0.5, -1.0], np.float32)", "np.array([0.5, np.nan])"),
        ("np.array([0.5, -1.0], np.float32)", "missing"),
    ],
)
def test_a_study_without_clients_or_model_is_status_2(place: Path, old: str, new: str):
    change_study(place, (old, new))
    assert command(write(place, PLAIN))[0] == 2
    assert not (place / "run").exists()
