"""Hypothesis strategies: parameters, vectors, and who answers a stage."""

from collections.abc import Collection
from typing import Literal

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from secagg.checks import MAX_CLIENT_ID
from secagg.errors import ClientId
from secagg.graph.choosing import certify
from secagg.params import AdversaryModel, SessionParams, default_threshold
from secagg.primitives.prg import Suite, word_dtype


@st.composite
def session_params(
    draw: st.DrawFn,
    *,
    max_cohort: int = 9,
    max_length: int = 9,
    adversaries: Collection[AdversaryModel] = tuple(AdversaryModel),
    graphs: Literal["complete", "sparse", "both"] = "both",
) -> SessionParams:
    """Draws valid parameters: small cohorts, complete and sparse graphs, short vectors, every modulus, both suites."""
    adversary = draw(st.sampled_from(sorted(adversaries)))
    cohort_size = draw(st.integers(4 if adversary is AdversaryModel.ACTIVE else 3, max_cohort))
    everyone_else = cohort_size - 1
    # Even numbers of neighbours below that are the sparse graphs.
    sparse = [k for k in range(2, everyone_else, 2) if graphs != "complete"]
    complete = [] if graphs == "sparse" and sparse else [everyone_else]
    neighbours = draw(st.sampled_from(complete + sparse))
    curious_and_sparse = neighbours < everyone_else and adversary is AdversaryModel.HONEST_BUT_CURIOUS
    lowest = 1 if curious_and_sparse else neighbours // 2 + 1
    # The default is what most sessions use; any other from the floor to everyone must work as well.
    threshold = draw(
        st.one_of(st.just(default_threshold(neighbours + 1)), st.just(lowest), st.integers(lowest, neighbours))
    )
    # With nobody corrupt every degree is safe, as long as so many survive.
    survivors = certify(
        cohort_size, neighbours=neighbours, threshold=threshold, corrupt=0.0, dropout=0.0, adversary=adversary
    ).min_survivors
    return SessionParams(
        cohort_size=cohort_size,
        neighbours=neighbours,
        threshold=threshold,
        min_survivors=survivors if neighbours < everyone_else else 0,
        vector_length=draw(st.integers(0, max_length)),
        modulus_bits=draw(st.integers(1, 64)),
        adversary=adversary,
        suite=draw(st.sampled_from(Suite)),
        round_number=draw(st.integers(0, 2**64 - 1)),
        application=draw(st.binary(max_size=8)),
    )


@st.composite
def vectors(draw: st.DrawFn, params: SessionParams) -> dict[ClientId, npt.NDArray[np.unsignedinteger]]:
    """Draws an input for each client of a cohort: ids from the whole range, entries from the whole modulus."""
    ids = draw(
        st.lists(
            st.one_of(st.integers(0, 20), st.integers(0, MAX_CLIENT_ID)),
            min_size=params.cohort_size,
            max_size=params.cohort_size,
            unique=True,
        )
    )
    # All bytes at once, and edges by one choice for a whole vector: choices are what drawing takes its time for.
    top = 2**params.modulus_bits - 1
    size = params.vector_length
    drawn = draw(st.binary(min_size=8 * size * len(ids), max_size=8 * size * len(ids)))
    words = np.frombuffer(drawn, "<u8").reshape(len(ids), size) & np.uint64(top)
    edges = np.array((0, 1 % (top + 1), top), np.uint64)
    at_edges = draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    dtype = word_dtype(params.modulus_bits)
    return {
        client: (edges[(row % np.uint64(3)).astype(np.intp)] if at_edge else row).astype(dtype)
        for client, row, at_edge in zip(ids, words, at_edges, strict=True)
    }


@st.composite
def answering(draw: st.DrawFn, clients: Collection[ClientId]) -> frozenset[ClientId]:
    """Draws who of `clients` answers a stage.

    Biased towards nearly everyone: drawn evenly, a session of five stages would almost never end in a sum.
    """
    everyone = sorted(clients)
    if not everyone:
        return frozenset()
    if draw(st.integers(0, 24)) == 13:
        return frozenset(draw(st.sets(st.sampled_from(everyone))))
    missing = draw(st.sampled_from((0, 0, 0, 0, 0, 1, 0, 0, 0, 2)))
    if not missing:
        return frozenset(everyone)
    vanished = st.lists(st.sampled_from(everyone), min_size=1, max_size=missing, unique=True)
    return frozenset(everyone) - frozenset(draw(vanished))
