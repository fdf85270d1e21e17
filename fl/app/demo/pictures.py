"""The pictures of a demo's report, each from the figures of the demo and nothing else."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fl.app.charts import Bar, Caption, Level, Line, bar_chart, cells, group_chart, line_chart, picture, text
from fl.app.demo.result import DemoResult, Evidence, PrivateResult

__all__ = ["STAGE_NAMES", "accuracies", "epsilons", "presence", "rounding", "seen", "traffic"]

STAGE_NAMES: Final = {
    "advertise_keys": "keys",
    "share_keys": "shares",
    "masked_input": "masked vector",
    "consistency": "signature",
    "unmask": "unmasking",
}
"""What a client sends at each stage."""

FLOAT_BYTES: Final = 4

_MOST_ROUNDS: Final = 40
"""Whose bars are still wide enough to see."""

_LIGHT: Final = 0.35
"""Opacity of what is not ideal."""

_SHOWN_CELLS: Final = 768
_CELLS_ACROSS: Final = 32
_CELL: Final = 5.6
_BINS: Final = 24


def accuracies(result: DemoResult) -> str:
    """Returns the accuracy per round of all runs."""
    rounds = result.rounds
    lines = [
        Line("central", [(one.number, one.accuracy_central) for one in rounds], 0, "2 3"),
        Line("FedAvg, plain", [(one.number, one.accuracy_plain) for one in rounds], 1, "8 3"),
        Line("FedAvg, secure", [(one.number, one.accuracy_secure) for one in rounds], 2),
    ]
    if result.private is not None:
        mine = [(one.number, one.private) for one in rounds if one.private is not None]
        lines += [
            Line("private, noise in shares", [(number, one.accuracy) for number, one in mine], 3),
            Line("private, trusted server", [(number, one.accuracy_trusted) for number, one in mine], 4, "5 3"),
        ]
    last = "; ".join(f"{line.label} {line.points[-1][1]:.3f}" for line in lines)
    return line_chart(
        Caption(
            name="accuracy",
            title="Accuracy per round",
            description=f"Accuracy on the test set over {len(rounds)} rounds. After the last round: {last}.",
        ),
        lines,
        x_label="round",
        y_label="accuracy on the test set",
        highest=1.0,
    )


def epsilons(result: DemoResult, private: PrivateResult) -> str:
    """Returns what was spent after each round, against the budget."""
    so_far = {release.round: release.so_far for release in private.audit.releases}
    promised, realised = [(0.0, 0.0)], [(0.0, 0.0)]
    for one in result.rounds:
        figures = so_far.get(one.number)
        # A round that was lost before its reserve spends nothing.
        promised.append((one.number, promised[-1][1] if figures is None else figures.promised))
        realised.append((one.number, realised[-1][1] if figures is None else figures.realised))
    budget = float(private.plan.noise.target_epsilon)
    total = private.audit.total
    return line_chart(
        Caption(
            name="epsilon",
            title="Epsilon per round against the budget",
            description=(
                f"Spent after the last round: {total.promised:.4g} promised, {total.realised:.4g} with the clients "
                f"that were really there, of a budget of {budget:g}."
            ),
        ),
        [Line("promised", promised, 3), Line("realised", realised, 4, "5 3")],
        [Level(f"budget {budget:g}", budget, 1)],
        x_label="round",
        y_label="epsilon of all rounds so far",
    )


def traffic(result: DemoResult) -> str:
    """Returns bytes per client and round, against what a vector must take."""
    released = [one for one in result.rounds if one.exact is not None]
    model = FLOAT_BYTES * result.vector_length
    bars = [Bar("plain FedAvg, float32, up", [(model, 0, 1.0)], f"{model:,}")]
    if released:
        ideal = math.ceil(result.vector_length * result.settings.modulus_bits / 8)
        bars += _both_ways("secure", ideal, _means([(one.bytes_up, one.bytes_down) for one in released]))
    found = [one for one in result.private_rounds if one.lost_at is None]
    if result.private is not None and found:
        ideal = result.private.plan.session.packed_vector_bytes
        bars += _both_ways("private", ideal, _means([(one.bytes_up, one.bytes_down) for one in found]))
    return bar_chart(
        Caption(
            name="traffic",
            title="Bytes per client and round",
            description="; ".join(f"{bar.label}: {bar.note} bytes" for bar in bars) + ".",
        ),
        bars,
        [
            ("the model as float32", 0, 1.0),
            ("ideal: the masked vector's own bits", 2, 1.0),
            ("what the protocol adds: keys, shares, signatures", 2, _LIGHT),
        ],
    )


def presence(result: DemoResult) -> str:
    """Returns how many clients answered each stage of each round, and the fewest with whom a round goes on."""
    stages = result.settings.adversary.stages
    shown = result.rounds[:_MOST_ROUNDS]
    groups = [
        (str(one.number), [float(one.answered[stage]) for stage in stages if stage in one.answered]) for one in shown
    ]
    levels = [Level(f"threshold: {result.threshold + 1} clients", result.threshold + 1, 3)]
    if result.private is not None:
        least = result.private.plan.min_survivors
        levels.append(Level(f"private run: {least} vectors", least, 4, "3 3"))
    lost = result.lost_rounds
    fewest = min((count for one in shown for count in one.answered.values()), default=0)
    part = (
        "" if len(shown) == len(result.rounds) else f" Shown are the first {len(shown)} of {len(result.rounds)} rounds."
    )
    return group_chart(
        Caption(
            name="presence",
            title="Who is still there, stage by stage",
            description=(
                f"Of {result.settings.clients} clients, the fewest that answered a stage were {fewest}; {lost} "
                f"rounds were lost in the secure run.{part}"
            ),
        ),
        groups,
        [STAGE_NAMES[stage] for stage in stages],
        levels,
        x_label="round; a bar for each stage",
        y_label="clients that answered",
        colour=2,
    )


def rounding(result: DemoResult, evidence: Evidence) -> str:
    """Returns the error of the mean for moduli of more and more bits."""
    points = evidence.rounding
    levels = []
    if result.private is not None:
        noise = result.private.mean_stddev(result.settings.clients)
        levels.append(Level("noise of the private run", noise, 3))
    coarsest, finest = points[0], points[-1]
    return line_chart(
        Caption(
            name="rounding",
            title="Rounding error against bits",
            description=(
                f"With {coarsest.modulus_bits} bits the error is {coarsest.rms_error:.1g}, with "
                f"{finest.modulus_bits} bits {finest.rms_error:.1g} (root mean square)."
            ),
        ),
        [
            Line("measured", [(one.modulus_bits, one.rms_error) for one in points], 2),
            Line("proved bound", [(one.modulus_bits, one.bound) for one in points], 0, "2 3"),
        ],
        levels,
        x_label="bits of the modulus",
        y_label="error in a coordinate of the mean",
        logarithmic=True,
    )


def seen(evidence: Evidence) -> str:
    """Returns one client's vector as it is, and as the server received it: cells, and below them how often what."""
    update, masked = evidence.update, _parts(evidence.seen, evidence.modulus_bits)
    largest = float(np.abs(update).max()) or 1.0
    right = 212.0
    top, bottom = 34.0, 34.0 + _CELL * math.ceil(min(len(update), _SHOWN_CELLS) / _CELLS_ACROSS)
    parts = [text(4, 14, "what the client learnt"), text(right, 14, "what the server received")]
    parts += [text(4, 28, "its update", small=True), text(right, 28, "the same, masked", small=True)]
    shown = np.abs(update[:_SHOWN_CELLS]) / largest
    parts += cells(np.sqrt(shown).tolist(), columns=_CELLS_ACROSS, left=4.0, top=top, size=_CELL, colour=2)
    parts += cells(masked[:_SHOWN_CELLS].tolist(), columns=_CELLS_ACROSS, left=right, top=top, size=_CELL, colour=3)
    base = bottom + 84.0
    parts += _histogram(update / (2 * largest) + 0.5, left=4.0, base=base, colour=2)
    parts += _histogram(masked, left=right, base=base, colour=3)
    parts.append(text(4, base + 14, f"how often: {-largest:.2g} to {largest:.2g}", small=True))
    parts.append(text(right, base + 14, f"how often: 0 to 2^{evidence.modulus_bits} - 1", small=True))
    return picture(
        Caption(
            name="seen",
            title="What the server saw, next to the truth",
            description=(
                f"Left, the update of client {evidence.client}: most of it near zero, with structure. Right, the "
                "same vector as the server received it: every value equally often, no structure."
            ),
        ),
        base + 22,
        parts,
    )


def _both_ways(name: str, ideal: int, means: tuple[float, float]) -> list[Bar]:
    up, down = means
    return [
        Bar(f"{name}, up", [(ideal, 2, 1.0), (max(0.0, up - ideal), 2, _LIGHT)], f"{up:,.0f}, ideal {ideal:,}"),
        Bar(f"{name}, down, the model aside", [(down, 2, _LIGHT)], f"{down:,.0f}"),
    ]


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(up for up, _ in pairs) / len(pairs), sum(down for _, down in pairs) / len(pairs)


def _parts(words: npt.NDArray[Any], modulus_bits: int) -> npt.NDArray[np.float64]:
    """Returns words as parts of the modulus, from 0 to below 1."""
    return np.minimum(np.ldexp(words.astype(np.float64), -modulus_bits), np.nextafter(1.0, 0.0))


def _histogram(parts: npt.NDArray[np.float64], *, left: float, base: float, colour: int) -> list[str]:
    counts, _ = np.histogram(parts, bins=_BINS, range=(0.0, 1.0))
    width = _CELL * _CELLS_ACROSS / _BINS
    tallest = max(int(counts.max()), 1)
    return [
        f'<rect class="f{colour}" x="{left + place * width:.2f}" y="{base - 70 * count / tallest:.1f}" '
        f'width="{width * 0.9:.2f}" height="{70 * count / tallest:.1f}"/>'
        for place, count in enumerate(counts.tolist())
    ]
