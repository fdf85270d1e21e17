"""The ring and the neighbourhoods on it."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.graph.ring import Graph
from secagg.primitives.prg import Suite, keystream

SEED = bytes(range(32))

sizes_and_degrees = st.integers(2, 40).flatmap(
    lambda size: st.tuples(st.just(size), st.sampled_from([*range(2, size - 1, 2), size - 1]))
)


def graph(size: int, neighbours: int, seed: bytes = SEED) -> Graph:
    return Graph(size, neighbours=neighbours, seed=seed, suite=Suite.AES_128_CTR)


def by_hand(size: int, neighbours: int, seed: bytes) -> list[list[int]]:
    """The neighbourhoods as the page describes them, one client at a time."""
    stream = keystream(Suite.AES_128_CTR, seed, length=16 * size)
    ring = sorted(range(size), key=lambda index: int.from_bytes(stream[16 * index : 16 * index + 16], "little"))
    found = []
    for index in range(size):
        place = ring.index(index)
        ahead = [ring[(place + step) % size] for step in range(1, (neighbours + 1) // 2 + 1)]
        behind = [ring[place - step] for step in range(1, neighbours // 2 + 1)]
        found.append(sorted(ahead + behind))
    return found


@given(sizes_and_degrees, st.binary(min_size=32, max_size=32))
def test_neighbourhoods_are_those_of_the_page(size_and_degree: tuple[int, int], seed: bytes):
    size, neighbours = size_and_degree
    made = graph(size, neighbours, seed)
    expected = by_hand(size, neighbours, seed)
    assert [made.neighbours(index).tolist() for index in range(size)] == expected
    assert made.table.tolist() == expected


@given(sizes_and_degrees)
def test_the_graph_is_regular_symmetric_and_without_loops(size_and_degree: tuple[int, int]):
    size, neighbours = size_and_degree
    rows = [set(row) for row in graph(size, neighbours).table.tolist()]
    for index, row in enumerate(rows):
        assert len(row) == neighbours
        assert index not in row
        assert all(index in rows[peer] for peer in row)


@given(sizes_and_degrees)
def test_places_say_where_one_stands_with_ones_neighbours(size_and_degree: tuple[int, int]):
    made = graph(*size_and_degree)
    for index, (peers, places) in enumerate(zip(made.table.tolist(), made.places.tolist(), strict=True)):
        assert [made.table[peer, place] for peer, place in zip(peers, places, strict=True)] == [index] * len(peers)


@given(sizes_and_degrees, st.data())
def test_members_present_are_counted_in_every_neighbourhood(size_and_degree: tuple[int, int], data: st.DataObject):
    size, _ = size_and_degree
    made = graph(*size_and_degree)
    present = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    expected = [np.count_nonzero(present[made.neighbours(index)]) for index in range(size)]
    assert made.members_present(present).tolist() == expected


@pytest.mark.parametrize("size", [2, 3, 4, 5, 30, 31])
def test_the_complete_graph_is_everyone_else_for_any_seed(size: int):
    for seed in (SEED, bytes(32)):
        made = graph(size, size - 1, seed)
        assert made.complete
        assert made.table.tolist() == [[peer for peer in range(size) if peer != index] for index in range(size)]


def test_a_sparse_graph_is_not_complete():
    assert not graph(11, 8).complete


def test_another_seed_or_suite_gives_another_graph():
    tables = [
        graph(30, 6).table,
        graph(30, 6, bytes(32)).table,
        Graph(30, neighbours=6, seed=SEED, suite=Suite.CHACHA20).table,
    ]
    for one, other in itertools.combinations(tables, 2):
        assert not np.array_equal(one, other)


def test_every_pair_is_as_likely_to_be_neighbours_as_any_other():
    """Of 3000 rings each pair of 9 with 4 neighbours is expected in half; 5.5 deviations leave a chance of 2e-6."""
    together = np.zeros((9, 9))
    for number in range(3000):
        made = graph(9, 4, hashlib.sha256(number.to_bytes(4, "big")).digest())
        together[np.arange(9)[:, np.newaxis], made.table] += 1
    pairs = together[np.triu_indices(9, 1)]
    assert np.abs(pairs - 1500).max() < 5.5 * np.sqrt(3000 / 4)
