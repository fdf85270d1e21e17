"""What came of a demo, in the sentences that the terminal and the page share."""

import math
from collections.abc import Sequence

from fl.app.demo.result import DemoResult, PrivateResult, PrivateRound

__all__ = ["private_sentences", "secure_sentences"]


def secure_sentences(result: DemoResult) -> list[str]:
    """Returns what came of the secure run."""
    released = len(result.rounds) - result.lost_rounds
    if result.exact:
        sentences = [f"Every one of {released} released sums was bit-exact to the plain sum over its survivors."]
    else:
        sentences = ["A RELEASED SUM WAS NOT EXACT." if released else "NO SUM WAS RELEASED."]
    if result.lost_rounds:
        sentences.append(
            f"{result.lost_rounds} of {result.settings.rounds} rounds were lost: fewer than {result.threshold + 1} "
            "clients were left."
        )
    return sentences


def private_sentences(result: DemoResult) -> list[str]:
    """Returns what came of the private run; nothing if there was none."""
    private = result.private
    if private is None:
        return []
    released = [one for one in result.private_rounds if one.lost_at is None]
    lost = [one for one in result.private_rounds if one.lost_at is not None]
    return [
        *_spent(private),
        *(_noise(private, released) if released else ["No private sum was released."]),
        *(_lost(private, lost) if lost else []),
    ]


def _spent(private: PrivateResult) -> list[str]:
    total, noise = private.audit.total, private.plan.noise
    together = f"and {noise.colluders} clients who work with it" if noise.colluders else "alone"
    return [
        (
            f"Private run: each client's data are protected, against the server {together}. Epsilon "
            f"{total.promised:.4g} of {float(noise.target_epsilon):g} is spent, at delta {float(noise.delta):g}; the "
            f"audit of the ledger says: {private.audit.verdict}."
        ),
        (
            f"With the clients that were really there it is {total.realised:.4g}: a guarantee only if who vanished did "
            "not depend on anybody's data."
        ),
    ]


def _noise(private: PrivateResult, released: Sequence[PrivateRound]) -> list[str]:
    survivors = round(sum(one.survivors for one in released) / len(released))
    mine, theirs = private.mean_stddev(survivors), private.trusted_stddev / survivors
    measured = [one.noise for one in released if one.noise is not None]
    missing = math.sqrt(survivors / private.plan.noise.honest_shares)
    level = (
        f"Noise: a standard deviation of {mine:.3g} in each coordinate of the mean of {survivors} clients (measured: "
        f"{sum(measured) / len(measured):.3g}). One client moves the whole mean by {private.plan.clip / survivors:.2g} "
        f"at most; the clip norm is {private.plan.clip:g}."
    )
    price = (
        f"A trusted server would add {theirs:.3g}. Not having to trust it costs a factor of {mine / theirs:.2f}: "
        f"{missing:.2f} for shares of noise that may be missing or known, the rest for whole numbers and their bounds."
    )
    return [level, price]


def _lost(private: PrivateResult, lost: Sequence[PrivateRound]) -> list[str]:
    counted = sum(one.reserved for one in lost)
    return [
        (
            f"{len(lost)} of {private.plan.rounds} private rounds were lost: fewer than {private.plan.min_survivors} "
            f"vectors, or too few clients to unmask them. Reserved, and so spent: {counted}."
        )
    ]
