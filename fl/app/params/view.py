"""A certificate of chosen or offered parameters, as a table for people and as plain data for programs."""

import math
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.table import Table

from secagg import AdversaryModel, Bound, Certificate
from secagg.graph import SMALL_COHORT

BYTES_PER_NEIGHBOUR: Final = 152 + 40
"""What a client sends for each neighbour: a sealed record with two shares, and later one of its shares."""


def show(certificate: Certificate) -> None:
    """Prints the parameters, every bound with its sentence, and what they cost."""
    console = Console(emoji=False)
    verdict = "" if certificate.holds else " - does not hold"
    console.print(
        f"[bold]{certificate.clients} clients, {certificate.adversary.name}: {certificate.neighbours} neighbours, "
        f"threshold {certificate.threshold}[/bold] ({_graph(certificate)}){verdict}"
    )
    table = Table("condition", "fails with at most", "allowed", "holds", "in words")
    for bound in certificate.bounds:
        table.add_row(
            bound.name,
            _probability(bound.log2_probability),
            _probability(bound.log2_allowed),
            "yes" if bound.holds else "no",
            bound.sentence,
        )
    console.print(table)
    for line in notes(certificate):
        console.print(line)


def notes(certificate: Certificate) -> list[str]:
    """Returns what else there is to know, a sentence a line."""
    lines = [
        f"Up to {certificate.corrupt_clients} of the {certificate.clients} clients are taken to be corrupt.",
        f"A sum of fewer than {certificate.min_survivors} clients is not released.",
    ]
    if certificate.roster < certificate.clients:
        lines.append(f"This is for rosters of {certificate.roster} to {certificate.clients} clients.")
    if certificate.grinding_bits:
        lines.append(f"A server may try 2^{certificate.grinding_bits} rosters; that is in what is allowed.")
    sent = certificate.neighbours * BYTES_PER_NEIGHBOUR
    lines.append(
        f"Besides its vector, a client sends about {sent:,} bytes: {BYTES_PER_NEIGHBOUR} for each of "
        f"{certificate.neighbours} neighbours."
    )
    peers = certificate.clients - 1
    if certificate.adversary is AdversaryModel.ACTIVE and SMALL_COHORT < peers <= 2 * certificate.neighbours:
        lines.append(
            f"That is {100 * certificate.neighbours // peers} % of all peers. Against a lying server, few neighbours "
            "only do where corrupt + 2 x dropout is far below 1."
        )
    return lines


def as_json(certificate: Certificate) -> dict[str, object]:
    """Returns plain data; a probability of zero is null, as JSON has no infinity."""
    plain = asdict(certificate)
    plain["adversary"] = certificate.adversary.name
    plain["complete"] = certificate.complete
    plain["holds"] = certificate.holds
    plain["bytes_besides_vector"] = certificate.neighbours * BYTES_PER_NEIGHBOUR
    plain["bounds"] = [_plain(bound) for bound in certificate.bounds]
    return plain


def _graph(certificate: Certificate) -> str:
    if certificate.neighbours == certificate.clients - 1:
        return "complete graph"
    if certificate.complete:
        return f"k-regular graph, complete up to {certificate.neighbours + 1} clients"
    return "k-regular graph"


def _plain(bound: Bound) -> dict[str, object]:
    finite = bound.log2_probability if math.isfinite(bound.log2_probability) else None
    return {
        "name": bound.name,
        "log2_probability": finite,
        "log2_allowed": bound.log2_allowed,
        "sentence": bound.sentence,
        "holds": bound.holds,
    }


def _probability(log2: float) -> str:
    return "0" if log2 == -math.inf else f"2^{log2:.1f}"
