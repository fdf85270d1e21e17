"""A certificate of chosen parameters, as a table for people and as plain data for programs."""

import math
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from secagg.choosing import Bound, Certificate


def show(certificate: Certificate) -> None:
    """Prints the choice and every bound with its sentence."""
    console = Console()
    graph = "complete graph" if certificate.complete else "k-regular graph"
    console.print(
        f"[bold]{certificate.clients} clients, {certificate.adversary.name}: {certificate.neighbours} neighbours, "
        f"threshold {certificate.threshold}[/bold] ({graph})"
    )
    table = Table("condition", "fails with at most", "allowed", "in words")
    for bound in certificate.bounds:
        table.add_row(
            bound.name, _probability(bound.log2_probability), _probability(bound.log2_allowed), bound.sentence
        )
    console.print(table)
    if certificate.grinding_bits:
        console.print(f"A server may try 2^{certificate.grinding_bits} rosters; that is in what is allowed.")


def as_json(certificate: Certificate) -> dict[str, object]:
    """Returns plain data; a probability of zero is null, as JSON has no infinity."""
    plain = asdict(certificate)
    plain["adversary"] = certificate.adversary.name
    plain["holds"] = certificate.holds
    plain["bounds"] = [_plain(bound) for bound in certificate.bounds]
    return plain


def _plain(bound: Bound) -> dict[str, object]:
    finite = bound.log2_probability if math.isfinite(bound.log2_probability) else None
    return {**asdict(bound), "log2_probability": finite, "holds": bound.holds}


def _probability(log2: float) -> str:
    return "0" if log2 == -math.inf else f"2^{log2:.1f}"
