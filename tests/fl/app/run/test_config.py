"""fl.app.run.config: every key is known, typed and in range, or the file is refused with the key's name."""

import pickle
import re
from pathlib import Path

import msgspec
import pytest

from dp.errors import DPError
from fl.app.run.config import (
    AdaptiveTable,
    PlainSideValueTable,
    PlainTable,
    PrivacyTable,
    RunConfig,
    RunConfigError,
    SessionTable,
    SideValueTable,
    StudyTable,
    TrainingTable,
    read_config,
)
from fl.training.optimizers import FedAdam, FedAvg
from tests.kit.run_scene import HEAD, PLAIN, PRIVATE, write

DOCS = Path(__file__).parents[4] / "docs" / "run.md"
EXAMPLE = Path(__file__).parents[4] / "examples" / "digits.toml"


def refused(place: Path, text: str, *changes: tuple[str, str]) -> tuple[str, str]:
    path = write(place, text, *changes)
    with pytest.raises(RunConfigError) as caught:
        read_config(path)
    assert caught.value.path == path
    return caught.value.key, caught.value.problem


def test_a_small_file_is_read_with_its_defaults(tmp_path: Path):
    config = read_config(write(tmp_path, PRIVATE))
    assert config.folder == tmp_path / "run"
    assert config.ledger_key is None
    assert config.optimizer == FedAvg()
    assert config.session == SessionTable(max_dropouts=1, colluders=0)
    assert config.privacy == PrivacyTable(scope="ward 7", epsilon=20.0, delta=1e-5, clip=2.0)
    assert config.plain is None
    assert read_config(write(tmp_path, PLAIN)).plain == PlainTable(clip=1.0)


def test_everything_can_be_said(tmp_path: Path):
    text = """
[study]
entry = "package.module:make"
folder = "../elsewhere"
options = { path = "data.csv", folds = [1, 2] }
[training]
rounds = 9
[training.optimizer]
kind = "FedAdam"
learning_rate = 1
beta_1 = 0.5
[session]
max_dropouts = 2
colluders = 1
adversary = "curious"
small_consortium = true
simulated_dropout = 0.25
[privacy]
scope = "s"
epsilon = 1
delta = 1e-6
clip = 0.5
weight_cap = 50
unit = "example"
examples_per_client = 30
denominator = 400
mechanism = "distributed-discrete-gaussian"
bytes_per_parameter = 2.5
ledger_key = "keys/ledger"
[[privacy.side_values]]
name = "loss"
low = 0
high = 5
[privacy.adaptive]
quantile = 0.7
largest = 4
"""
    config = read_config(write(tmp_path, text))
    assert config.study.options == {"path": "data.csv", "folds": [1, 2]}
    assert config.folder == tmp_path / "../elsewhere"
    assert config.ledger_key == tmp_path / "keys/ledger"
    assert config.optimizer == FedAdam(1.0, beta_1=0.5)
    assert config.session.simulated_dropout == 0.25
    assert config.privacy is not None
    assert config.privacy.side_values == [SideValueTable(name="loss", low=0.0, high=5.0)]
    assert config.privacy.adaptive == AdaptiveTable(quantile=0.7, largest=4.0)
    assert config.privacy.denominator == 400.0


@pytest.mark.parametrize(
    ("old", "new", "key", "problem"),
    [
        ("rounds = 3", "rounds = 3\nround = 4", "training.round", "unknown"),
        ("[session]", "[sesion]", "sesion", "unknown"),
        ("[session]", "[extra]\n[session]", "extra", "unknown"),
        ("rounds = 3", "", "training.rounds", "missing"),
        ("rounds = 3", "rounds = true", "training.rounds", "Expected int, got bool"),
        ("rounds = 3", "rounds = 3.0", "training.rounds", "Expected int, got float"),
        ("rounds = 3", "rounds = 0", "training.rounds", "Expected int >= 1"),
        ("colluders = 0", "colluders = -1", "session.colluders", "Expected int >= 0"),
        ("colluders = 0", 'colluders = 0\nadversary = "lazy"', "session.adversary", "Invalid enum value 'lazy'"),
        ("colluders = 0", "colluders = 0\nsimulated_dropout = nan", "session.simulated_dropout", "Expected float"),
        ("colluders = 0", "colluders = 0\nsimulated_dropout = 1", "session.simulated_dropout", "Expected float < 1.0"),
        ('scope = "ward 7"', 'scope = ""', "privacy.scope", "Expected str of length >= 1"),
        ('scope = "ward 7"', 'scope = "s"\ndenominator = inf', "privacy.denominator", "Expected float <="),
        ('scope = "ward 7"', 'scope = "s"\nadaptive = true', "privacy.adaptive", "Expected object"),
        (
            'scope = "ward 7"',
            'scope = "s"\nside_values = [{name = "a", low = 0}]',
            "privacy.side_values[0].high",
            "miss",
        ),
        ('scope = "ward 7"', 'scope = "s"\nunit = "example"', "privacy.denominator", "missing: the number of examples"),
        ('"a_study:Study"', '"a_study"', "study.entry", 'it must be "module:attribute"'),
        ('"a_study:Study"', '"../a_study:Study"', "study.entry", "it must be"),
        ("rounds = 3", 'rounds = 3\noptimizer = {kind = "Adam"}', "training.optimizer.kind", "one of FedAvg, FedAvgM"),
        ("rounds = 3", "rounds = 3\noptimizer = {}", "training.optimizer.kind", "one of"),
        (
            "rounds = 3",
            'rounds = 3\noptimizer = {kind = "FedAvg", momentum = 0.5}',
            "training.optimizer.momentum",
            "unknown: FedAvg has learning_rate",
        ),
        (
            "rounds = 3",
            'rounds = 3\noptimizer = {kind = "FedAvgM", momentum = 1.0}',
            "training.optimizer.momentum",
            "momentum = 1.0 is refused",
        ),
        (
            "rounds = 3",
            'rounds = 3\noptimizer = {kind = "FedAvgM", momentum = "a"}',
            "training.optimizer.momentum",
            "a number, not a str",
        ),
    ],
)
def test_a_bad_key_is_named(tmp_path: Path, old: str, new: str, key: str, problem: str):
    where, why = refused(tmp_path, PRIVATE, (old, new))
    assert where == key
    assert why.startswith(problem)


def test_noise_or_none_has_to_be_said(tmp_path: Path):
    assert refused(tmp_path, HEAD)[1].startswith("say [privacy], for a training with noise")
    assert refused(tmp_path, PRIVATE + "[plain]\nclip = 1.0\n")[1].startswith("not both: say")


@pytest.mark.parametrize("data", [b"[study", b"\xff\xfe", b"a = 1\na = 2"], ids=["broken", "no UTF-8", "twice"])
def test_what_is_no_toml_is_refused(tmp_path: Path, data: bytes):
    (tmp_path / "config.toml").write_bytes(data)
    with pytest.raises(RunConfigError, match="config.toml: it is no TOML: "):
        read_config(tmp_path / "config.toml")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(RunConfigError, match="it cannot be read"):
            read_config(path)


def test_a_plan_that_is_refused_names_the_key(tmp_path: Path):
    config = read_config(write(tmp_path, PRIVATE))
    from fl.errors import UnsafePlanError
    from secagg.errors import InvalidParameterError

    assert config.refused(UnsafePlanError("max_dropouts", 9, "no")).key == "session.max_dropouts"
    assert config.refused(InvalidParameterError("epsilon", 9, "no")).key == "privacy.epsilon"
    assert config.refused(InvalidParameterError("rounds", 9, "no")).key == "training.rounds"
    assert config.refused(DPError("anything")).key == "privacy"
    plain = read_config(write(tmp_path, PLAIN))
    assert plain.refused(InvalidParameterError("weight_cap", 9, "no")).key == "plain.weight_cap"


def test_the_error_survives_pickling():
    error = pickle.loads(pickle.dumps(RunConfigError(Path("a"), "b.c", "d")))
    assert (error.path, error.key, error.problem) == (Path("a"), "b.c", "d")
    assert str(error) == "a: b.c: d"


def test_every_key_is_in_the_documentation_and_in_its_tables_docstring():
    text = DOCS.read_text(encoding="utf-8")
    tables: list[type[msgspec.Struct]] = [StudyTable, TrainingTable, SessionTable, PrivacyTable, PlainTable]
    for table in [*tables, AdaptiveTable, SideValueTable, PlainSideValueTable]:
        documented = re.findall(r"^        (\w+): ", table.__doc__ or "", re.MULTILINE)
        assert documented == list(table.__struct_fields__)
        for key in table.__struct_fields__:
            assert f"`{key}`" in text, (table.__name__, key)
    for optimizer in ("FedAvg", "FedAvgM", "FedAdagrad", "FedYogi", "FedAdam"):
        assert f"`{optimizer}`" in text


def test_the_documented_and_the_example_file_can_be_read(tmp_path: Path):
    assert isinstance(read_config(EXAMPLE), RunConfig)
    blocks = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        (tmp_path / "documented.toml").write_text(block)
        assert isinstance(read_config(tmp_path / "documented.toml"), RunConfig)
