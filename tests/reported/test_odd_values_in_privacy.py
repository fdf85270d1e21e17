"""Whatever a caller hands to a public name of `dp`, only the package's own errors come out."""

import tempfile
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dp
from dp import (
    AdaptiveClipping,
    Composed,
    DiscreteGaussian,
    DistributedPlan,
    FileWitness,
    Gaussian,
    GaussianMechanism,
    Header,
    Ledger,
    LedgerKey,
    PoissonSampled,
    RdpAccountant,
    Relation,
    RoundCounter,
    SampledWithoutReplacement,
    Sampling,
    Skellam,
    Unit,
)
from dp.ledger import NO_HEAD, Settle, decode, encode, line_hash
from tests.kit.ledger_scene import HEADER, a_round
from tests.kit.odd_values import Calls, faults_of


def vars_of(value: Any) -> dict[str, Any]:
    """Returns the fields of a dataclass."""
    return {field.name: getattr(value, field.name) for field in fields(value) if field.init}


NOISE = Gaussian(1.0, relation=Relation.ADD_REMOVE, unit=Unit.EXAMPLE)
EXACT = DiscreteGaussian(Fraction(10), 4, Relation.REPLACE_ONE, Unit.CLIENT)
EVENT = DiscreteGaussian(Fraction(10), 4, HEADER.relation, HEADER.unit)
SUM = Skellam(Fraction(1000), 4, 4)
PLANNED = {
    "epsilon": 4.0,
    "delta": 1e-5,
    "rounds": 2,
    "sampling": None,
    "clip": 1.0,
    "dimension": 8,
    "clients": 5,
    "min_survivors": 4,
    "colluders": 1,
    "modulus_bits": 32,
    "mechanism": dp.SKELLAM,
    "adversary": dp.Adversary.PARTICIPANT,
    "relation": None,
    "unit": Unit.CLIENT,
    "vectors_per_client": 1,
    "clip_bit_noise": None,
    "max_inflation": 1.1,
}
PLAN = dp.plan(**PLANNED)
ADAPTIVE = AdaptiveClipping(1.0, 1.0)
MECHANISM = GaussianMechanism(1.0, 1.0, 3, Relation.ZERO_OUT, Unit.CLIENT)
KEY = LedgerKey(bytes(range(32)))
FOLDER = Path(tempfile.mkdtemp(prefix="odd-values-"))
LEDGER = Ledger.create(FOLDER / "ledger", Header(**{**vars_of(HEADER), "budget": Fraction(10**6)}), KEY)
LEDGER.reserve(a_round(1))
LINES = LEDGER.lines_since(NO_HEAD)
COUNTED = 0


def fresh(name: str) -> Path:
    """Returns a path at which nothing is."""
    global COUNTED  # noqa: PLW0603
    COUNTED += 1
    return FOLDER / f"{name}-{COUNTED}"


def accounted() -> RdpAccountant:
    return RdpAccountant().compose(NOISE, 3)


def counter(**given: object) -> RoundCounter:
    return RoundCounter(**{"path": fresh("counter"), "scope": HEADER.scope, "rounds": 9, **given})


def created(**given: object) -> None:
    Ledger.create(**{"path": fresh("ledger"), "header": HEADER, "key": None, "predecessors": (), **given}).close()


def opened(**given: object) -> None:
    path = fresh("opened")
    path.write_bytes(b"".join(LINES))
    Ledger.open(**{"path": path, "key": KEY, "predecessors": (), **given}).close()


def with_ledger(method: str, **given: object) -> object:
    path = fresh("used")
    path.write_bytes(b"".join(LINES))
    with Ledger.open(path, KEY) as ledger:
        return getattr(ledger, method)(**given)


def written(name: str, **given: object) -> bytes:
    kinds = {"header": HEADER, "reserve": a_round(1), "central": CENTRAL, "settle": Settle(round=1, survivors=80)}
    return encode(type(kinds[name])(**given), NO_HEAD)


CENTRAL = dp.Central(mechanism=dp.GAUSSIAN, noise_multiplier=Fraction(1))
SAMPLED = Sampling(dp.SampleKnownTo.NOBODY, probability=Fraction(1, 10))
WITNESS = FileWitness.create(FOLDER / "witness")
VECTOR = np.array([3.0, 4.0, 0.0])

CALLS: Calls = {
    **{
        type(event).__name__: (type(event), vars_of(event))
        for event in (
            NOISE,
            EXACT,
            SUM,
            dp.DistributedDiscreteGaussian(Fraction(1), 5, 4, 4, 3),
            dp.NonPrivate(Relation.ZERO_OUT, Unit.CLIENT),
            PoissonSampled(0.1, NOISE),
            SampledWithoutReplacement(10, 3, EXACT),
            Composed(((NOISE, 2),)),
        )
    },
    "Composed of pairs": (lambda **given: Composed((tuple(given.values()),)), {"event": NOISE, "count": 2}),
    "RdpAccountant": (RdpAccountant, {"pld": False}),
    "compose": (lambda **given: RdpAccountant().compose(**given), {"event": NOISE, "count": 2}),
    "rdp": (lambda orders: accounted().rdp(orders), {"orders": [2.0]}),
    "rdp of an order": (lambda order: accounted().rdp([order]), {"order": 2.0}),
    "epsilon": (lambda delta: accounted().epsilon(delta), {"delta": 1e-5}),
    "delta": (lambda epsilon: accounted().delta(epsilon), {"epsilon": 1.0}),
    "would_exceed": (
        lambda **given: accounted().would_exceed(**given),
        {"event": NOISE, "count": 1, "epsilon": 1.0, "delta": 1e-5},
    ),
    "remaining": (
        lambda **given: accounted().remaining(**given),
        {"event": NOISE, "epsilon": 9.0, "delta": 1e-5},
    ),
    "calibrate": (
        dp.calibrate,
        {
            "make_event": Gaussian,
            "epsilon": 1.0,
            "delta": 1e-5,
            "count": 2,
            "spent": None,
            "least": 0.1,
            "most": 100.0,
        },
    ),
    "noise_multiplier": (
        dp.noise_multiplier,
        {
            "epsilon": 1.0,
            "delta": 1e-5,
            "probability": 1.0,
            "count": 2,
            "relation": Relation.ADD_REMOVE,
            "unit": Unit.EXAMPLE,
        },
    ),
    "from_opacus": (dp.from_opacus, {"history": [(1.0, 0.1, 3)], "unit": Unit.EXAMPLE}),
    "from_opacus, a row": (
        lambda **given: dp.from_opacus([tuple(given.values())]),  # type: ignore[list-item]
        {"noise": 1.0, "probability": 0.1, "count": 3},
    ),
    "clip": (dp.clip, {"vector": VECTOR, "clip_norm": 1.0}),
    "clip_layers": (dp.clip_layers, {"layers": [VECTOR], "clip_norms": [1.0]}),
    "clip_layers, one": (
        lambda **given: dp.clip_layers([given["layer"]], [given["norm"]]),  # type: ignore[list-item]
        {"layer": VECTOR, "norm": 1.0},
    ),
    "l2_sensitivity": (dp.clip(VECTOR, 1.0).l2_sensitivity, {"relation": Relation.ZERO_OUT}),
    "l2_sensitivity of layers": (
        dp.clip_layers([VECTOR], [1.0]).l2_sensitivity,
        {"relation": Relation.ZERO_OUT},
    ),
    "AdaptiveClipping": (
        AdaptiveClipping,
        {name: value for name, value in vars_of(ADAPTIVE).items() if name not in {"smallest", "largest"}},
    ),
    "AdaptiveClipping's ends": (
        lambda **given: AdaptiveClipping(1.0, 1.0, **given),
        {"smallest": 0.5, "largest": 2.0},
    ),
    "for_contributors": (AdaptiveClipping.for_contributors, {"clip_norm": 1.0, "contributors": 10}),
    "bit": (ADAPTIVE.bit, {"norm": 1.0}),
    "updated": (ADAPTIVE.updated, {"noisy_sum": 3, "contributors": 10}),
    "local_bit_variance": (ADAPTIVE.local_bit_variance, {"shares": 10}),
    "bit_sensitivity": (ADAPTIVE.bit_sensitivity, {"relation": Relation.ZERO_OUT}),
    "update_noise_multiplier": (
        ADAPTIVE.update_noise_multiplier,
        {"noise_multiplier": 0.5, "relation": Relation.ZERO_OUT},
    ),
    "AdaptiveClipping.event": (ADAPTIVE.event, {"update": EXACT, "bit_variance": Fraction(4)}),
    "GaussianMechanism": (
        GaussianMechanism,
        {
            "l2_sensitivity": 1.0,
            "noise_multiplier": 1.0,
            "dimension": 3,
            "relation": Relation.ZERO_OUT,
            "unit": Unit.CLIENT,
            "max_price": 0.1,
        },
    ),
    "release": (MECHANISM.release, {"vector": VECTOR / 10}),
    "release_sum": (MECHANISM.release_sum, {"vectors": [VECTOR / 10]}),
    "release_sum, one": (lambda vector: MECHANISM.release_sum([vector]), {"vector": VECTOR / 10}),
    "discrete_gaussian": (dp.discrete_gaussian, {"variance": 4, "size": 3}),
    "skellam": (dp.skellam, {"variance": 4, "size": 3}),
    "plan": (dp.plan, PLANNED),
    "DistributedPlan": (DistributedPlan, vars_of(PLAN)),
    "DistributedPlan.from_dict": (DistributedPlan.from_dict, {"raw": PLAN.to_dict()}),
    "DistributedPlan.from_dict, a field": (
        lambda **given: DistributedPlan.from_dict({**PLAN.to_dict(), **given}),
        PLAN.to_dict(),
    ),
    "DistributedPlan.event": (PLAN.event, {"survivors": 5}),
    "DistributedPlan.epsilon": (PLAN.epsilon, {"survivors": 5}),
    "DistributedPlan.participant_epsilon": (PLAN.participant_epsilon, {"survivors": 5}),
    "Header": (lambda **given: written("header", **given), vars_of(HEADER)),
    "Reserve": (lambda **given: written("reserve", **given), vars_of(a_round(1))),
    "Central": (lambda **given: written("central", **given), vars_of(CENTRAL)),
    "Settle": (lambda **given: written("settle", **given), {"round": 1, "survivors": 80}),
    "Sampling": (
        lambda **given: encode(dp.Central(mechanism=dp.GAUSSIAN, sampling=Sampling(**given)), NO_HEAD),  # type: ignore[arg-type]
        vars_of(SAMPLED),
    ),
    "encode": (encode, {"record": HEADER, "previous": NO_HEAD}),
    "decode": (decode, {"line": LINES[0], "number": 1}),
    "line_hash": (line_hash, {"line": LINES[0]}),
    "LedgerKey": (LedgerKey, {"seed": bytes(32)}),
    "LedgerKey.sign_head": (KEY.sign_head, {"head": bytes(32)}),
    "LedgerKey.sign_close": (KEY.sign_close, {"head": bytes(32)}),
    "Ledger.create": (created, {"path": FOLDER / "made", "header": HEADER, "key": KEY, "predecessors": ()}),
    "Ledger.open": (opened, {"key": KEY, "predecessors": ()}),
    "Ledger.open, a path": (lambda path: Ledger.open(path, KEY), {"path": FOLDER / "closed"}),
    **{
        f"Ledger.{method}": (lambda method=method, **given: with_ledger(method, **given), given)
        for method, given in {
            "would_exceed": {"release": a_round(2)},
            "epsilon_with": {"release": a_round(2)},
            "reserve": {"reserve": a_round(2)},
            "settle": {"round_number": 1, "survivors": 80},
            "spend": {"event": EVENT, "count": 1, "known_to": None, "dimension": 1},
            "record_past": {"event": EVENT, "count": 1, "known_to": None, "dimension": 1},
            "had": {"head": NO_HEAD},
            "lines_since": {"head": NO_HEAD},
        }.items()
    },
    "audit": (
        dp.audit,
        {"paths": [FOLDER / "ledger"], "expected_head": line_hash(LINES[0]), "expected_key": KEY.public_key},
    ),
    "audit, a path": (lambda path: dp.audit([path]), {"path": FOLDER / "ledger"}),
    "RoundCounter": (counter, {"path": FOLDER / "counter", "scope": HEADER.scope, "rounds": 9, "witness": WITNESS}),
    "RoundCounter.accept": (
        lambda **given: counter().accept(**given),
        {"round_number": 2, "lines": LINES, "scope": HEADER.scope},
    ),
    "RoundCounter.accept, a line": (lambda line: counter().accept(2, [line]), {"line": LINES[0]}),
    "RoundCounter.witness": (
        lambda **given: accepted().witness(**given),
        {"lines": LINES[1:], "context": a_round(1).context},
    ),
    "FileWitness": (FileWitness, {"path": FOLDER / "witness"}),
    "FileWitness.create": (FileWitness.create, {"path": FOLDER / "another"}),
    "FileWitness.advance": (lambda to: FileWitness.create(fresh("witness")).advance(to), {"to": 3}),
}


def accepted() -> RoundCounter:
    ready = counter()
    ready.accept(1, LINES[:1])
    return ready


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd values that are names of files name some here."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", CALLS)
def test_the_call_itself_is_sound(name: str):
    function, given = CALLS[name]
    (FOLDER / "closed").write_bytes(b"".join(LINES))
    (FOLDER / "another").unlink(missing_ok=True)
    function(**given)


@pytest.mark.parametrize("name", CALLS)
def test_an_odd_value_in_any_argument_gives_an_error_of_the_package_or_a_result(name: str):
    assert faults_of(CALLS, name, own=(dp.DPError, OSError)) == {}
