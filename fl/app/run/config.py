"""The TOML file of `secagg run`: read strictly, so that a misspelt option never means its default.

Every key is known, of the right type and in its range, or the file is refused with the key's name. What a number has to
be beside the others (a clip norm, a minimum of survivors) is the plan's to say, and is told with the key as well.

Exactly one of the tables [privacy] and [plain] is there: a run without noise is asked for, and never the default.
"""

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from fl.errors import ModulusTooSmallError, UnsafePlanError
from fl.training.optimizers import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedYogi, ServerOptimizer
from secagg import InvalidParameterError, LocalError

__all__ = [
    "AdaptiveTable",
    "PlainSideValueTable",
    "PlainTable",
    "PrivacyTable",
    "RunConfig",
    "RunConfigError",
    "SessionTable",
    "SideValueTable",
    "StudyTable",
    "TrainingTable",
    "read_config",
]

_OPTIMIZERS: Final[dict[str, type[FedAvg | FedAvgM | FedAdagrad | FedYogi | FedAdam]]] = {
    kind.kind: kind for kind in (FedAvg, FedAvgM, FedAdagrad, FedYogi, FedAdam)
}
_ENTRY: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_AT: Final = re.compile(r"(?P<problem>.*) - at `\$\.?(?P<place>.*)`", re.DOTALL)
_FIELD: Final = re.compile(r"Object (contains unknown|missing required) field `(?P<field>.*)`", re.DOTALL)

_Count = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_Tolerated = Annotated[int, msgspec.Meta(ge=0, le=2**20)]
_Bits = Annotated[int, msgspec.Meta(ge=1, le=64)]
_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Label = Annotated[str, msgspec.Meta(pattern=r"^[ !#-\[\]-~]{1,128}$")]
"""A text that a record of a ledger can hold: ASCII without quotes and backslashes."""


class RunConfigError(LocalError, ValueError):
    """The file cannot be used; nothing was begun. Fields: `path`, `key` (dotted, or empty), `problem`."""

    def __init__(self, path: Path, key: str, problem: str) -> None:
        super().__init__(path, key, problem)
        self.path = path
        self.key = key
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.key}: {self.problem}" if self.key else f"{self.path}: {self.problem}"


class _Table(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A table of the file; each attribute is a key."""


class StudyTable(_Table, frozen=True):
    """[study]: the user's own data and model.

    Attributes:
        entry: "module:attribute". The module is looked up beside the file first, then as Python does. The attribute is
            called with `options` as keywords, and returns a `fl.study.Study`.
        folder: where the run keeps all it has to remember; relative to the file.
        options: handed to the entry.
        left_out: shell patterns of array names, such as "*.num_batches_tracked": these stay as the study made them, and
            no client sends them.
        averaged: names of integer arrays and running statistics that are clipped and averaged with the weights.
    """

    entry: str
    folder: _Text = "run"
    options: dict[str, object] = msgspec.field(default_factory=dict)
    left_out: list[str] = msgspec.field(default_factory=list)
    averaged: list[str] = msgspec.field(default_factory=list)


class TrainingTable(_Table, frozen=True):
    """[training].

    Attributes:
        rounds: R. A round that was begun counts, whatever came of it.
        optimizer: `kind` (FedAvg, FedAvgM, FedAdagrad, FedYogi, FedAdam) and the settings of that class of
            `fl.training.optimizers`.
    """

    rounds: _Count
    optimizer: dict[str, object] = msgspec.field(default_factory=lambda: {"kind": FedAvg.kind})


class SessionTable(_Table, frozen=True):
    """[session]: the sessions of secure aggregation.

    Attributes:
        max_dropouts: how many of the clients may vanish in a round. With noise, it is calibrated to the others.
        colluders: how many clients may work with the server.
        adversary: "active" defends against a lying server, "curious" against one that only looks.
        small_consortium: accept two honest survivors instead of three.
        simulated_dropout: the probability with which a client vanishes in a round, at a stage drawn evenly.
        failing_client: what becomes of a round in which a client's training fails, or hands in NaN or what the round
            cannot take: "stop" stops the run before the round counts, "dropout" goes on without that client.
    """

    max_dropouts: _Tolerated
    colluders: _Tolerated
    adversary: Literal["active", "curious"] = "active"
    small_consortium: bool = False
    simulated_dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    failing_client: Literal["stop", "dropout"] = "stop"


class SideValueTable(_Table, frozen=True):
    """[[privacy.side_values]]: see `fl.private.side_values.SideValue`.

    Attributes:
        name: what it is called.
        low: the least that a client may report.
        high: the most.
        share: its part of the clip norm.
    """

    name: str
    low: float
    high: float
    share: float = 0.1


class AdaptiveTable(_Table, frozen=True):
    """[privacy.adaptive]: the clip norm follows a quantile of the norms; see `dp.AdaptiveClipping`.

    Attributes:
        bit_stddev: of the noise in the sum of the bits; left out, a twentieth of the clients.
        quantile: the part of the norms that shall be within the clip norm.
        learning_rate: of the clip norm's logarithm.
        smallest: the clip norm never goes below; left out, nothing that matters.
        largest: the clip norm never goes above; left out, nothing that matters.
    """

    bit_stddev: float | None = None
    quantile: float = 0.5
    learning_rate: float = 0.2
    smallest: float | None = None
    largest: float | None = None


class PrivacyTable(_Table, frozen=True):
    """[privacy]: a training with noise, within a budget; see `fl.private.planning.make_plan`.

    Attributes:
        scope: the name of the privacy budget.
        epsilon: for all rounds together.
        delta: for all rounds together.
        clip: the L2 norm that an update is clipped to (of one example's, where `unit` is "example").
        weight_cap: above 1 for a weighted mean: the largest weight of a client, public.
        weight_share: the weight's part of the clip norm: more means less noise on the denominator, more on the update.
        unit: whose privacy, "client" or "example".
        examples_per_client: where `unit` is "example", the most examples of a client.
        denominator: a public number by which the sum is divided instead of survivors or noisy weights; needed where
            `unit` is "example".
        mechanism: "skellam" or "distributed-discrete-gaussian".
        modulus_bits: bits for each coordinate; left out, the fewest that are good.
        bytes_per_parameter: instead of `modulus_bits`.
        side_values: what else clients send.
        adaptive: lets the clip norm adapt; begins with `clip`.
        ledger_key: the file of the key that signs the ledger, relative to this one; made if it is not there.
        label: what is released, as the ledger says it.
        record_clients: what the ledger holds of each client, "ids" or "salted-sha256", so that an audit can say in
            which sums one was; left out, the ledger says how many there were, and of whom by their places only.
        salt: where `record_clients` is "salted-sha256", the file of the salt, relative to this one; made if it is not
            there.
    """

    scope: _Text
    epsilon: float
    delta: float
    clip: float
    weight_cap: _Count = 1
    weight_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    unit: Literal["client", "example"] = "client"
    examples_per_client: _Count = 1
    denominator: Annotated[float, msgspec.Meta(gt=0, le=2.0**100)] | None = None
    mechanism: Literal["skellam", "distributed-discrete-gaussian"] = "skellam"
    modulus_bits: _Bits | None = None
    bytes_per_parameter: float | None = None
    side_values: list[SideValueTable] = msgspec.field(default_factory=list)
    adaptive: AdaptiveTable | None = None
    ledger_key: _Text | None = None
    label: _Label = "mean of the clients' updates"
    record_clients: Literal["ids", "salted-sha256"] | None = None
    salt: _Text | None = None


class PlainSideValueTable(_Table, frozen=True):
    """[[plain.side_values]]: see `fl.codecs.ValueSums`.

    Attributes:
        name: what it is called.
        low: the least that a client may report.
        high: the most.
    """

    name: str
    low: float
    high: float


class PlainTable(_Table, frozen=True):
    """[plain]: a training without noise. The server sees the exact mean; see `fl.WeightedMean`.

    Attributes:
        clip: the largest magnitude of an update's *entry*; larger ones are clipped.
        weight_cap: the largest weight of a client.
        modulus_bits: sums are taken modulo two to this.
        clips: by name, the same for arrays that are clipped on their own, such as running statistics.
        side_values: what else clients send, such as losses and counts; their sums are exact and without noise.
    """

    clip: float
    weight_cap: Annotated[int, msgspec.Meta(ge=1, le=2**32)] = 1
    modulus_bits: _Bits = 32
    clips: dict[str, float] = msgspec.field(default_factory=dict)
    side_values: list[PlainSideValueTable] = msgspec.field(default_factory=list)


class _File(_Table, frozen=True):
    study: StudyTable
    training: TrainingTable
    session: SessionTable
    privacy: PrivacyTable | None = None
    plain: PlainTable | None = None


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read.

    Attributes:
        path: of the file, absolute.
        study: the user's data and model.
        training: rounds and optimiser.
        optimizer: made from the training's settings.
        session: the sessions.
        privacy: the noise; None in a plain run.
        plain: the grid of a plain run; None in one with noise.
    """

    path: Path
    study: StudyTable
    training: TrainingTable
    optimizer: ServerOptimizer
    session: SessionTable
    privacy: PrivacyTable | None
    plain: PlainTable | None

    @property
    def folder(self) -> Path:
        """Where the run keeps what it has to remember."""
        return self.path.parent / self.study.folder

    @property
    def ledger_key(self) -> Path | None:
        """The file of the key that signs the ledger, if it is signed."""
        if self.privacy is None or self.privacy.ledger_key is None:
            return None
        return self.path.parent / self.privacy.ledger_key

    @property
    def salt(self) -> Path | None:
        """The file of the salt under which the ledger holds clients, if it does so."""
        if self.privacy is None or self.privacy.salt is None:
            return None
        return self.path.parent / self.privacy.salt

    def refused(self, error: Exception) -> RunConfigError:
        """Returns the error of a plan in terms of this file: with the key whose value was refused, if it has one."""
        parameter = ""
        if isinstance(error, UnsafePlanError):
            parameter = error.what
        elif isinstance(error, ModulusTooSmallError):
            parameter = "modulus_bits"
        elif hasattr(error, "parameter"):
            parameter = str(error.parameter)
        mode: tuple[str, type[_Table]] = ("plain", PlainTable) if self.privacy is None else ("privacy", PrivacyTable)
        for name, table in (mode, ("session", SessionTable), ("training", TrainingTable)):
            if parameter in table.__struct_fields__:
                return RunConfigError(self.path, f"{name}.{parameter}", str(error))
        return RunConfigError(self.path, mode[0], str(error))


def read_config(path: Path) -> RunConfig:
    """Reads a file.

    Args:
        path: of the TOML file.

    Raises:
        RunConfigError: it cannot be read, is no TOML, or a key is missing, unknown, of another type or out of range.
    """
    path = path.absolute()
    try:
        raw = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise RunConfigError(path, "", f"it cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # no UTF-8, or no TOML
        raise RunConfigError(path, "", f"it is no TOML: {error}") from None
    try:
        file = msgspec.convert(raw, _File)
    except msgspec.ValidationError as error:
        raise RunConfigError(path, *_explained(str(error))) from None
    if (file.privacy is None) is (file.plain is None):
        problem = "say [privacy], for a training with noise within a budget, or [plain], for one without noise"
        raise RunConfigError(path, "", problem if file.privacy is None else f"not both: {problem}")
    if _ENTRY.fullmatch(file.study.entry) is None:
        raise RunConfigError(path, "study.entry", 'it must be "module:attribute"')
    if file.privacy is not None and (file.privacy.record_clients == "salted-sha256") is (file.privacy.salt is None):
        problem = 'it is the file of a salt, for record_clients = "salted-sha256" and only for that'
        raise RunConfigError(path, "privacy.salt", problem)
    if file.privacy is not None and file.privacy.unit == "example" and file.privacy.denominator is None:
        problem = "missing: the number of examples is private, so their mean needs a public number to divide by"
        raise RunConfigError(path, "privacy.denominator", problem)
    return RunConfig(
        path=path,
        study=file.study,
        training=file.training,
        optimizer=_optimizer(path, file.training.optimizer),
        session=file.session,
        privacy=file.privacy,
        plain=file.plain,
    )


def _explained(text: str) -> tuple[str, str]:
    """Returns the key and the problem of what msgspec says."""
    at = _AT.fullmatch(text)
    problem, place = (text, "") if at is None else (at["problem"], at["place"])
    field = _FIELD.fullmatch(problem)
    if field is None:
        return place, problem.replace("`", "")
    problem = "unknown" if "unknown" in problem else "missing"
    return ".".join(filter(None, (place, field["field"]))), problem


def _optimizer(path: Path, raw: dict[str, object]) -> ServerOptimizer:
    name = raw.get("kind")
    kind = _OPTIMIZERS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise RunConfigError(path, "training.optimizer.kind", f"one of {', '.join(_OPTIMIZERS)}")
    known = [field.name for field in fields(kind)]
    settings: dict[str, float] = {}
    for key, value in raw.items():
        if key == "kind":
            continue
        if key not in known:
            raise RunConfigError(path, f"training.optimizer.{key}", f"unknown: {name} has {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RunConfigError(path, f"training.optimizer.{key}", f"a number, not a {type(value).__name__}")
        settings[key] = value
    try:
        return kind(**settings)
    except InvalidParameterError as error:
        raise RunConfigError(path, f"training.optimizer.{error.parameter}", str(error)) from None
