"""A private plan as a page for a privacy officer: plain sentences, each of which follows from the plan.

Nothing here is advice, and no figure is rounded in the plan's favour by more than its last digit shows.
"""

import math
import textwrap
from dataclasses import dataclass
from typing import Final

from dp import SKELLAM, Adversary, Relation, Unit
from fl.private.plan import PrivatePlan
from fl.private.side_values import WEIGHT
from secagg import AdversaryModel

__all__ = ["Section", "describe", "sections"]

_WIDTH: Final = 88


@dataclass(frozen=True, slots=True)
class Section:
    """A title, and what is to be said under it, a paragraph each."""

    title: str
    paragraphs: tuple[str, ...]


def describe(plan: PrivatePlan) -> str:
    """Returns the plan as a page of plain text, in lines of at most 88 characters."""
    title = f"Private training: {plan.scope}"
    parts = [_wrapped(title), "=" * min(len(title), _WIDTH)]
    for section in sections(plan):
        parts += ["", section.title, "-" * len(section.title)]
        parts += [_wrapped(paragraph, "* ") for paragraph in section.paragraphs]
    return "\n".join(parts) + "\n"


def sections(plan: PrivatePlan) -> tuple[Section, ...]:
    """Returns the page in parts."""
    return (
        Section("What is protected", _protected(plan)),
        Section("Against whom", _against(plan)),
        Section("What is released", _released(plan)),
        Section("The budget", _budget(plan)),
        Section("The noise", _noise(plan)),
        Section("What this rests on", _assumptions(plan)),
        Section("What would break it", _breaks(plan)),
        Section("How to check it", _checks(plan)),
    )


def _protected(plan: PrivatePlan) -> tuple[str, ...]:
    unit = plan.noise.unit
    if unit is Unit.CLIENT:
        whose = "All the data of any one client, taken together, in all rounds."
        same = "one person's data lie with several clients, each of them is protected, and the person less."
    else:
        most = plan.noise.vectors_per_client
        whose = (
            f"Any one training example of any client, in all rounds. A client has at most {most:,} of them in a round."
        )
        same = "several examples are about one person, each of them is protected, and the person less."
    if plan.noise.relation is Relation.ZERO_OUT:
        what = (
            f"What is hidden is what the {unit}'s data say: the releases look almost the same as if its update had "
            "been nothing but zeros. That it took part is not hidden."
        )
    else:
        what = (
            f"What is hidden is what the {unit}'s data say: the releases look almost the same as if they had been any "
            "other data."
        )
    return whose, what, f"If {same}"


def _against(plan: PrivatePlan) -> tuple[str, ...]:
    noise = plan.noise
    if noise.adversary is Adversary.PARTICIPANT:
        clients = "every other client" if noise.colluders else "no client (each knows its own noise, see below)"
        who = f"The server, {clients}, and everybody who ever sees what is released."
    else:
        who = (
            "Everybody who sees what is released but never a list of participants. The server and the clients see such "
            "lists. Against them the promise is weaker: "
            f"epsilon {_figure(noise.participant_epsilon().value)} instead of {_figure(float(noise.promised_epsilon))}."
        )
    together = (
        f"Up to {noise.colluders} of the clients of a round may work together with the server."
        if noise.colluders
        else "No client may work together with the server, or be curious itself: its own noise is known to it, and "
        "what is left of the noise promises less. A plan with a colluder counts that."
    )
    lying = (
        "The server may lie: clients know each other's public keys from elsewhere, sign what they agree on, and stop "
        "if it does not fit together."
        if plan.session.adversary is AdversaryModel.ACTIVE
        else "The server is taken to follow the protocol and only to look at all it gets. If it may lie, plan for the "
        "adversary ACTIVE."
    )
    return who, together, lying


def _released(plan: PrivatePlan) -> tuple[str, ...]:
    noise = plan.noise
    unit = "update" if noise.unit is Unit.CLIENT else "example's update"
    paragraphs = [
        (
            f"In each of {plan.rounds:,} rounds, one sum over those who took part to the end: of their updates of "
            f"{plan.schema.size:,} numbers, with noise. First, each {unit} is cut to the length {plan.clip:g}."
        ),
        "Who was invited and who stayed to the end is known, and so is how often there were too few.",
        (
            "Nobody sees a single client's update, with or without its noise: it is masked before it leaves the "
            f"client. Only the sum of at least {plan.min_survivors:,} clients can be unmasked."
        ),
    ]
    if plan.weight_cap > 1:
        paragraphs.append(
            f"Updates are weighted, by at most {plan.weight_cap:,}. The weights themselves are hidden in the same way: "
            "their sum is released, with noise."
        )
    paragraphs += [
        f"Beside the update, each client reports its {side.name!r}, from {side.low:g} to {side.high:g}. The sum of "
        "these is released, with noise."
        for side in plan.side_values
        if side.name != WEIGHT
    ]
    if plan.adaptive is not None:
        paragraphs.append(
            "The length to which updates are cut follows what is usual: every client says, under the same mask and "
            "with noise, whether its update was longer. That is part of the budget."
        )
    return tuple(paragraphs)


def _budget(plan: PrivatePlan) -> tuple[str, ...]:
    noise = plan.noise
    epsilon = float(noise.promised_epsilon)
    # No test is right more often, if both are as likely beforehand: 1/2 + TV/2, and (epsilon, delta) bounds TV.
    right = (1 + float(noise.delta) * math.exp(-epsilon)) / (1 + math.exp(-epsilon))
    sure = "practically 100 %" if right > 0.9999 else f"{math.ceil(1e4 * right) / 100:.2f} %"
    paragraphs = [
        (
            f"Epsilon {_figure(epsilon)} at delta {float(noise.delta):g}, for all {plan.rounds:,} rounds together. "
            f"Allowed is {_figure(float(noise.target_epsilon))}."
        ),
        (
            f"In plain words: no outcome is more than {_factor(epsilon)} times as probable with the {noise.unit}'s "
            f"data as without, but for a probability of {_chance(float(noise.delta))}. Someone who has to guess which "
            f"of the two it was, both as likely beforehand, is right with a probability of up to {sure}."
        ),
        (
            "That is proved for the worst case: no method, now or later, does better. Known attacks do much worse, but "
            "that is no promise."
        ),
    ]
    if noise.amplified and noise.sampling is not None:
        paragraphs.append(
            f"The figure counts on each round's {noise.sampling.sample:,} clients being drawn at random and in secret "
            f"from {noise.sampling.population:,}."
        )
    else:
        paragraphs.append("The figure counts on no luck in who is invited.")
    paragraphs.append(
        "It is calibrated to the fewest clients with whom a round is released. With more of them there is more noise, "
        "and the epsilon that is reached is smaller; that smaller figure is a guarantee only if who drops out does not "
        "depend on anybody's data."
    )
    return tuple(paragraphs)


def _noise(plan: PrivatePlan) -> tuple[str, ...]:
    noise = plan.noise
    least, most = plan.noise_stddev(plan.min_survivors), plan.noise_stddev(plan.clients)
    name = "Skellam" if noise.mechanism == SKELLAM else "discrete Gaussian"
    return (
        (
            f"Every client adds its own share of {name} noise to its update, in whole numbers, before masking. Nobody "
            "has to trust the server with adding it."
        ),
        (
            f"Each number in a released sum carries noise with a standard deviation of {least:.3g} "
            f"({plan.min_survivors:,} clients) to {most:.3g} ({plan.clients:,}). To compare: all numbers of one "
            f"{noise.unit} together have the length {plan.joint_clip(plan.clip):.3g} at most."
        ),
        f"Of at least {plan.min_survivors:,} shares, {noise.honest_shares:,} are counted on.",
        (
            f"Numbers travel in {noise.modulus_bits} bits. That a round's sum does not fit has a probability of "
            f"{_chance(float(noise.wrap_probability))} and would spoil the result, not the privacy."
        ),
    )


def _assumptions(plan: PrivatePlan) -> tuple[str, ...]:
    paragraphs = [
        (
            "Clients run this library, or another that does the same, unchanged. One that does not can spoil a sum, "
            "and counts as one that works with the server."
        ),
        "The random numbers of the clients' machines cannot be guessed, and the usual cryptography holds.",
        "Every client keeps its own counter of rounds and its key where they are not lost, copied or set back.",
    ]
    if plan.session.adversary is AdversaryModel.ACTIVE:
        paragraphs.append(
            "The public keys belong to clients that exist. A server that could enter clients of its own making would "
            "have them work with it."
        )
    if plan.small_consortium:
        paragraphs.append(
            "The clients have accepted that only two honest ones may be left: each of the two can subtract its own "
            "update, and sees the other's with that one's noise."
        )
    return tuple(paragraphs)


def _breaks(plan: PrivatePlan) -> tuple[str, ...]:
    noise = plan.noise
    return (
        f"More than {noise.colluders} of a round's clients working with the server: there is less noise than promised.",
        (
            f"A round with fewer than {plan.min_survivors:,} clients, a round beyond the {plan.rounds:,}, the same "
            "round twice, or a ledger begun anew. The clients refuse all of these by themselves, unless their software "
            "is changed."
        ),
        (
            "The same data in another training: its epsilon comes on top. Trainings that share people should have one "
            f"budget between them; this one is called {plan.scope!r}."
        ),
        (
            "Choices made by looking at the data outside this plan, such as tuning on them or publishing a client's "
            "own accuracy: nothing here covers that."
        ),
        "Anything that a client gives away elsewhere, such as when it was online or how long its training took.",
    )


def _checks(plan: PrivatePlan) -> tuple[str, ...]:
    return (
        f"The digest of this plan is {plan.digest.hex()}. Server and clients cannot exchange keys if theirs differ.",
        (
            "The server keeps a ledger. Each round is entered before anybody helps to unmask its sum, and clients "
            "check that. `secagg audit LEDGER` works out from it what was spent."
        ),
        (
            "Any client's own counter holds a head of that ledger. `--expect-head` shows that nothing up to it was "
            "removed or rewritten."
        ),
    )


def _figure(epsilon: float) -> str:
    """Returns at most four digits, rounded up: a promise is not made to look smaller."""
    if not math.isfinite(epsilon) or epsilon <= 0:
        return f"{epsilon:g}"
    unit = 10.0 ** (math.floor(math.log10(epsilon)) - 3)
    # What is above by less than float64 can tell is no more.
    return f"{math.ceil(epsilon / unit * (1 - 1e-12)) * unit:.4g}"


def _factor(epsilon: float) -> str:
    factor = math.exp(min(epsilon, 700.0))
    if factor < 10:
        return f"{math.ceil(factor * 100) / 100:.2f}"
    return f"{math.ceil(factor):,}" if factor < 1e7 else f"10^{math.ceil(epsilon / math.log(10))}"


def _chance(probability: float) -> str:
    """Returns a probability as "1 in N", rounded up."""
    if not 0 < probability < 0.1:
        return f"{probability:.2g}"
    # The float nearest to a round number may be above it.
    denominator = 1 / probability * (1 + 1e-12)
    unit = 10 ** (math.floor(math.log10(denominator)) - 1)
    return f"1 in {math.floor(denominator / unit) * unit:,}"


def _wrapped(text: str, bullet: str = "") -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_on_hyphens=False
    )
