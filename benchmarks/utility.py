"""What privacy without a trusted server costs in accuracy: noise in shares against noise of a trusted server.

Each client's words are made by the real pipeline (clip, rotate, round, noise) and added modulo 2**m: bit for bit what
the protocol sums, without its masks. All runs of one seed share data, split, initial model and dropouts, so differences
are paired. Figures are means over the seeds with their standard errors.

    .venv/bin/python -m benchmarks.utility [--seeds N] [--json FILE]
"""

import argparse
import math
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import dp
from benchmarks.tables import Table, as_document
from benchmarks.utility_tasks import Floats, Task, digits, example_updates, hospitals, local_update
from fl.arrays.schema import ArraySchema
from fl.private.plan import PrivatePlan
from fl.private.planning import make_plan
from fl.private.vector import PrivateVector
from fl.training.optimizers import FedAvgM
from secagg import AdversaryModel

DELTA = 1e-5
DROPOUT = 0.1
CLIP = 1.0

SHARES, SAME, TRUSTED, NONE = "shares", "trusted server, same variance", "trusted server, sigma_central", "no noise"


@dataclass(frozen=True)
class Setting:
    name: str
    epsilon: float
    rounds: int
    alpha: float | None = None
    examples: bool = False
    clients: int = 100
    min_survivors: int = 70
    colluders: int = 10
    local_steps: int = 20
    learning_rate: float = 4.0
    momentum: float = 0.5


DIGITS = [
    Setting("digits, IID", 8.0, 12),
    Setting("digits, IID", 4.0, 12),
    Setting("digits, IID", 2.0, 12),
    Setting("digits, Dirichlet 0.5", 8.0, 12, alpha=0.5),
]
HOSPITALS = Setting(
    "four hospitals, examples", 1.0, 20, examples=True, clients=4, min_survivors=3, colluders=1, learning_rate=0.5
)


def task_of(setting: Setting, seed: int) -> Task:
    return hospitals(seed) if setting.examples else digits(seed, setting.clients, setting.alpha)


def plan_of(setting: Setting, task: Task) -> PrivatePlan:
    schema = ArraySchema.of([np.zeros(task.shape)])
    unit = dp.Unit.EXAMPLE if setting.examples else dp.Unit.CLIENT
    common = {
        "scope": "utility",
        "schema": schema,
        "clients": setting.clients,
        "max_dropouts": setting.clients - setting.min_survivors,
        "colluders": setting.colluders,
        "clip": CLIP,
        "epsilon": setting.epsilon,
        "delta": DELTA,
        "rounds": setting.rounds,
        "unit": unit,
        "examples_per_client": 400 if setting.examples else 1,
        "adversary": AdversaryModel.HONEST_BUT_CURIOUS if setting.examples else AdversaryModel.ACTIVE,
        "small_consortium": setting.examples,
    }
    smallest = make_plan(**common)
    # Two bits more than the fewest: rounding then adds a hundredth to the noise.
    return make_plan(**common, modulus_bits=smallest.noise.modulus_bits + 2)


def clipped(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors * np.minimum(1.0, CLIP / np.maximum(norms, 1e-300))


def central_multiplier(plan: PrivatePlan) -> float:
    """The noise over the clip norm that one trusted party needs for the same promise."""
    epsilon, unit = float(plan.noise.target_epsilon), plan.noise.unit
    return dp.noise_multiplier(epsilon, DELTA, count=plan.rounds, relation=dp.Relation.ZERO_OUT, unit=unit)


def released(kind: str, plan: PrivatePlan, updates: list[Floats], generator: np.random.Generator) -> Floats:
    """The noisy sum of what the survivors hand in: one vector each, or one for each of their examples."""
    survivors, examples = len(updates), plan.noise.unit is dp.Unit.EXAMPLE
    if kind == SHARES:
        vector = PrivateVector(plan, secrets.token_bytes(32), plan.clip)
        schema = plan.schema.entries[0].shape
        total = np.zeros(plan.vector_length, np.uint64)
        for update in updates:
            words = vector.encode_examples(update) if examples else vector.encode([update.reshape(schema)])
            total += words.astype(np.uint64)
        total &= np.uint64((1 << plan.noise.modulus_bits) - 1)
        dtype = vector.encode_examples(updates[0][:0]).dtype if examples else words.dtype
        return vector.decode(total.astype(dtype), survivors).update
    exact = sum(clipped(update).sum(axis=0) if examples else clipped(update) for update in updates)
    if kind == SAME:
        stddev = plan.noise_stddev(survivors)
    elif kind == TRUSTED:
        stddev = CLIP * dp.noise_multiplier(
            float(plan.noise.target_epsilon),
            DELTA,
            count=plan.rounds,
            relation=dp.Relation.ZERO_OUT,
            unit=plan.noise.unit,
        )
    else:
        stddev = 0.0
    return exact + stddev * generator.standard_normal(exact.shape)


def train(setting: Setting, plan: PrivatePlan, task: Task, kind: str, seed: int) -> list[float]:
    """Accuracy on the test set after each round."""
    dropouts, noise = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2, len(kind)])
    optimizer = FedAvgM(learning_rate=setting.learning_rate, momentum=setting.momentum)
    model = [np.zeros(task.shape)]
    state = optimizer.start(model)
    patients = sum(len(shard.labels) for shard in task.clients)
    curve = []
    for _ in range(setting.rounds):
        present = [c for c in range(setting.clients) if dropouts.random() >= DROPOUT]
        if len(present) < setting.min_survivors:
            curve.append(task.accuracy(model[0]))
            continue
        if setting.examples:
            updates = [example_updates(model[0], task.clients[client]) for client in present]
            # A public figure: about as many patients as take part.
            denominator = patients * len(present) / setting.clients
        else:
            updates = [local_update(model[0], task.clients[c], setting.local_steps).ravel() for c in present]
            denominator = len(present)
        total = released(kind, plan, updates, noise)
        state, model = optimizer.step(state, model, [(total / denominator).reshape(task.shape)])
        curve.append(task.accuracy(model[0]))
    return curve


def measure(setting: Setting, seeds: int) -> dict[str, object]:
    plan = plan_of(setting, task_of(setting, 0))
    curves: dict[str, Floats] = {}
    for kind in (SHARES, SAME, TRUSTED, NONE):
        runs = []
        for seed in range(seeds):
            if sys.stderr.isatty():
                print(f"\r{setting.name}, epsilon {setting.epsilon:g}, {kind}: {seed} ", end="\x1b[K", file=sys.stderr)
            runs.append(train(setting, plan, task_of(setting, seed), kind, seed))
        curves[kind] = np.array(runs)
    last = {kind: curve[:, -1] for kind, curve in curves.items()}

    def gap(other: str) -> tuple[float, float]:
        difference = 100 * (last[other] - last[SHARES])
        return float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(len(difference)))

    return {
        "setting": setting.name,
        "epsilon": setting.epsilon,
        "delta": DELTA,
        "rounds": setting.rounds,
        "clients": setting.clients,
        "min_survivors": setting.min_survivors,
        "colluders": setting.colluders,
        "z": plan.noise_stddev(setting.min_survivors - setting.colluders) / CLIP,
        "z_central": central_multiplier(plan),
        "modulus_bits": plan.noise.modulus_bits,
        "inflation": float(plan.noise.inflation),
        "price": math.sqrt(setting.clients / (setting.min_survivors - setting.colluders)),
        "seeds": seeds,
        "accuracy": {kind: float(values.mean()) for kind, values in last.items()},
        "gap_same_variance_points": gap(SAME),
        "gap_sigma_central_points": gap(TRUSTED),
        "curves": {kind: curve.mean(axis=0).round(4).tolist() for kind, curve in curves.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = [measure(setting, options.seeds) for setting in [*DIGITS, HOSPITALS]]
    header = ["", "eps", "z", "min", "coll.", "price", "shares", "same var.", "gap", "central", "gap", "no noise"]
    rows = []
    for one in results:
        accuracy = one["accuracy"]
        (same, same_error), (central, central_error) = one["gap_same_variance_points"], one["gap_sigma_central_points"]
        rows.append(
            (
                one["setting"], f"{one['epsilon']:g}", f"{one['z']:.2f}",
                f"{one['min_survivors']}", f"{one['colluders']}",
                f"{one['price']:.2f}", f"{accuracy[SHARES]:.3f}", f"{accuracy[SAME]:.3f}",
                f"{same:+.2f} ± {same_error:.2f}", f"{accuracy[TRUSTED]:.3f}", f"{central:+.2f} ± {central_error:.2f}",
                f"{accuracy[NONE]:.3f}",
            )
        )  # fmt: skip
    print(Table("Private accuracy", tuple(header), rows).text())
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print("gaps in points of accuracy, trusted server less shares, ± one standard error; z: noise over clip norm")
    if options.json:
        options.json.write_text(as_document(results), encoding="utf-8")


if __name__ == "__main__":
    main()
